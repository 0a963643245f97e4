"""A trial that is killed in the middle goes on at its epoch, to the same outcome."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import kt_plus
from tests.integration.small_networks import VALIDATION, X, Y, build_model
from tests.integration.test_kill import run

pytestmark = pytest.mark.versions

FIT = {"epochs": 4, "batch_size": 16, "validation_data": VALIDATION, "verbose": 0}


class Killed(BaseException):
    """The end of the process, as far as the search can tell."""


class KillAt(keras.callbacks.Callback):
    """Raises at the beginning of an epoch, once; notes every epoch that begins."""

    place: int | None = None
    epochs: ClassVar[list[int]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(epoch)
        if epoch == KillAt.place:
            KillAt.place = None
            raise Killed


def search(directory: Path | str, kill_at: int | None = None, **options: Any) -> Any:
    """A search of one trial, in this process; the epochs that it began are in `KillAt`."""
    KillAt.place = kill_at
    KillAt.epochs.clear()
    options = {"hypermodel": build_model, "checkpoint_interval": 0, **options}
    tuner = kt_plus.RandomSearch(
        objective="val_loss", max_trials=1, seed=0, directory=directory, project_name="p", **options
    )
    tuner.search(X, Y, callbacks=[KillAt()], **FIT)
    return tuner


@pytest.mark.slow
def test_the_same_outcome_to_the_last_bit(tmp_path: Path) -> None:
    """With dropout, Adam, batch normalization, two executions and Keras's own callbacks."""
    told = json.loads(run("tests.integration.resumed_training", str(tmp_path)).splitlines()[-1])
    undisturbed, runs = told["undisturbed"], told["runs"]
    assert undisturbed[-1]["event"] == "end"
    assert runs[-1][-1] == undisturbed[-1]
    assert undisturbed[-1]["folders"] == []
    places = [[tuple(event["at"]) for event in run if "at" in event] for run in runs]
    # Each goes on at the epoch in which the one before was killed.
    assert [run[0] for run in places[1:]] == [run[-1] for run in places[:-1]]
    assert [run[-1] for run in places[:-1]] == [("0", 0, 3), ("0", 1, 2), ("1", 1, 0)]
    once = [place for run in places[:-1] for place in run[:-1]] + places[-1]
    assert once == [tuple(event["at"]) for event in undisturbed[:-1]]


