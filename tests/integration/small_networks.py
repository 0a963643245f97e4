"""Data, networks and settings that make a whole search a matter of seconds."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner as kt
import numpy as np

import kt_plus


def _points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 4)).astype("float32")
    return points, (points[:, 0] * points[:, 1] > 0).astype("int32")


X, Y = _points(48, seed=0)
X_VALIDATION, Y_VALIDATION = VALIDATION = _points(24, seed=1)

# The class that a user writes, and the least that it needs to run a search of a few trials.
SEARCHES: dict[str, tuple[Any, dict[str, Any]]] = {
    "kt.RandomSearch": (kt.RandomSearch, {"max_trials": 3}),
    "kt_plus.RandomSearch": (kt_plus.RandomSearch, {"max_trials": 3}),
    "kt_plus.EvolutionarySearch": (
        kt_plus.EvolutionarySearch,
        {"max_trials": 4, "population_size": 2, "tournament_size": 1, "random_trials": 2},
    ),
    "kt_plus.ReinforcementLearning": (
        kt_plus.ReinforcementLearning,
        {"max_trials": 4, "batch_size": 1, "units": 4},
    ),
    "kt_plus.GridSearch": (kt_plus.GridSearch, {"max_trials": 3}),
    "kt_plus.BayesianOptimization": (
        kt_plus.BayesianOptimization,
        {"max_trials": 4, "num_initial_points": 2},
    ),
    "kt_plus.Hyperband": (kt_plus.Hyperband, {"max_epochs": 2, "factor": 2}),
}
FEW = ("kt.RandomSearch", "kt_plus.EvolutionarySearch", "kt_plus.Hyperband")


def new(name: str, *args: Any, **kwargs: Any) -> Any:
    """A tuner of the search called `name`."""
    search, settings = SEARCHES[name]
    return search(*args, **{"seed": 3, **settings, **kwargs})


def compiled(layers: list[Any], learning_rate: float = 0.05) -> Any:
    """A classifier of two classes."""
    model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
    optimizer = keras.optimizers.SGD(learning_rate)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build_model(hp: Any) -> Any:
    """One hidden layer, whose width is searched, and the learning rate."""
    layer = keras.layers.Dense(hp.Int("units", 2, 16, step=2), activation="relu")
    return compiled([layer], hp.Float("learning_rate", 1e-3, 1.0, sampling="log"))


def accuracy(model: Any) -> float:
    """The accuracy on the validation data, as `fit` reports it."""
    return float(model.evaluate(*VALIDATION, verbose=0)[1])


def scores(tuner: Any) -> dict[str, float]:
    """The score of every trial, by its id."""
    return {trial_id: trial.score for trial_id, trial in tuner.oracle.trials.items()}


def statuses(tuner: Any) -> set[str]:
    """How the trials have ended."""
    return {trial.status for trial in tuner.oracle.trials.values()}
