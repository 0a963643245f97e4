"""Cross-validation and several executions: every run is kept, and stopping judges all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

import kt_plus
from kt_plus.performance_estimation.fidelity import DataFraction, Epochs
from kt_plus.performance_estimation.folds import Folds
from kt_plus.performance_estimation.training_data import TrainingData
from tests.integration.small_networks import VALIDATION, X, Y, build_model

pytestmark = pytest.mark.usefixtures("eager")

FIT: dict[str, Any] = {"epochs": 2, "batch_size": 16, "verbose": 0}


def new(directory: Path | str, **settings: Any) -> Any:
    settings = {"max_trials": 2, "seed": 0, "folds": 3, **settings}
    return kt_plus.RandomSearch(
        build_model, "val_loss", directory=directory, project_name="p", **settings
    )


def notes_of(tuner: Any) -> list[Any]:
    """What is kept of each trial, in their order."""
    return [tuner.oracle.notes[trial_id] for trial_id in tuner.oracle.start_order]


def test_a_trial_is_the_mean_of_its_folds(tmp_path: Path, capsys: Any) -> None:
    tuner = new(tmp_path)
    tuner.search(X, Y, **FIT)
    for record in tuner.oracle.history:
        note = tuner.oracle.notes[record.trial_id]
        curves = [curve.values for curve in note.curves]
        assert [len(curve) for curve in curves] == [2, 2, 2]
        assert note.runs == pytest.approx([min(curve) for curve in curves])
        assert -record.score == pytest.approx(np.mean(note.runs))
    assert tuner.oracle.budget.epochs == 12
    frame = kt_plus.results.to_dataframe(tuner)
    assert frame.runs.tolist() == [3, 3]
    assert frame.spread.tolist() == pytest.approx(
        [np.std(note.runs, ddof=1) for note in notes_of(tuner)]
    )
    runs = kt_plus.results.runs_to_dataframe(str(tmp_path / "p"))
    assert runs.groupby("trial_id").value.mean().tolist() == pytest.approx(frame.score.tolist())
    assert runs.curve.map(len).tolist() == [2] * 6
    tuner.results_summary(1)
    assert " over 3 runs: " in capsys.readouterr().out
    # The best model is that of its best fold.
    best = tuner.oracle.get_best_trials()[0]
    runs = tuner.oracle.notes[best.trial_id].runs
    fold = Folds(3, 0).nth(TrainingData(X, Y), int(np.argmin(runs)))
    loss = tuner.get_best_models()[0].evaluate(*fold.validation_data, verbose=0)[0]
    assert loss == pytest.approx(min(runs), rel=1e-5)


def test_a_splitter_and_executions(tmp_path: Path) -> None:
    splitter = StratifiedKFold(2, shuffle=True, random_state=1)
    tuner = new(tmp_path, folds=splitter, executions_per_trial=2, max_trials=1)
    tuner.search(X, Y, **FIT)
    (note,) = notes_of(tuner)
    assert len(note.runs) == len({*note.runs}) == 4


def test_executions_alone_are_kept_too(tmp_path: Path) -> None:
    tuner = new(tmp_path, folds=None, executions_per_trial=2, max_trials=1)
    tuner.search(X, Y, validation_data=VALIDATION, **FIT)
    (note,) = notes_of(tuner)
    assert len(note.runs) == 2
    assert tuner.oracle.trials["0"].score == pytest.approx(np.mean(note.runs))


def test_a_stopped_trial_has_the_mean_of_the_runs_that_were_made(tmp_path: Path) -> None:
    class InTheSecondRun(kt_plus.stopping.Stopper):
        def judge(self, trial: Any, history: Any) -> Any:
            record = tuner.oracle.history.get(trial.trial_id)
            assert trial.earlier_curves == ()
            return kt_plus.Verdict(len(record.earlier_curves) == 1, "enough")

    tuner = new(tmp_path, stopping=InTheSecondRun(), max_trials=1)
    tuner.search(X, Y, **FIT)
    (note,) = notes_of(tuner)
    assert [len(curve.values) for curve in note.curves] == [2, 1]
    assert len(note.runs) == 2
    assert tuner.oracle.trials["0"].score == pytest.approx(np.mean(note.runs))


@pytest.mark.slow
def test_with_successive_halving(tmp_path: Path) -> None:
    """Each fold goes on from its own checkpoint; on a part of the data each takes its part."""

    def halving(name: str, ladder: Any) -> Any:
        return kt_plus.SuccessiveHalving(
            build_model,
            "val_loss",
            configurations=2,
            ladder=ladder,
            seed=0,
            folds=2,
            directory=tmp_path,
            project_name=name,
        )

    tuner = halving("epochs", Epochs(1, 2))
    tuner.search(X, Y, batch_size=16, verbose=0)
    notes = notes_of(tuner)
    assert [[len(c.values) for c in note.curves] for note in notes] == [[1, 1], [1, 1], [1, 1]]
    assert [c.first_epoch for c in notes[-1].curves] == [1, 1]
    plain = new(tmp_path, folds=2)
    plain.search(X, Y, **FIT)
    parent = tuner.oracle.history.get(notes[-1].parent)
    curves = plain.oracle.notes[parent.trial_id].curves
    assert [c.values[1:] for c in curves] == [c.values for c in notes[-1].curves]
    part = halving("part", DataFraction(1 / 2, 1))
    part.search(X, Y, **FIT)
    assert part.oracle.history.best.rung == 1


def test_bad_folds_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    tuner = new(tmp_path)
    with pytest.raises(ValueError, match="folds=3 was given together with validation_data"):
        tuner.search(X, Y, validation_data=VALIDATION, **FIT)
    assert not tuner.oracle.trials
    with pytest.raises(ValueError, match="folds=1 was given"):
        new(tmp_path, folds=1)
