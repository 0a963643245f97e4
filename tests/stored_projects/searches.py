"""The searches of the stored projects.

`make.py` runs them with the version that is stored; the tests resume them with the current one.
Data, initial weights and the order of the batches are the same on every machine and backend, so
that scores differ by rounding only. Each change here changes what the stored projects mean.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_tuner as kt
import numpy as np

import kt_plus
from kt_plus.search_spaces import ChainSpace

HERE = Path(__file__).parent
EPOCHS = 3
INTERRUPTED_BEFORE = 2
"""The epoch at whose beginning the interrupted trials were killed, counted from 0."""


def _numbers(count: int, step: int) -> np.ndarray:
    """Numbers between -1 and 1 that look random, exact in 32 bits."""
    return ((np.arange(1, count + 1) * step % 101) - 50) / 64


X = _numbers(36 * 3, 37).reshape(36, 3).astype("float32")
Y = (2 * X[:, 0] * X[:, 1] + X[:, 2]).astype("float32")
TRAINING, VALIDATION = (X[:24], Y[:24]), (X[24:], Y[24:])

FIT: dict[str, Any] = {"batch_size": 24, "shuffle": False, "verbose": 0}
HELD_OUT: dict[str, Any] = {"validation_data": VALIDATION}


class Spread(keras.initializers.Initializer):
    """Initial weights that are the same on every backend."""

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> Any:
        values = _numbers(math.prod(shape), 29).reshape(shape)
        return keras.ops.convert_to_tensor(values.astype("float32"), dtype)


def build_model(hp: Any) -> Any:
    """One or two hidden layers of a few units: 11 to 113 weights."""

    def hidden(name: str, activation: str) -> Any:
        units = hp.Int(name, 2, 8)
        return keras.layers.Dense(units, activation=activation, kernel_initializer=Spread())

    activation = hp.Choice("activation", ["relu", "tanh"])
    layers = [keras.Input((3,)), hidden("units", activation)]
    if hp.Boolean("second"):
        with hp.conditional_scope("second", [True]):
            layers.append(hidden("second_units", activation))
    layers.append(keras.layers.Dense(1, kernel_initializer=Spread()))
    model = keras.Sequential(layers)
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss="mean_squared_error")
    return model


class Epochs(keras.callbacks.Callback):
    """Notes every epoch that begins, in all trials together."""

    begun: ClassVar[list[int]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun.append(epoch)


@dataclass(frozen=True)
class Kind:
    """A search whose project is stored.

    Args:
        search: The class that resumes it.
        stored: How many trials had ended, or were running, when it was stored.
        settings: The arguments of the class.
        fit: The arguments of `search`, besides data and `FIT`.
        began_as: The class that began it, and its arguments, if that was another one.
        killed: The trials that ran when its processes were killed.
    """

    search: Any
    stored: int
    settings: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=lambda: {"epochs": EPOCHS, **HELD_OUT})
    began_as: tuple[Any, dict[str, Any]] | None = None
    killed: tuple[str, ...] = ()


def _tpe(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(n_startup_trials=3, seed=seed)


EVOLUTION: dict[str, Any] = {
    "max_trials": 7,
    "population_size": 4,
    "tournament_size": 2,
    "random_trials": 3,
}
INTERRUPTED = {**EVOLUTION, "inherit_weights": True, "checkpoint_interval": 0}
HALVING: dict[str, Any] = {"configurations": 4, "max_epochs": 4, "min_epochs": 1}
RULE = kt_plus.stopping.MedianRule(min_trials=1, min_epochs=1)

KINDS: dict[str, Kind] = {
    "random": Kind(kt_plus.RandomSearch, 4, {"max_trials": 6}),
    "rule_and_folds": Kind(
        kt_plus.RandomSearch,
        3,
        {"max_trials": 5, "folds": 2, "stopping": RULE},
        {"epochs": EPOCHS},
    ),
    "evolution": Kind(kt_plus.EvolutionarySearch, 4, EVOLUTION),
    "inheritance": Kind(kt_plus.EvolutionarySearch, 4, {**EVOLUTION, "inherit_weights": True}),
    "halving": Kind(kt_plus.SuccessiveHalving, 5, HALVING, HELD_OUT),
    "asha": Kind(kt_plus.SuccessiveHalving, 4, {**HALVING, "asynchronous": True}, HELD_OUT),
    "controller": Kind(
        kt_plus.ReinforcementLearning, 4, {"max_trials": 7, "batch_size": 2, "units": 4}
    ),
    "optuna": Kind(kt_plus.OptunaSearch, 4, {"max_trials": 7, "sampler": _tpe}),
    "hyperband": Kind(kt_plus.Hyperband, 4, {"max_epochs": 3, "factor": 2}, HELD_OUT),
    "bayesian": Kind(kt_plus.BayesianOptimization, 4, {"max_trials": 6, "num_initial_points": 3}),
    "grid": Kind(kt_plus.GridSearch, 3, {"max_trials": 6}),
    "interrupted": Kind(kt_plus.EvolutionarySearch, 4, INTERRUPTED, killed=("3",)),
    "interrupted_workers": Kind(kt_plus.EvolutionarySearch, 5, INTERRUPTED, killed=("3", "4")),
    "keras_tuner": Kind(
        kt_plus.EvolutionarySearch, 4, EVOLUTION, began_as=(kt.RandomSearch, {"max_trials": 7})
    ),
}


def made(search: Any, settings: dict[str, Any], directory: Path | str, name: str) -> Any:
    """A tuner of a class, in the project `name` of a directory."""
    place = {"directory": str(directory), "project_name": name}
    if issubclass(search, kt_plus.Tuner):
        settings = {"keep_checkpoints": 1, **settings}
    return search(build_model, "val_loss", seed=3, **settings, **place)


def opened(name: str, directory: Path | str) -> Any:
    """The tuner that resumes a project."""
    return made(KINDS[name].search, KINDS[name].settings, directory, name)


def run(name: str, tuner: Any, *callbacks: Any) -> None:
    """Runs the trials that are left."""
    data = (X, Y) if "folds" in KINDS[name].settings else TRAINING
    with warnings.catch_warnings():
        # Five trials do not rank two rungs alike, or otherwise.
        warnings.filterwarnings("ignore", "Rank agreement")
        tuner.search(*data, callbacks=[Epochs(), *callbacks], **FIT, **KINDS[name].fit)


def trials(tuner: Any) -> list[dict[str, Any]]:
    """Each trial of a search, in the order of the starts."""
    return [
        {
            "id": record.trial_id,
            "status": record.status,
            "values": dict(record.values),
            "parent": record.parent,
            "rung": record.rung,
            "score": record.score,
            "stopped": record.verdict is not None,
            "first_epoch": record.first_epoch,
            "curves": [list(curve) for curve in (*record.earlier_curves, record.curve)],
        }
        for record in tuner.oracle.history
    ]


# AutoModel makes its tuner itself, and trains networks with random initial weights.

CLASSES = np.where(Y > 0, "large", "small")


def _small(*args: Any, **kwargs: Any) -> ChainSpace:
    return ChainSpace(
        *args, slots=1, widths=[4, 8], weight_decay=0.0, optimizer="sgd", dropout=0.0, **kwargs
    )


def auto_model(directory: Path | str, max_trials: int) -> Any:
    """An AutoModel of classes, not fitted."""
    return kt_plus.AutoModel(
        max_trials=max_trials, ensemble=2, seed=3, space=_small, directory=str(directory)
    )


def fitted(auto: Any) -> Any:
    """The same, fitted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The model is no")  # no better: it is trained so shortly
        return auto.fit(X, CLASSES, epochs=3, batch_size=12, verbose=0)


def resumed(names: Sequence[str], directory: Path | str) -> dict[str, list[dict[str, Any]]]:
    """Resumes projects; returns all trials of each."""
    found = {}
    for name in names:
        tuner = opened(name, directory)
        run(name, tuner)
        found[name] = trials(tuner)
    return found


if __name__ == "__main__":
    print(json.dumps(resumed(sys.argv[2:], sys.argv[1])))
