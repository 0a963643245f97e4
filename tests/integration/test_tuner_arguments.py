"""What a tuner and its `search` can be given and asked, as in Keras Tuner."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

import kt_plus
from tests.integration.small_networks import (
    FEW,
    SEARCHES,
    VALIDATION,
    X,
    Y,
    accuracy,
    build_model,
    compiled,
    new,
    scores,
    statuses,
)
from tests.tiers import mostly_full

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]
every_search = pytest.mark.parametrize("search", mostly_full(SEARCHES, FEW[1:]))
some_searches = pytest.mark.parametrize("search", mostly_full(FEW, FEW[1:]))
OBJECTIVE = "val_accuracy"
FIT = {"epochs": 2, "validation_data": VALIDATION, "verbose": 0}


class Seen(keras.callbacks.Callback):
    """A user's callback, of which each execution of each trial has a copy."""

    epochs: list[int] = []  # noqa: RUF012 - shared by all copies on purpose

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        assert OBJECTIVE in logs
        self.epochs.append(epoch)


@pytest.mark.versions
@some_searches
def test_callbacks(search: str, tmp_path: Path) -> None:
    Seen.epochs.clear()
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=1),
        keras.callbacks.TensorBoard(str(tmp_path / "logs")),
        Seen(),
    ]
    tuner = new(search, build_model, objective=OBJECTIVE, directory=tmp_path)
    tuner.search(X, Y, **{**FIT, "epochs": 4}, callbacks=callbacks)
    assert statuses(tuner) == {"COMPLETED"}
    assert set(Seen.epochs) == {0, 1}  # no loss improves by 10
    for trial_id in tuner.oracle.trials:
        events = list((tmp_path / "logs" / trial_id / "execution0").rglob("events.out*"))
        assert events
        assert not Path(tuner.get_trial_dir(trial_id), "logs").exists()


