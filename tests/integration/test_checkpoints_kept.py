"""Checkpoints that nobody will need are removed: the disk that a search takes stays bounded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.engine.history import DONE, History, Proposal
from tests.errors import raises_in_three_parts
from tests.integration.small_networks import X, Y, accuracy, build_model
from tests.integration.test_resumed_training import FIT

NUMBER = kt.HyperParameters()
NUMBER.Float("x", 0.0, 1.0)
SIZE = 2000


def stored(project: Path | str) -> set[str]:
    """The trials of a project that have a checkpoint."""
    return {
        entry.name.removeprefix("trial_")
        for entry in os.scandir(project)
        if os.path.exists(os.path.join(entry.path, "checkpoint.weights.h5"))
    }


def writing(search: type) -> Any:
    """A search whose trials train nothing, and write a checkpoint where the weights would be."""

    class Writing(search):
        most = 0

        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            Path(self._get_checkpoint_fname(trial.trial_id)).write_bytes(b"w" * SIZE)
            Writing.most = max(Writing.most, len(stored(self.project_dir)))
            return float(trial.hyperparameters.get("x"))

    return Writing


def new(directory: Path, search: type = kt_plus.EvolutionarySearch, **options: Any) -> Any:
    settings = {"hyperparameters": NUMBER, "seed": 0, "directory": directory, "project_name": "p"}
    objective = kt.Objective("score", "max")
    return writing(search)(objective=objective, **{**settings, **options})


@pytest.mark.slow
def test_the_disk_stays_bounded_over_a_thousand_trials(tmp_path: Path) -> None:
    settings = {"population_size": 20, "tournament_size": 5, "inherit_weights": True}
    tuner = new(tmp_path, max_trials=1000, keep_checkpoints=10, **settings)
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 1000
    assert type(tuner).most <= 20 + 10 + 2
    best = {trial.trial_id for trial in tuner.oracle.get_best_trials(10)}
    population = {record.trial_id for record in list(tuner.oracle.history)[-20:]}
    left = stored(tmp_path / "p")
    assert best | population <= left
    assert len(left) <= 20 + 10 + 1
    bytes_left = sum(p.stat().st_size for p in tmp_path.rglob("*.h5"))
    assert bytes_left == len(left) * SIZE


def test_without_inheritance_only_the_best_are_kept(tmp_path: Path) -> None:
    tuner = new(tmp_path, max_trials=30, keep_checkpoints=3)
    tuner.search(verbose=0)
    best = {trial.trial_id for trial in tuner.oracle.get_best_trials(3)}
    assert stored(tmp_path / "p") == best
    assert type(tuner).most <= 4


def test_all_of_them_are_kept_if_wanted(tmp_path: Path) -> None:
    tuner = new(tmp_path, kt_plus.RandomSearch, max_trials=20, keep_checkpoints="all")
    tuner.search(verbose=0)
    assert stored(tmp_path / "p") == tuner.oracle.trials.keys()


def test_a_resumed_search_removes_what_an_earlier_one_has_left(tmp_path: Path) -> None:
    new(tmp_path, kt_plus.RandomSearch, max_trials=20, keep_checkpoints="all").search(verbose=0)
    tuner = new(tmp_path, kt_plus.RandomSearch, max_trials=21, keep_checkpoints=2)
    tuner.search(verbose=0)
    best = {trial.trial_id for trial in tuner.oracle.get_best_trials(2)}
    assert stored(tmp_path / "p") == best


def test_failed_trials_keep_none(tmp_path: Path) -> None:
    class Failing(writing(kt_plus.RandomSearch)):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            score = super().run_trial(trial, *args, **kwargs)
            if trial.trial_id == "1":
                raise ArithmeticError
            return score

    settings = {"hyperparameters": NUMBER, "directory": tmp_path, "project_name": "p"}
    tuner = Failing(objective=kt.Objective("score", "max"), max_trials=3, **settings)
    tuner.search(verbose=0)
    assert stored(tmp_path / "p") == {"0", "2"}


class Chain:
    """Proposes a child of the first trial each time, and says nothing of what it needs."""

    def propose(self, space: Any, history: History, rng: Any) -> Any:
        if len(history) == 6:
            return DONE
        values = {"x": len(history) / 10}
        return Proposal(values, parent="0" if len(history) else None)


def test_a_strategy_that_does_not_tell_keeps_all_that_may_be_parents(tmp_path: Path) -> None:
    for inherit in (True, False):
        oracle = kt_plus.Oracle(
            kt.Objective("score", "max"),
            strategy=Chain(),
            hyperparameters=NUMBER,
            inherit_weights=inherit,
            keep_checkpoints=1,
        )
        tuner = writing(kt_plus.Tuner)(oracle, directory=tmp_path, project_name=str(inherit))
        tuner.search(verbose=0)
        assert len(stored(tmp_path / str(inherit))) == (6 if inherit else 1)


def test_what_hyperband_goes_on_from_is_kept(tmp_path: Path) -> None:
    tuner = new(tmp_path, kt_plus.Hyperband, max_epochs=9, keep_checkpoints=1)
    missing = []
    run_trial = type(tuner).run_trial

    def run(self: Any, trial: Any, *args: Any, **kwargs: Any) -> float:
        source = trial.hyperparameters.values.get("tuner/trial_id")
        missing.extend({source} - stored(self.project_dir) if source else ())
        return run_trial(self, trial, *args, **kwargs)

    type(tuner).run_trial = run
    tuner.search(verbose=0)
    assert any("tuner/trial_id" in t.hyperparameters.values for t in tuner.oracle.trials.values())
    assert not missing
    assert len(stored(tmp_path / "p")) < len(tuner.oracle.trials)


@pytest.mark.versions
@pytest.mark.usefixtures("eager")
def test_models_that_were_removed_are_told(tmp_path: Path) -> None:
    tuner = kt_plus.RandomSearch(
        build_model,
        "val_accuracy",
        max_trials=4,
        seed=0,
        keep_checkpoints=2,
        directory=tmp_path,
        project_name="p",
    )
    tuner.search(X, Y, **{**FIT, "epochs": 1})
    first, second = tuner.get_best_models(2)
    scores = [trial.score for trial in tuner.oracle.get_best_trials(2)]
    assert [accuracy(first), accuracy(second)] == pytest.approx(scores)
    with raises_in_three_parts(
        RuntimeError, happened="best 3 trials were asked for", expected="Expected at most 2"
    ):
        tuner.get_best_models(3)


def test_a_training_of_ones_own_that_has_saved_no_weights_is_told(tmp_path: Path) -> None:
    class Untold(kt_plus.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.get("units"))

    tuner = Untold(build_model, max_trials=2, directory=tmp_path, project_name="p")
    tuner.search(verbose=0)
    with raises_in_three_parts(
        RuntimeError, happened="no saved weights", expected="Expected what Keras's `fit` saves"
    ):
        tuner.get_best_models()


@pytest.mark.parametrize("keep", [0, -1, 1.5, None, True, "some"])
def test_bad_numbers_of_checkpoints(keep: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"keep_checkpoints=.* was given. Expected how many"):
        new(tmp_path, keep_checkpoints=keep)
