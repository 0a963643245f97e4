"""What a network has to beat: a constant, and a linear model on the same features."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from kt_plus.auto_model.task import Task

Array = NDArray[Any]

MOST_EXAMPLES = 20_000
"""A linear model is fitted to so many examples at most, drawn at random."""


@dataclass(frozen=True)
class Constant:
    """The mean of the targets, or the frequencies of the classes, whatever the input.

    Args:
        output: What it gives for every example.
    """

    output: Array

    @classmethod
    def fit(cls, task: Task, targets: Array) -> Constant:
        """The best constant for these targets."""
        if task.name == "classification":
            # As if each class had been seen once more, so that none is impossible.
            counts = np.bincount(targets, minlength=task.outputs) + 1.0
            return cls(counts / counts.sum())
        if task.name == "regression":
            return cls(targets.mean(axis=0))
        return cls((targets.sum(axis=0) + 1.0) / (len(targets) + 2.0))

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
        seconds: float = 60.0,
        rng: np.random.Generator | None = None,
    ) -> Linear:
        """Fits until the optimum is found, or the time is up.

        Args:
            task: The task.
            features: One row for each example.
            targets: As networks are trained on them.
            seconds: How long it may take; what it has then is used.
            rng: Draws the examples, if there are too many.
        """
        if len(features) > MOST_EXAMPLES:
            rng = rng or np.random.default_rng(0)
            chosen = rng.choice(len(features), MOST_EXAMPLES, replace=False)
            features, targets = features[chosen], targets[chosen]
        features = _with_ones(features)
        wanted = np.eye(task.outputs)[targets] if task.name == "classification" else targets
        shape = features.shape[1], wanted.shape[1]
        until = time.monotonic() + seconds

        def loss(flat: Array) -> tuple[float, Array]:
            return _penalized(task, flat.reshape(shape), features, wanted)

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


def _with_ones(features: Array) -> Array:
    flat = np.asarray(features, "float64").reshape(len(features), -1)
    return np.hstack([flat, np.ones((len(flat), 1))])


def _activated(task: Task, scores: Array) -> Array:
    if task.name == "regression":
        return scores
    return special.softmax(scores, axis=1) if task.name == "classification" else _sigmoid(scores)


def _sigmoid(scores: Array) -> Array:
    return np.asarray(special.expit(scores))


def _penalized(task: Task, weights: Array, features: Array, wanted: Array) -> tuple[float, Array]:
    """The summed loss with its penalty, and the gradient, which has one form for all tasks."""
    scores = features @ weights
    if task.name == "regression":
        loss = 0.5 * ((scores - wanted) ** 2).sum()
    elif task.name == "classification":
        loss = (special.logsumexp(scores, axis=1) - (scores * wanted).sum(axis=1)).sum()
    else:
        loss = (np.logaddexp(0, scores) - scores * wanted).sum()
    penalty = weights.copy()
    penalty[-1] = 0.0
    gradient = features.T @ (_activated(task, scores) - wanted) + penalty
    return float(loss + 0.5 * (penalty**2).sum()), gradient.ravel()