class Locked(keras.callbacks.Callback):
    """What cannot be copied, as many progress bars and writers cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_callbacks_that_cannot_be_copied(tmp_path: Path) -> None:
    tuner = new("kt_plus.RandomSearch", build_model, OBJECTIVE, max_trials=1, directory=tmp_path)
    refusal = r"deep-copyable(?s:.*)The callback Locked cannot .*lock.*Open"
    with pytest.raises(kt.errors.FatalValueError, match=refusal):
        tuner.search(X, Y, **FIT, callbacks=[keras.callbacks.EarlyStopping(), Locked()])
    Locked.__deepcopy__ = lambda self, memo: Locked()
    tuner.search(X, Y, **FIT, callbacks=Locked())  # one alone, as Keras allows
    assert statuses(tuner) == {"COMPLETED"}


@pytest.mark.parametrize("callbacks", [None, (Seen(),)])
def test_callbacks_as_keras_takes_them(callbacks: Any, tmp_path: Path) -> None:
    tuner = new("kt_plus.RandomSearch", build_model, OBJECTIVE, max_trials=1, directory=tmp_path)
    tuner.search(X, Y, **FIT, callbacks=callbacks)
    assert statuses(tuner) == {"COMPLETED"}


def test_an_oracle_of_keras_tuners(tmp_path: Path) -> None:
    oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, max_trials=2, seed=1)
    tuner = kt_plus.Tuner(oracle, build_model, directory=tmp_path, executions_per_trial=2)
    tuner.search(X, Y, **FIT)
    assert [trial.status for trial in oracle.trials.values()] == ["COMPLETED"] * 2
    best = oracle.get_best_trials()[0]
    assert best.hyperparameters.values.keys() == {hp.name for hp in oracle.get_space().space}
    assert accuracy(tuner.get_best_models()[0]) >= best.score  # the mean of both runs


def test_trials_that_were_put_into_an_oracle_are_ranked() -> None:
    oracle = kt_plus.oracles.RandomSearchOracle(OBJECTIVE)
    for trial_id, score in (("worse", 0.1), ("better", 0.9)):
        trial = kt.engine.trial.Trial(kt.HyperParameters(), trial_id, "COMPLETED")
        trial.score, oracle.trials[trial_id] = score, trial
    assert [trial.trial_id for trial in oracle.get_best_trials(2)] == ["better", "worse"]


@pytest.mark.versions
@some_searches
def test_a_pipeline_of_batches(search: str, tmp_path: Path) -> None:
    training = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(48, seed=0).batch(24)
    validation = tf.data.Dataset.from_tensor_slices(VALIDATION).batch(24).prefetch(1)
    tuner = new(search, build_model, objective=OBJECTIVE, directory=tmp_path)
    tuner.search(training, validation_data=validation, epochs=2, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    assert accuracy(tuner.get_best_models()[0]) == max(scores(tuner).values())


@some_searches
def test_a_validation_split(search: str, tmp_path: Path) -> None:
    tuner = new(search, build_model, objective="val_loss", directory=tmp_path)
    tuner.search(X, Y, epochs=2, validation_split=0.25, batch_size=12, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    loss = tuner.get_best_models()[0].evaluate(X[36:], Y[36:], batch_size=12, verbose=0)[0]
    assert loss == min(scores(tuner).values())


@pytest.mark.parametrize("search", mostly_full(FEW[:2], FEW[1:2]))
def test_several_executions_of_a_trial(search: str, tmp_path: Path) -> None:
    results: dict[str, list[float]] = {}

    class Tuner(SEARCHES[search][0]):
        def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
            history = super()._build_and_fit_model(trial, *args, **kwargs)
            results.setdefault(trial.trial_id, []).append(max(history.history[OBJECTIVE]))
            return history

    tuner = Tuner(
        build_model,
        objective=OBJECTIVE,
        directory=tmp_path,
        executions_per_trial=2,
        seed=3,
        **SEARCHES[search][1],
    )
    tuner.search(X, Y, **FIT)
    for trial_id, score in scores(tuner).items():
        assert len(results[trial_id]) == 2
        assert score == pytest.approx(sum(results[trial_id]) / 2)
    best = tuner.oracle.get_best_trials()[0].trial_id
    assert accuracy(tuner.get_best_models()[0]) == max(results[best])


@every_search
def test_conditional_scopes_and_fixed_values(search: str, tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        width = hp.Fixed("width", 6)
        kind = hp.Choice("kind", ["plain", "gated"])
        if kind == "plain":
            with hp.conditional_scope("kind", ["plain"]):
                layer = keras.layers.Dense(width, hp.Choice("activation", ["relu", "tanh"]))
            return compiled([layer])
        with hp.conditional_scope("kind", ["gated"]):
            layers: list[Any] = [keras.layers.Dense(width, "sigmoid")]
            if hp.Boolean("deep"):
                with hp.conditional_scope("deep", [True]):
                    layers.append(keras.layers.Dense(hp.Int("units", 2, 4), "relu"))
        return compiled(layers)

    settings = {} if search == "kt_plus.Hyperband" else {"max_trials": 8}
    tuner = new(search, build, objective=OBJECTIVE, directory=tmp_path, **settings)
    tuner.search(X, Y, **{**FIT, "epochs": 1})
    assert statuses(tuner) == {"COMPLETED"}
    names = {entry.name for entry in tuner.oracle.get_space().space}
    assert names == {"width", "kind", "activation", "deep", "units"}
    for trial in tuner.oracle.trials.values():
        values = trial.hyperparameters.values
        values = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        expected = {"width", "kind", "activation" if values["kind"] == "plain" else "deep"}
        assert set(values) == expected | ({"units"} if values.get("deep") else set())
        assert values["width"] == 6
    assert accuracy(tuner.get_best_models()[0]) == max(scores(tuner).values())
    if not search.startswith("kt."):  # two plain networks, four gated ones
        distinct = {str(hp.values) for hp in tuner.get_best_hyperparameters(9)}
        assert len(distinct) == len(tuner.oracle.trials) or search == "kt_plus.Hyperband"
        assert len(distinct) == 6 or search == "kt_plus.Hyperband"


@some_searches
def test_models_that_are_too_large(search: str, tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        model = build_model(hp)
        model.build((None, 4))
        return model

    tuner = new(
        search,
        build,
        objective=OBJECTIVE,
        directory=tmp_path,
        max_model_size=60,
        max_consecutive_failed_trials=9,
    )
    tuner.search(X, Y, **FIT)
    for trial in tuner.oracle.trials.values():
        too_large = 7 * trial.hyperparameters.get("units") + 2 > 60
        assert trial.status == ("FAILED" if too_large else "COMPLETED")
        assert not too_large or "Oversized model" in trial.message
    assert tuner.get_best_hyperparameters()[0].get("units") <= 8


@some_searches
def test_the_id_of_a_tuner_and_resuming(search: str, tmp_path: Path) -> None:
    place = {"directory": tmp_path, "project_name": "p", "objective": OBJECTIVE}
    tuner = new(search, build_model, tuner_id="worker7", **place)
    assert tuner.tuner_id == "worker7"
    tuner.search(X, Y, **FIT)
    again = new(search, build_model, tuner_id="worker7", **place)
    if search.startswith("kt."):
        return  # it starts over: see KERAS_TUNER.md
    assert scores(again) == scores(tuner)
    again.search(X, Y, **FIT)
    assert scores(again) == scores(tuner)
    assert accuracy(again.get_best_models()[0]) == max(scores(tuner).values())


@pytest.mark.versions
@every_search
def test_overwriting_and_resuming(search: str, tmp_path: Path) -> None:
    place = {"directory": tmp_path, "project_name": "p", "objective": OBJECTIVE}
    tuner = new(search, build_model, **place)
    tuner.search(X, Y, **{**FIT, "epochs": 1})
    resumed = new(search, build_model, **place)
    assert scores(resumed) == scores(tuner)
    assert resumed.remaining_trials in (0, None)
    checkpoint = Path(resumed.get_trial_dir(min(scores(tuner))), "checkpoint.weights.h5")
    assert checkpoint.exists()
    anew = new(search, build_model, overwrite=True, **place)
    assert not anew.oracle.trials
    assert not checkpoint.exists()


def test_going_on_with_another_model(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        layers = [keras.layers.Dense(hp.Int("units", 2, 4))]
        layers *= hp.Choice("layers", (1, 2))
        layers.append(keras.layers.Dropout(hp.Choice("dropout", tuple(np.linspace(0, 0.5, 3)))))
        return compiled(layers, hp.Float("rate", 1e-3, 1e-2))

    def wider(hp: Any) -> Any:
        return compiled([keras.layers.Dense(hp.Int("units", 8, 9))], hp.Float("rate", 1e-3, 1e-2))

    place = {"directory": tmp_path, "project_name": "p", "objective": OBJECTIVE}
    tuner = new("kt_plus.RandomSearch", build, max_trials=1, **place)
    tuner.search(X, Y, **FIT)
    again = new("kt_plus.RandomSearch", build, max_trials=1, **place)  # with no warning
    assert len(again.get_best_models()) == 1
    changed = (
        r"begun: units was Int\(min_value=2, max_value=4, step=1, .*\) and is Int\(min_value=8"
    )
    with pytest.warns(UserWarning, match=changed) as warned:
        again = new("kt_plus.RandomSearch", wider, **place)
    assert "rate" not in str(warned[0].message)
    with pytest.raises(ValueError, match=r"trial 0 could not be made again .* Keras says"):
        SEARCHES["kt_plus.RandomSearch"][0](
            lambda hp: compiled([keras.layers.Dense(5)]), **place
        ).get_best_models()
    given = kt.HyperParameters()
    given.Int("units", 2, 4)
    new("kt_plus.RandomSearch", wider, hyperparameters=given, **place)  # overridden as before


@pytest.mark.slow
def test_a_distribution_strategy(tmp_path: Path) -> None:
    """Of networks without an input layer, which are built when they get their weights."""
    command = [sys.executable, "-m", "tests.integration.mirrored_training", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.stdout.splitlines()[-3:] == [
        "{'0': 'COMPLETED', '1': 'COMPLETED'} [{2}, {2}]",
        "inherited: 1",
        f"predicted: {len(X)}",
    ], done.stderr


@some_searches
def test_summaries(search: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuner = new(search, build_model, objective=OBJECTIVE, directory=tmp_path)
    tuner.search_space_summary()
    tuner.search(X, Y, **FIT)
    tuner.results_summary(2)
    printed = capsys.readouterr().out
    assert "Default search space size: 2" in printed
    assert "units (Int)" in printed
    best = tuner.oracle.get_best_trials()[0]
    assert printed.count("Score: ") == 2
    assert f"Score: {best.score}" in printed


def test_the_values_of_hyperband_stay_out_of_the_best_hyperparameters(tmp_path: Path) -> None:
    tuner = new("kt_plus.Hyperband", build_model, objective=OBJECTIVE, directory=tmp_path)
    tuner.search(X, Y, **FIT)
    for hp in tuner.get_best_hyperparameters(10):
        assert set(hp.values) == {"units", "learning_rate"}
        assert isinstance(tuner.hypermodel.build(hp), keras.Model)
    rounds = [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]
    assert {values["tuner/epochs"] for values in rounds} == {1, 2}
    for trial, values in zip(tuner.oracle.trials.values(), rounds, strict=True):
        first, last = values["tuner/initial_epoch"], values["tuner/epochs"]
        record = tuner.oracle.history.get(trial.trial_id)
        assert (record.first_epoch, len(record.curve)) == (first, last - first)
        assert record.rung == values["tuner/round"]


def test_hyperband_goes_on_from_the_weights_of_the_round_before(tmp_path: Path) -> None:
    class Tuner(SEARCHES["kt_plus.Hyperband"][0]):
        def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
            source = trial.hyperparameters.values.get("tuner/trial_id")
            if source is not None:
                before = self.oracle.get_trial(source)
                started_from[trial.trial_id] = accuracy(model), before.score

    started_from: dict[str, tuple[float, float]] = {}
    tuner = Tuner(build_model, kt.Objective(OBJECTIVE, "max"), 2, 2, seed=1, directory=tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Skipping variable loading for optimizer")
        tuner.search(X, Y, **FIT)
    assert statuses(tuner) == {"COMPLETED"}
    assert started_from
    assert all(weights == score for weights, score in started_from.values())
