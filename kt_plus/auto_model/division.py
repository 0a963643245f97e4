"""How examples are weighted, and divided into those to learn from and those to judge by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.task import Task
from kt_plus.performance_estimation.folds import fold_of_each

Array = NDArray[Any]

FEWEST = 10
"""So many examples there must be."""


@dataclass(frozen=True)
class Split:
    """The examples, and in which fold each of them is.

    Args:
        x: The examples as encoded.
        y: The targets as networks are trained on them.
        weights: What each example counts; `None` if all count alike.
        folds: The fold of each, of as many as `number`; `None` if the validation data were given.
        number: The number of folds.
        validation: The validation data that were given, as (x, y) or (x, y, weights).
    """

    x: Array
    y: Array
    weights: Array | None = None
    folds: Array | None = None
    number: int = 1
    validation: tuple[Array, ...] | None = None

    def divided(self, task: Task, seed: int) -> Split:
        """The same with each example in a fold, unless there are validation data."""
        folds = None if self.validation is not None else divide(task, self.y, self.number, seed)
        return replace(self, folds=folds)

    @property
    def parts(self) -> tuple[Array, ...]:
        """All data that there are."""
        return (*self._rows(slice(None)), *(self.validation or ()))

    def part(self, fold: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """What to train on and what to validate by, each as (x, y) or (x, y, weights)."""
        if self.folds is None:
            return self._rows(slice(None)), self.held_out(fold)
        return self._rows(self.folds != fold), self.held_out(fold)

    def held_out(self, fold: int) -> tuple[Array, ...]:
        """What to validate by, as (x, y) or (x, y, weights)."""
        return self.validation or () if self.folds is None else self._rows(self.folds == fold)

    def _rows(self, rows: Any) -> tuple[Array, ...]:
        parts = (self.x, self.y, self.weights)
        return tuple(part[rows] for part in parts if part is not None)


def divide(task: Task, y: Array, folds: int, seed: int) -> Array:
    """The fold of each example; each class, or each stretch of numbers, has its share in each.

    An example that is the only one of its class, or with some label, is not in the first fold, so
    that there is something to learn it from in the first division, unless there are many such.

    Args:
        task: The task.
        y: The targets as networks are trained on them.
        folds: The number of folds.
        seed: Tells who goes where.
    """
    rng = np.random.default_rng([seed % 2**63, 8])
    fold = fold_of_each(_groups(task, y, folds), folds, rng)
    first = fold == 0
    moved = first & _are_alone(task, y)
    return np.where(moved, 1, fold) if 2 * moved.sum() <= first.sum() else fold


def example_weights(
    task: Task, targets: Array, sample_weight: Any, class_weight: Any
) -> Array | None:
    """What each example counts, 1 on average; `None` if all count alike.

    Args:
        task: The task.
        targets: As networks are trained on them.
        sample_weight: What the user says of each example.
        class_weight: What the user says of each class: a mapping from labels, or "balanced".

    Raises:
        ValueError: If there is not a weight for each.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = np.ones(len(targets)) if sample_weight is None else _checked(sample_weight, targets)
    if class_weight is not None:
        of_class = _class_weights(task, class_weight)
        weights = weights * of_class[targets.reshape(-1).astype(int)]
    if not weights.any():
        raise ValueError("All examples have the weight 0. Expected some that count.")
    return (weights / weights.mean()).astype("float32")


def checked_folds(validation_split: float, examples: int) -> int:
    """Into how many folds the examples are divided, of which each is validated by once.

    Raises:
        ValueError: If the share is impossible, or there are too few examples.
    """
    number = isinstance(validation_split, float) and 0.0 < validation_split <= 0.5
    if not number:
        raise ValueError(
            f"validation_split={validation_split!r} was given. Expected a share above 0 and up to "
            "0.5, such as 0.2."
        )
    if examples < FEWEST:
        raise ValueError(
            f"x holds {examples} examples. Expected at least {FEWEST}, to learn from some and "
            "judge by others."
        )
    return min(round(1 / validation_split), examples // 2)


def _checked(sample_weight: Any, targets: Array) -> Array:
    weights = np.asarray(sample_weight, "float64")
    if weights.shape != (len(targets),) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(
            f"sample_weight has the shape {weights.shape}. Expected {len(targets)} finite numbers "
            "from 0 on, one for each example."
        )
    return weights


def _class_weights(task: Task, class_weight: Any) -> Array:
    if not task.is_classes:
        raise ValueError(f"class_weight was given, and the task is {task.name}. Leave it out.")
    if class_weight == "balanced":
        counts = np.maximum(task.counts, 1)
        return np.asarray(task.examples / (len(counts) * counts))
    if not isinstance(class_weight, Mapping) or set(class_weight) != set(task.classes):
        raise ValueError(
            f"class_weight={class_weight!r} was given. Expected 'balanced', or a weight for each "
            f"of the classes {', '.join(map(repr, task.classes[:10]))}."
        )
    of_class = np.array([class_weight[label] for label in task.classes], "float64")
    if not (np.isfinite(of_class) & (of_class >= 0)).all():
        raise ValueError(
            f"class_weight={class_weight!r} was given. Expected finite numbers from 0 on."
        )
    return of_class


def _groups(task: Task, y: Array, folds: int) -> Array:
    if task.name == "regression":
        return np.argsort(np.argsort(y[:, 0], kind="stable"), kind="stable") // folds
    rows = y.reshape(len(y), -1).round().astype(int)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _are_alone(task: Task, y: Array) -> Array:
    """Which examples are the only ones of their class, or with one of their labels."""
    if task.name == "regression":
        return np.zeros(len(y), bool)
    if task.name == "multi_label":
        return (y[:, (y > 0.5).sum(axis=0) == 1] > 0.5).any(axis=1)
    numbers = y.reshape(-1).astype(int)
    return np.bincount(numbers)[numbers] == 1