@pytest.mark.usefixtures("eager")
def test_an_epoch_does_not_touch_the_seed_of_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it is set TensorFlow prepares all compiled functions anew, for seconds."""
    tensorflow = pytest.importorskip("tensorflow")
    set_seed, times = tensorflow.random.set_seed, []

    def counted(seed: int) -> None:
        times.append(seed)
        set_seed(seed)

    monkeypatch.setattr(tensorflow.random, "set_seed", counted)
    search(tmp_path / "short")
    once = len(times)
    monkeypatch.setitem(FIT, "epochs", 8)
    search(tmp_path / "long")
    assert KillAt.epochs == [*range(8)]
    assert 0 < once == len(times) - once


@pytest.mark.usefixtures("eager")
def test_no_checkpoint_before_its_time(tmp_path: Path) -> None:
    for interval in (3600.0, None):
        with pytest.raises(Killed):
            search(tmp_path / str(interval), 2, checkpoint_interval=interval)
        assert not list(tmp_path.glob(f"{interval}/p/*/resume"))
        tuner = search(tmp_path / str(interval), checkpoint_interval=interval)
        assert KillAt.epochs == [0, 1, 2, 3]
        assert len(tuner.oracle.history[0].curve) == 4


@pytest.mark.usefixtures("eager")
def test_another_network_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        search(tmp_path, 2)

    def changed(hp: Any) -> Any:
        model = build_model(hp)
        model.add(keras.layers.Dense(2, activation="softmax"))
        return model

    with pytest.warns(UserWarning, match="of another network"):
        tuner = search(tmp_path, hypermodel=changed)
    assert KillAt.epochs == [0, 1, 2, 3]
    assert tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(
        tuner.oracle.trials["0"].score, rel=1e-6
    )


@pytest.mark.usefixtures("eager")
def test_a_model_that_is_built_by_its_first_call_goes_on_too(tmp_path: Path) -> None:
    class Network(keras.Model):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.hidden = keras.layers.Dense(units, activation="relu")
            self.out = keras.layers.Dense(2, activation="softmax")

        def call(self, inputs: Any) -> Any:
            return self.out(self.hidden(inputs))

    def build(hp: Any) -> Network:
        model = Network(hp.Int("units", 4, 16))
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    whole = search(tmp_path / "whole", hypermodel=build)
    with pytest.raises(Killed):
        search(tmp_path / "killed", 2, hypermodel=build)
    resumed = search(tmp_path / "killed", hypermodel=build)
    assert KillAt.epochs == [2, 3]
    assert resumed.oracle.history[0].curve == whole.oracle.history[0].curve
    loss = resumed.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0]
    assert loss == pytest.approx(resumed.oracle.trials["0"].score, rel=1e-6)


class Adversaries(keras.Model):
    """Two networks with an optimizer each, as in a GAN: the model itself is never called."""

    def __init__(self, units: int) -> None:
        super().__init__()
        shape = keras.Input(X.shape[1:])
        self.one = keras.Sequential([shape, keras.layers.Dense(units)])
        self.other = keras.Sequential([shape, keras.layers.Dense(units)])
        self.one_optimizer, self.other_optimizer = keras.optimizers.Adam(), keras.optimizers.Adam()

    def train_step(self, data: Any) -> dict[str, Any]:
        x = tf.cast(data[0], "float32")
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean((self.one(x) - self.other(x) - 1.0) ** 2)
        for network, optimizer in (
            (self.one, self.one_optimizer),
            (self.other, self.other_optimizer),
        ):
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"distance": loss}


@pytest.mark.usefixtures("eager")
def test_a_model_with_optimizers_of_its_own_begins_anew(tmp_path: Path) -> None:
    def build(hp: Any) -> Adversaries:
        model = Adversaries(hp.Int("units", 2, 4))
        model.compile()
        return model

    def attempt(kill_at: int | None) -> Any:
        KillAt.place = kill_at
        KillAt.epochs.clear()
        goal = keras_tuner.Objective("distance", "min")
        options = {"checkpoint_interval": 0, "directory": tmp_path, "project_name": "p"}
        tuner = kt_plus.RandomSearch(build, goal, max_trials=1, seed=0, **options)
        tuner.search(X, Y, callbacks=[KillAt()], epochs=4, batch_size=16, verbose=0)
        return tuner

    with pytest.raises(Killed):
        attempt(2)
    with pytest.warns(UserWarning, match="optimizers besides the one"):
        tuner = attempt(None)
    assert KillAt.epochs == [0, 1, 2, 3]
    best = tuner.get_best_models()[0]
    assert np.abs(best.one.get_weights()[1] - best.other.get_weights()[1]).max() > 0.01


@pytest.mark.usefixtures("eager")
def test_a_damaged_checkpoint_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        search(tmp_path, 2)
    (state,) = tmp_path.glob("p/*/resume/state.npz")
    state.write_bytes(state.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged"):
        search(tmp_path)
    assert KillAt.epochs == [0, 1, 2, 3]


@pytest.mark.usefixtures("eager")
def test_a_failed_attempt_leaves_no_checkpoint(tmp_path: Path) -> None:
    class Diverges(keras.callbacks.Callback):
        attempts = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                Diverges.attempts += 1
                if Diverges.attempts == 1:
                    raise ArithmeticError

    tuner = kt_plus.RandomSearch(
        build_model,
        "val_loss",
        max_trials=1,
        max_retries_per_trial=1,
        checkpoint_interval=0,
        directory=tmp_path,
        project_name="p",
    )
    KillAt.epochs.clear()
    tuner.search(X, Y, callbacks=[KillAt(), Diverges()], **FIT)
    assert KillAt.epochs == [0, 1, 2, 0, 1, 2, 3]
    assert tuner.oracle.trials["0"].status == "COMPLETED"
    assert not (tmp_path / "p" / "trial_0" / "resume").exists()


@pytest.mark.usefixtures("eager")
def test_the_best_weights_are_those_of_the_score(tmp_path: Path) -> None:
    """Even if a better epoch was trained after the last checkpoint, and lost."""

    class Worsens(keras.callbacks.Callback):
        """From epoch 1 on the weights are worthless."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if KillAt.epochs[-1] >= 1:
                self.model.set_weights([np.nan * w for w in self.model.get_weights()])

    def attempt(kill_at: int | None) -> Any:
        KillAt.place = kill_at
        tuner = kt_plus.RandomSearch(
            build_model,
            "val_loss",
            max_trials=1,
            seed=0,
            checkpoint_interval=0,
            directory=tmp_path,
            project_name="p",
        )
        tuner.search(X, Y, callbacks=[KillAt(), Worsens()], **FIT)
        return tuner

    with pytest.raises(Killed):
        attempt(2)
    best = tmp_path / "p" / "trial_0" / "checkpoint.weights.h5"
    os.replace(best, best.with_name("of epoch 0"))
    best.write_bytes(b"half of a later epoch's")
    tuner = attempt(None)
    assert tuner.oracle.trials["0"].best_step == 0
    assert tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(
        tuner.oracle.trials["0"].score, rel=1e-6
    )


@pytest.mark.usefixtures("eager")
def test_a_remote_directory(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        search(f"file://{tmp_path}", 2)
    assert {path.name for path in tmp_path.glob("p/*/resume/*")} > {"state.npz"}
    tuner = search(f"file://{tmp_path}")
    assert KillAt.epochs == [2, 3]
    assert len(tuner.oracle.history[0].curve) == 4
    assert not [*tmp_path.glob("p/*/resume")]
    assert tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(
        tuner.oracle.trials["0"].score, rel=1e-6
    )


@pytest.mark.parametrize("interval", [-1, "often", True])
def test_bad_intervals(interval: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint_interval"):
        search(tmp_path, checkpoint_interval=interval)
