"""The digits, the network to be found for them, and the searches of the demo."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
from digits_report import Outcome
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kt_plus

Images = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Settings:
    """What each search may spend, and how it goes about it.

    Args:
        trials: The trials of the random search.
        epochs: The epochs of a trial that is not stopped.
        max_trials: The trials of a search of kt_plus at most.
        stopping: The stopping rule of a search of kt_plus.
        seed: The seed of everything random.
    """

    trials: int
    epochs: int
    max_trials: int
    stopping: str
    seed: int


def settings(small: bool, seed: int) -> Settings:
    if small:
        return Settings(4, 3, 10, "auto", seed)
    return Settings(10, 10, 20, "auto", seed)


class DigitsModel(kt.HyperModel):
    """A convolutional network of one to three blocks, with or without a dense layer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        keras.utils.set_random_seed(self.seed)  # Keras Tuner's seed does not reach the weights
        model = keras.Sequential([keras.Input((8, 8, 1))])
        for i in range(hp.Int("blocks", 1, 3)):
            with hp.conditional_scope("blocks", list(range(i + 1, 4))):
                filters = hp.Int(f"filters_{i}", 8, 32, step=8)
            model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
            model.add(keras.layers.MaxPooling2D())
        model.add(keras.layers.Flatten())
        if hp.Boolean("dense"):
            with hp.conditional_scope("dense", [True]):
                units = hp.Int("units", 16, 128, step=2, sampling="log")
            model.add(keras.layers.Dense(units, activation="relu"))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
        model.add(keras.layers.Dense(10, activation="softmax"))
        learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=False,  # compiling would take longer than training
        )
        return model

    def fit(self, hp: kt.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        kwargs.update(batch_size=hp.Choice("batch_size", [16, 32, 64, 128]))
        kwargs.update(validation_batch_size=512, verbose=0)  # the search has a bar of its own
        return model.fit(*args, **kwargs)


class RecordedRandomSearch(kt.RandomSearch):
    """`keras_tuner.RandomSearch` that keeps its learning curves, and tells of every trial."""

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(trial, model, epoch, logs)
        file = self.curve_file(trial.trial_id)
        curve = json.loads(file.read_text())[:epoch] if epoch else []
        file.write_text(json.dumps([*curve, logs["val_accuracy"]]))

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        done, best = len(self.oracle.end_order), self.oracle.get_best_trials()[0].score
        print(f"Trial {done} of {self.oracle.max_trials}, best val_accuracy {best:.4f}", flush=True)

    def curve_file(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / "curve.json"

    def curves(self) -> list[list[float]]:
        ids = self.oracle.start_order
        return [json.loads(self.curve_file(trial_id).read_text()) for trial_id in ids]


def search(name: str, folder: Path, settings: Settings) -> Outcome:
    """Runs the search of that name, Keras Tuner's or ours."""
    ours = name.startswith("kt_plus.")
    return (kt_plus_search if ours else keras_tuner_search)(name, folder, settings)


def keras_tuner_search(name: str, folder: Path, settings: Settings) -> Outcome:
    tuner = RecordedRandomSearch(
        DigitsModel(settings.seed),
        objective="val_accuracy",
        max_trials=settings.trials,
        seed=settings.seed + 1,  # Keras Tuner takes a seed of 0 for none
        directory=folder,
        project_name=name,
    )
    validation, test, seconds = run(tuner, settings.epochs, verbose=0)
    curves = tuner.curves()
    return Outcome(name, settings.seed, validation, test, seconds, curves, [False] * len(curves))


def kt_plus_search(name: str, folder: Path, settings: Settings) -> Outcome:
    tuner = getattr(kt_plus, name.removeprefix("kt_plus."))(
        DigitsModel(settings.seed),
        objective="val_accuracy",
        max_trials=settings.max_trials,
        max_epochs_total=settings.trials * settings.epochs,
        stopping=settings.stopping,
        seed=settings.seed + 1,
        directory=folder,
        project_name=name,
    )
    validation, test, seconds = run(tuner, settings.epochs, verbose=1)
    trials = tuner.oracle.history
    curves = [list(trial.curve) for trial in trials]
    stopped = [bool(trial.verdict) for trial in trials]
    return Outcome(name, settings.seed, validation, test, seconds, curves, stopped)


def run(tuner: kt.Tuner, epochs: int, verbose: int) -> tuple[float, float, float]:
    """Searches to the end; the best model's accuracy in validation and test, and the seconds."""
    train, validation, test = digits()
    clock = Path(tuner.project_dir) / "seconds.json"
    with stopwatch(clock):
        tuner.search(*train, epochs=epochs, validation_data=validation, verbose=verbose)
    best = tuner.oracle.get_best_trials()[0]
    with warnings.catch_warnings():  # Keras tells that the optimizer's state is not restored
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        _, accuracy = tuner.get_best_models()[0].evaluate(*test, verbose=0)
    return float(best.score), float(accuracy), json.loads(clock.read_text())


def digits() -> tuple[Images, Images, Images]:
    """Half of the 1,797 images to train on, a quarter to choose by, a quarter to test on."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype("float32").reshape(-1, 8, 8, 1)
    x, x_rest, y, y_rest = train_test_split(
        images, labels, test_size=0.5, random_state=0, stratify=labels
    )
    x_validation, x_test, y_validation, y_test = train_test_split(
        x_rest, y_rest, test_size=0.5, random_state=0, stratify=y_rest
    )
    return (x, y), (x_validation, y_validation), (x_test, y_test)


@contextlib.contextmanager
def stopwatch(file: Path) -> Iterator[None]:
    """Adds the seconds spent inside to those in `file`, interrupted or not."""
    before = json.loads(file.read_text()) if file.exists() else 0.0
    began = time.monotonic()
    try:
        yield
    finally:
        file.write_text(json.dumps(before + time.monotonic() - began))
