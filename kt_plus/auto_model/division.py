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
        validation: The validation data that were given.
    """

    x: Array
    y: Array
    weights: Array | None = None
    folds: Array | None = None
    number: int = 1
    validation: tuple[Array, ...] | None = None

    def divided(self, task: Task, seed: int, weights: Array | None) -> Split:
        """The same with weights, and each example in a fold, unless there are validation data."""
        folds = None if self.validation is not None else divide(task, self.y, self.number, seed)
        return replace(self, weights=weights, folds=folds)

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

    An example that is the only one of its class is not in the first fold, so that there is
    something to learn it from in the first division.

    Args:
        task: The task.
        y: The targets as networks are trained on them.
        folds: The number of folds.
        seed: Tells who goes where.
    """
    rng = np.random.default_rng([seed % 2**63, 8])
    groups = _groups(task, y, folds)
    fold = fold_of_each(groups, folds, rng)
    alone = np.bincount(groups)[groups] == 1
    return np.where(alone & (fold == 0), 1, fold)


def example_weights(
    task: Task, targets: Array, sample_weight: Any, class_weight: Any
) -> Array | None:
    """What each example counts; `None` if all count alike.

    Args:
        task: The task.
        targets: As networks are trained on them.
        sample_weight: What the user says of each example.
        class_weight: What the user says of each class: a mapping from labels, or "balanced".

    Raises:
        ValueError: If there is not a weight for each.
    """
    weights = np.ones(len(targets), "float32")
    if sample_weight is not None:
        weights = np.asarray(sample_weight, "float32")
        if weights.shape != (len(targets),) or not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(
                f"sample_weight has the shape {weights.shape}. Expected {len(targets)} finite "
                "numbers from 0 on, one for each example."
            )
    if class_weight is not None:
        of_class = _class_weights(task, class_weight)
        weights = weights * of_class[targets.reshape(-1).astype(int)]
    return None if sample_weight is None and class_weight is None else weights


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


def _class_weights(task: Task, class_weight: Any) -> Array:
    if not task.is_classes:
        raise ValueError(f"class_weight was given, and the task is {task.name}. Leave it out.")
    if class_weight == "balanced":
        counts = np.maximum(task.counts, 1)
        return np.asarray(task.examples / (len(counts) * counts), "float32")
    if not isinstance(class_weight, Mapping) or set(class_weight) != set(task.classes):
        raise ValueError(
            f"class_weight={class_weight!r} was given. Expected 'balanced', or a weight for each "
            f"of the classes {', '.join(map(repr, task.classes[:10]))}."
        )
    return np.array([class_weight[label] for label in task.classes], "float32")


def _groups(task: Task, y: Array, folds: int) -> Array:
    if task.name == "regression":
        return np.argsort(np.argsort(y[:, 0], kind="stable"), kind="stable") // folds
    rows = y.reshape(len(y), -1).round().astype(int)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
