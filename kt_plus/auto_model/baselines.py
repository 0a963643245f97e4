"""What a network has to beat: a constant, and a linear model on the same features."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from kt_plus.auto_model.division import Split
from kt_plus.auto_model.metrics import losses
from kt_plus.auto_model.task import Task

Array = NDArray[Any]

MOST_EXAMPLES = 20_000
"""A linear model is fitted to so many examples at most, drawn at random."""

LARGEST_SIDE = 32
"""Larger images, and longer sequences, are averaged to that many pixels or steps for it."""

CONSTANT, LINEAR = "a constant", "a linear model"


@dataclass(frozen=True)
class Constant:
    """The mean of the targets, or the frequencies of the classes, whatever the input.

    Args:
        output: What it gives for every example.
    """

    output: Array

    @classmethod
    def fit(cls, task: Task, targets: Array, weights: Array | None = None) -> Constant:
        """The best constant for these targets, each of which counts as often as its weight."""
        weights = np.ones(len(targets)) if weights is None else weights.astype("float64")
        if task.name == "classification":
            # As if each class had been seen once more, so that none is impossible.
            counts = np.bincount(targets, weights, minlength=task.outputs) + 1.0
            return cls(counts / counts.sum())
        if task.name == "regression":
            return cls(weights @ targets / weights.sum())
        return cls((weights @ targets + 1.0) / (weights.sum() + 2.0))

    def predict(self, examples: int) -> Array:
        """The same output so many times."""
        return np.broadcast_to(self.output, (examples, len(self.output)))


@dataclass(frozen=True)
class Linear:
    """Ridge or logistic regression: one layer, fitted to its optimum by L-BFGS.

    The penalty is that of scikit-learn's `LogisticRegression` and `Ridge`: half the squared
    weights beside the summed loss, the intercepts free. Features should have scales near 1.

    Args:
        task: The task.
        weights: One row for each feature, and one of intercepts.
    """

    task: Task
    weights: Array

    @classmethod
    def fit(
        cls,
        task: Task,
        features: Array,
        targets: Array,
        weights: Array | None = None,
        seconds: float = 60.0,
    ) -> Linear:
        """Fits until the optimum is found, or the time is up.

        Args:
            task: The task.
            features: One row for each example.
            targets: As networks are trained on them.
            weights: How many times as much each example counts.
            seconds: How long it may take; what it has then is used.
        """
        features = _with_ones(features)
        wanted = np.eye(task.outputs)[targets] if task.name == "classification" else targets
        shape = features.shape[1], wanted.shape[1]
        counts = np.ones(len(wanted)) if weights is None else weights.astype("float64")
        until = time.monotonic() + seconds

        def loss(flat: Array) -> tuple[float, Array]:
            return _penalized(task, flat.reshape(shape), features, wanted, counts)

        def stop_in_time(_: Array) -> None:
            if time.monotonic() > until:
                raise StopIteration

        found = optimize.minimize(
            loss,
            np.zeros(shape).ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=stop_in_time,
            options={"maxiter": 500},
        )
        return cls(task, found.x.reshape(shape))

    def predict(self, features: Array) -> Array:
        """The outputs that a network would give."""
        return _activated(self.task, _with_ones(features) @ self.weights)


Rivals = list[dict[str, Array]]
"""For each fold what its examples cost under each baseline that was fitted to the others."""


def held_out(task: Task, preprocessing: Any, split: Split, folds: int, seconds: float) -> Rivals:
    """Fits the baselines to the features that networks see.

    Args:
        task: The task.
        preprocessing: What networks do to their input first.
        split: The data.
        folds: How many folds to judge by, one after the other.
        seconds: How long it may take.
    """
    network = feature_network(split.x.shape[1:], preprocessing)
    rivals: Rivals = []
    for fold in range(folds if split.folds is not None else 1):
        (x, *wanted), (x_held_out, y_held_out, *weights) = split.part(fold)
        few = np.random.default_rng(fold).permutation(len(x))[:MOST_EXAMPLES]
        some = (part[few] for part in wanted)
        linear = Linear.fit(task, _features(network, x[few]), *some, seconds=seconds / folds)
        outputs = {
            CONSTANT: Constant.fit(task, *wanted).predict(len(x_held_out)),
            LINEAR: linear.predict(_features(network, x_held_out)),
        }
        rivals.append({n: losses(task, y_held_out, out, *weights) for n, out in outputs.items()})
    return rivals


def feature_network(shape: tuple[int, ...], preprocessing: Any) -> Any:
    """From examples to what a linear model is fitted to: prepared, and small."""
    examples = keras.Input(shape)
    features = preprocessing(examples)
    sides = features.shape[1:-1]
    steps = [-(-side // LARGEST_SIDE) for side in sides]
    if any(step > 1 for step in steps):
        pooling = {1: keras.layers.AveragePooling1D, 2: keras.layers.AveragePooling2D}[len(sides)]
        size = steps[0] if len(sides) == 1 else steps
        features = pooling(size, padding="same", data_format="channels_last")(features)
    return keras.Model(examples, keras.layers.Flatten()(features))


def _features(network: Any, x: Array) -> Array:
    return np.asarray(network.predict(x, batch_size=256, verbose=0))


def _with_ones(features: Array) -> Array:
    flat = np.asarray(features, "float64").reshape(len(features), -1)
    return np.hstack([flat, np.ones((len(flat), 1))])


def _activated(task: Task, scores: Array) -> Array:
    if task.name == "regression":
        return scores
    return special.softmax(scores, axis=1) if task.name == "classification" else _sigmoid(scores)


def _sigmoid(scores: Array) -> Array:
    return np.asarray(special.expit(scores))


def _penalized(
    task: Task, weights: Array, features: Array, wanted: Array, counts: Array
) -> tuple[float, Array]:
    """The summed loss with its penalty, and the gradient, which has one form for all tasks."""
    scores = features @ weights
    if task.name == "regression":
        costs = 0.5 * ((scores - wanted) ** 2).sum(axis=1)
    elif task.name == "classification":
        costs = special.logsumexp(scores, axis=1) - (scores * wanted).sum(axis=1)
    else:
        costs = (np.logaddexp(0, scores) - scores * wanted).sum(axis=1)
    penalty = weights.copy()
    penalty[-1] = 0.0
    errors = counts[:, None] * (_activated(task, scores) - wanted)
    gradient = features.T @ errors + penalty
    return float(counts @ costs + 0.5 * (penalty**2).sum()), gradient.ravel()
