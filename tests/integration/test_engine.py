"""The engine under real training: curves, stops, seeds and budgets."""

from __future__ import annotations

import json
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from tests.integration.small_networks import (
    SEARCHES,
    VALIDATION,
    X,
    Y,
    build_model,
    compiled,
    new,
    scores,
)
from tests.tiers import mostly_full

pytestmark = [
    pytest.mark.versions,
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
]
OURS = [name for name in SEARCHES if name.startswith("kt_plus.")]
SOME = ("kt_plus.RandomSearch", "kt_plus.EvolutionarySearch", "kt_plus.Hyperband")
every_search = pytest.mark.parametrize("search", mostly_full(OURS, SOME[1:]))
some_searches = pytest.mark.parametrize("search", mostly_full(SOME, SOME[1:]))
FIT = {"epochs": 3, "validation_data": VALIDATION, "verbose": 0}


def build_learner(hp: Any) -> Any:
    """Learns whether the first coordinate is positive, unless its learning rate is 0."""
    return compiled([], hp.Choice("learning_rate", [1.0, 0.5, 0.25, 0.0]))


EASY = X, (X[:, 0] > 0).astype("int32")


class AtEpoch(kt_plus.stopping.Stopper):
    """Stops every trial but the first after so many epochs."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
        stop = len(history) > 1 and len(trial.curve) >= self.epoch
        return kt_plus.Verdict(stop, f"{len(trial.curve)} epochs are enough")


class Broken(kt_plus.stopping.Stopper):
    def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
        raise ZeroDivisionError("no trials yet")


@pytest.mark.slow
@pytest.mark.parametrize("executions", mostly_full([1, 2], [2]))
@pytest.mark.parametrize("search", ["kt_plus.EvolutionarySearch", "kt_plus.Hyperband"])
def test_the_curve_of_every_execution_is_kept(search: str, executions: int, tmp_path: Path) -> None:
    trained: dict[str, list[list[float]]] = {}

    class Recorded(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build_model(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            history = model.fit(*args, **kwargs)
            trained.setdefault(str(sorted(hp.values.items())), []).append(
                history.history["val_loss"]
            )
            return history

    place = {"objective": "val_loss", "directory": tmp_path, "executions_per_trial": executions}
    tuner = new(search, Recorded(), **place)
    tuner.search(X, Y, **FIT)
    reloaded = new(search, Recorded(), **place)
    for oracle in (tuner.oracle, reloaded.oracle):
        assert len(oracle.history) == len(trained) >= 3
        for record in oracle.history:
            values = oracle.trials[record.trial_id].hyperparameters.values
            curves = [[-value for value in c] for c in (*record.earlier_curves, record.curve)]
            assert curves == trained[str(sorted(values.items()))]
            assert len(curves) == executions
            assert record.score == pytest.approx(-np.mean([min(curve) for curve in curves]))


def test_the_median_rule_stops_a_hopeless_trial(tmp_path: Path) -> None:
    settings = {
        "objective": "val_loss",
        "max_trials": 4,
        "initial_configurations": [{"learning_rate": rate} for rate in (1.0, 0.5, 0.25, 0.0)],
        "stopping": kt_plus.stopping.MedianRule(min_trials=3, min_epochs=2),
        "directory": tmp_path,
        "seed": 0,
    }
    tuner = kt_plus.RandomSearch(build_learner, **settings)
    tuner.search(*EASY, epochs=6, validation_split=0.25, verbose=0)
    records = list(tuner.oracle.history)
    assert [len(record.curve) for record in records] == [6, 6, 6, 2]
    assert [record.verdict is None for record in records] == [True, True, True, False]
    reason = records[3].verdict.reason
    assert reason.startswith("stopped at epoch 2 of 6: best value so far ")
    assert records[3].status == "completed"
    assert records[3].score == max(records[3].curve)
    saved = json.loads(Path(tuner.get_trial_dir("3"), "trial.json").read_text())
    assert reason.endswith(saved["kt_plus"]["stop"]["reason"])
    assert saved["kt_plus"]["stop"]["epoch"] == 2
    assert saved["kt_plus"]["stop"]["incumbent"] == -max(r.score for r in records)
    again = kt_plus.RandomSearch(build_learner, **settings)
    assert list(again.oracle.history) == records


@some_searches
def test_a_stopper_of_ones_own_ends_a_trial_at_its_epoch(search: str, tmp_path: Path) -> None:
    settings = {"max_epochs": 3, "factor": 3} if search == "kt_plus.Hyperband" else {}
    place = {"objective": "val_loss", "directory": tmp_path, "stopping": AtEpoch(1)}
    tuner = new(search, build_model, **place, **settings)
    tuner.search(X, Y, **FIT)
    first, *others = tuner.oracle.history
    assert len(first.curve) == tuner.oracle.notes[first.trial_id].horizon
    assert first.verdict is None
    assert others
    for record in others:
        assert len(record.curve) == 1
        assert record.score == record.curve[0]
        horizon = tuner.oracle.notes[record.trial_id].horizon
        last = record.first_epoch + 1
        if last < horizon:
            reason = f"stopped at epoch {last} of {horizon}: 1 epochs are enough"
            assert record.verdict.reason == reason


def test_a_stopped_trial_is_not_executed_again(tmp_path: Path) -> None:
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=AtEpoch(2),
        executions_per_trial=3,
    )
    tuner.search(X, Y, **FIT)
    first, *others = tuner.oracle.history
    assert len(first.earlier_curves) == 2
    assert [(len(r.curve), r.earlier_curves) for r in others] == [(2, ())] * 2
    assert tuner.oracle.get_best_trials()[0].score == -max(r.score for r in tuner.oracle.history)


def test_a_broken_stopper_stops_nothing_and_warns_once(tmp_path: Path) -> None:
    tuner = new(
        "kt_plus.EvolutionarySearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=Broken(),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuner.search(X, Y, **FIT)
    assert [len(record.curve) for record in tuner.oracle.history] == [3] * 4
    ours = [str(w.message) for w in caught if "The stopping rule" in str(w.message)]
    assert len(ours) == 1
    assert "ZeroDivisionError('no trials yet')" in ours[0]


def seeded_run(search: str, seed: int, directory: Path) -> tuple[list[Any], ...]:
    """Proposals, scores and initial weights of a search."""

    class Tuner(SEARCHES[search][0]):
        def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                weights.append([float(np.sum(w)) for w in model.get_weights()])

    def build(hp: Any) -> Any:
        rate = hp.Float("rate", 0.1, 0.9)
        dense = keras.layers.Dense(hp.Int("units", 4, 64), "relu")
        return compiled([keras.Input((4,)), dense, keras.layers.Dropout(rate)])

    weights: list[list[float]] = []
    settings = {**SEARCHES[search][1], "seed": seed, "objective": "val_loss"}
    tuner = Tuner(build, directory=directory, project_name=f"{search}{seed}", **settings)
    tuner.search(X, Y, batch_size=24, **{**FIT, "epochs": 1})
    values = [t.hyperparameters.values for t in tuner.oracle.trials.values()]
    return values, list(scores(tuner).values()), weights


@pytest.mark.slow
@every_search
def test_a_seed_decides_everything_random(search: str, tmp_path: Path) -> None:
    runs = [seeded_run(search, seed, tmp_path / str(i)) for i, seed in enumerate((0, 0, 1))]
    assert runs[0] == runs[1]
    for what in (1, 2):  # scores and initial weights
        assert not [each for each in runs[0][what] if each in runs[2][what]]
    if search != "kt_plus.GridSearch":
        assert not [values for values in runs[0][0] if values in runs[2][0]]


@pytest.mark.parametrize("max_time", [1, timedelta(seconds=1)])
def test_the_running_trial_ends_when_the_time_is_up(max_time: Any, tmp_path: Path) -> None:
    ends: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ends.append(time.monotonic())

    tuner = new(
        "kt_plus.EvolutionarySearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        max_trials=500,
        max_time=max_time,
    )
    began = time.monotonic()
    tuner.search(X, Y, **{**FIT, "epochs": 10_000}, callbacks=[Clock()])
    (record,) = tuner.oracle.history
    assert record.status == "completed"
    assert len(record.curve) == len(ends)
    assert "the search's 1 seconds are used up" in record.verdict.reason
    assert ends[-1] - began >= 0.9
    assert len(ends) == 1 or ends[-2] - began < 1.5


@some_searches
def test_the_budget_of_epochs_is_kept_exactly(search: str, tmp_path: Path) -> None:
    place = {"objective": "val_loss", "directory": tmp_path, "max_epochs_total": 5}
    tuner = new(search, build_model, **place)
    tuner.search(X, Y, **FIT)
    records = list(tuner.oracle.history)
    assert sum(len(record.curve) for record in records) == 5
    assert {record.status for record in records} == {"completed"}
    last = tuner.oracle.notes[records[-1].trial_id]
    if last.epochs < last.horizon:
        assert "the search's 5 epochs are used up" in records[-1].verdict.reason
    again = new(search, build_model, **place)
    again.search(X, Y, **FIT)
    assert list(again.oracle.history) == records


def test_a_trial_that_had_used_the_budget_up_when_it_was_interrupted_is_ended(
    tmp_path: Path,
) -> None:
    place = {"objective": "val_loss", "directory": tmp_path, "max_epochs_total": 4}
    tuner = new("kt_plus.EvolutionarySearch", build_model, **place)

    class Interrupt(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            if tuner.oracle.budget.exhausted():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuner.search(X, Y, **FIT, callbacks=[Interrupt()])
    again = new("kt_plus.EvolutionarySearch", build_model, **place)
    assert [record.status for record in again.oracle.history] == ["completed", "running"]
    again.search(X, Y, **FIT)
    assert [record.status for record in again.oracle.history] == ["completed", "completed"]
    assert [len(record.curve) for record in again.oracle.history] == [3, 1]
    assert "the search's 4 epochs are used up" in again.oracle.history[1].verdict.reason


@pytest.mark.parametrize(
    ("budget", "curves"), [(8, [[3, 3], [2]]), (9, [[3, 3], [3]]), (10, [[3, 3], [3, 1]])]
)
def test_the_budget_of_epochs_counts_every_execution(
    budget: int, curves: list[list[int]], tmp_path: Path
) -> None:
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        executions_per_trial=2,
        max_epochs_total=budget,
    )
    tuner.search(X, Y, **FIT)
    assert [[*map(len, (*r.earlier_curves, r.curve))] for r in tuner.oracle.history] == curves
