"""Keras really trains, in two workers: what holds in one process holds there."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import pytest

import kt_plus
from tests.distribute.searches import kill_chief, processes, running
from tests.integration.small_networks import (
    SEARCHES,
    VALIDATION,
    X,
    Y,
    accuracy,
    build_model,
    scores,
    statuses,
)
from tests.tiers import mostly_full

pytestmark = pytest.mark.slow

FIT = {"epochs": 3, "batch_size": 16, "validation_data": VALIDATION, "verbose": 0}


def search(directory: Path, name: str = "kt_plus.RandomSearch", **options: Any) -> Any:
    """A search of `SEARCHES` with two workers."""
    hypermodel = options.pop("hypermodel", build_model)
    callbacks = options.pop("callbacks", [])
    distribution = {n: options.pop(n) for n in ("isolate", "workers") if n in options}

    def make_tuner() -> Any:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)  # the tracing of a graph takes longer than training
        kind, settings = SEARCHES[name]
        place = {"directory": directory, "project_name": "p", "seed": 3}
        tuner = kind(hypermodel, objective="val_accuracy", **{**settings, **place, **options})
        return tuner, {"x": X, "y": Y, "callbacks": callbacks, **FIT}

    return kt_plus.distribute.search(make_tuner, **{"workers": 2, **distribution})


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "name",
    mostly_full(
        [name for name in SEARCHES if name.startswith("kt_plus")],
        ["kt_plus.EvolutionarySearch", "kt_plus.Hyperband"],
    ),
)
def test_every_search(name: str, tmp_path: Path) -> None:
    tuner = search(tmp_path, name)
    assert statuses(tuner) == {"COMPLETED"}
    limit = SEARCHES[name][1].get("max_trials")
    assert limit is None or len(tuner.oracle.trials) == limit
    values = [dict(record.values) for record in tuner.oracle.history]
    if name != "kt_plus.Hyperband":  # which trains one configuration in several trials
        assert all(values.count(one) == 1 for one in values)
    best = max(scores(tuner).values())
    assert accuracy(tuner.get_best_models()[0]) == pytest.approx(best, abs=1e-6)
    assert {"worker0", "worker1"} < set(processes(tmp_path))
    assert not running(tmp_path)


@pytest.mark.usefixtures("eager")
def test_the_outcome_is_that_of_one_process(tmp_path: Path) -> None:
    """Random search proposes, and a seed trains, the same wherever it is done."""
    tuner = search(tmp_path / "two", max_trials=4)
    kind, _ = SEARCHES["kt_plus.RandomSearch"]
    place = {"directory": tmp_path / "one", "project_name": "p"}
    alone = kind(build_model, objective="val_accuracy", max_trials=4, seed=3, **place)
    alone.search(X, Y, **FIT)
    assert scores(tuner) == scores(alone)
    for trial_id, note in tuner.oracle.notes.items():
        assert note.curves == alone.oracle.notes[trial_id].curves


@pytest.mark.usefixtures("eager")
def test_stopping_executions_and_a_fit_of_ones_own(tmp_path: Path) -> None:
    class Model(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build_model(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            kwargs["batch_size"] = hp.Choice("batch_size", [12, 24])
            return model.fit(*args, **kwargs)

    class AfterOneEpoch(kt_plus.stopping.Stopper):
        def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
            return kt_plus.Verdict(int(trial.trial_id) % 2 == 1, "odd")

    options = {"max_trials": 4, "executions_per_trial": 2, "stopping": AfterOneEpoch()}
    tuner = search(tmp_path, hypermodel=Model(), **options)
    for trial_id, note in tuner.oracle.notes.items():
        odd = int(trial_id) % 2 == 1
        assert [len(c.values) for c in note.curves] == ([1] if odd else [3, 3])
        assert note.stop_reason == ("stopped at epoch 1 of 3: odd" if odd else None)
        assert "batch_size" in tuner.oracle.trials[trial_id].hyperparameters.values


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("victim", ["chief", "worker"])
def test_training_goes_on_at_its_epoch(victim: str, tmp_path: Path) -> None:
    """A worker that is killed in the middle goes on there; one whose chief is killed, just on."""
    noted = tmp_path / "epochs"

    class Sabotage(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            trial_id = self.model.trial_id
            first = not noted.exists() or f"{trial_id} 2" not in noted.read_text().splitlines()
            with open(noted, "a") as file:
                file.write(f"{trial_id} {epoch}\n")
            if (trial_id, epoch) == ("1", 2) and first:
                if victim == "chief":
                    kill_chief(tmp_path)
                else:
                    os.kill(os.getpid(), signal.SIGKILL)

    class Model(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build_model(hp)

    class Fit(Model):
        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            ours = next(c for c in kwargs["callbacks"] if type(c).__name__ == "TunerCallback")
            model.trial_id = ours.trial.trial_id
            return model.fit(*args, **kwargs)

    options = {"max_trials": 3, "checkpoint_interval": 0}
    undisturbed = search(tmp_path / "undisturbed", **options, workers=1)
    tuner = search(tmp_path, hypermodel=Fit(), callbacks=[Sabotage()], **options, workers=1)
    assert scores(tuner) == scores(undisturbed)
    again = ["1 2"] if victim == "worker" else []
    trials = [f"{trial} {epoch}" for trial in range(3) for epoch in range(3)]
    assert sorted(noted.read_text().splitlines()) == sorted([*trials, *again])
    for trial_id, note in tuner.oracle.notes.items():
        assert note.curves == undisturbed.oracle.notes[trial_id].curves


@pytest.mark.usefixtures("eager")
def test_a_build_that_fails_ends_the_search_as_alone(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        return a_name_to_be_found(hp)

    def a_name_to_be_found(hp: Any) -> Any:
        raise ZeroDivisionError("no units")

    with pytest.raises(kt_plus.errors.BuildError, match="no units") as caught:
        search(tmp_path, hypermodel=build)
    assert "a_name_to_be_found" in str(caught.value.__cause__)


@pytest.mark.usefixtures("eager")
def test_an_isolated_trial_has_a_process_of_its_own(tmp_path: Path) -> None:
    tuner = search(tmp_path, max_trials=3, isolate=True, workers=1)
    assert statuses(tuner) == {"COMPLETED"}
    ids = processes(tmp_path)["worker0"]
    assert len(ids) == len(set(ids)) == 4  # the last one hears that there is no more to do
