"""The task that the targets tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.targets import Label, as_targets, in_words, plain
from kt_plus.auto_model.task import NAMES, Task, check_name

Array = NDArray[Any]

MOST_NUMBERED_CLASSES = 20
"""Whole numbers are classes if they have so many different values at most ..."""
EXAMPLES_OF_A_NUMBERED_CLASS = 200
"""... or if there are so many examples of each on average."""


def infer(y: Any, task: str = "auto") -> Task:
    """The task that the targets tell, or that the user says.

    Args:
        y: The targets: labels, numbers, rows of 0 and 1.
        task: One of `NAMES`, or "auto".

    Raises:
        ValueError: If there is nothing to learn, or the targets do not fit the task.
    """
    check_name("task", task, NAMES)
    targets = as_targets(y)
    if targets.ndim == 1:
        found = _of_column(targets, task)
    else:
        names = [plain(c) for c in y.columns] if hasattr(y, "columns") else range(targets.shape[1])
        found = _of_columns(targets, tuple(names), task)
    two_classes = (task, found.name) == ("classification", "binary")
    if task not in ("auto", found.name) and not two_classes:
        raise ValueError(
            f"task={task!r} was given, and y tells of {found.name}: {found.reason}. "
            f"Expected targets of that task. Give task={found.name!r}, or other targets."
        )
    found = found if task == "auto" else replace(found, reason=f"as given; {found.reason}")
    return replace(found, examples=len(targets))


def _of_column(targets: Array, task: str) -> Task:
    found, counts = np.unique(targets, return_counts=True)
    classes = tuple(plain(label) for label in found)
    if len(classes) == 1:
        raise ValueError(
            f"y is {classes[0]!r} in all {len(targets)} examples. Expected at least two different "
            "targets: there is nothing to tell apart."
        )
    kind = targets.dtype.kind
    numeric = kind in "iuf"
    if task == "regression" or (task == "auto" and numeric and not _are_classes(found, targets)):
        if not numeric:
            raise ValueError(
                f"task='regression' was given, and y holds {in_words(targets)}. Expected numbers."
            )
        reason = (
            f"y holds {len(classes):,} different {in_words(targets)} in {len(targets):,} examples"
        )
        return _regression(targets, reason, columns=False)
    if task == "multi_label":
        raise ValueError(
            f"task='multi_label' was given, and y has the shape {targets.shape}. Expected a column "
            "of 0 and 1 for each label."
        )
    _check_frequencies(len(classes), len(targets))
    reason = f"y holds {len(classes)} different {in_words(targets)}"
    name = "binary" if len(classes) == 2 else "classification"
    outputs = 1 if name == "binary" else len(classes)
    return Task(name, outputs, reason, classes, tuple(counts.tolist()))


def _are_classes(values: Array, targets: Array) -> bool:
    """Whether numbers are labels: whole ones, floats among them, of few different values."""
    if not (values == np.round(values)).all():
        return False
    few = min(MOST_NUMBERED_CLASSES, len(targets) // 2)
    many = len(targets) // EXAMPLES_OF_A_NUMBERED_CLASS
    return len(values) <= max(2, few, many)


def _of_columns(targets: Array, names: tuple[Label, ...], task: str) -> Task:
    if targets.dtype.kind == "O":
        raise ValueError(
            f"y has {targets.shape[1]} columns of texts. Expected one column of labels, or a "
            "column of 0 and 1 for each label."
        )
    marks = bool(((targets == 0) | (targets == 1)).all())
    single = marks and bool((targets.sum(axis=1) == 1).all())
    if task == "regression" or not marks:
        reason = f"y has {targets.shape[1]} columns of numbers"
        return _regression(targets, reason, columns=True)
    counts = tuple(int(count) for count in targets.sum(axis=0))
    if not single or task == "multi_label":
        _check_marks(names, counts, len(targets))
        reason = f"y has {len(names)} columns of 0 and 1, any number of them 1 in a row"
        return Task("multi_label", len(names), reason, names, counts, columns=True)
    if sum(count > 0 for count in counts) < 2:
        raise ValueError(f"All examples of y are of one class, {names[np.argmax(counts)]!r}.")
    _check_frequencies(len(names), len(targets))
    reason = f"y has {len(names)} columns of 0 and 1, one of them 1 in each row"
    name, outputs = ("binary", 1) if len(names) == 2 else ("classification", len(names))
    return Task(name, outputs, reason, names, counts, one_hot=True)


def _check_marks(names: tuple[Label, ...], counts: tuple[int, ...], examples: int) -> None:
    constant = [repr(n) for n, c in zip(names, counts, strict=True) if c in (0, examples)]
    if constant:
        raise ValueError(
            f"The labels {', '.join(constant[:5])} are the same in all {examples} examples of y. "
            "Expected labels that some examples have and others lack. Leave those columns out."
        )


def _check_frequencies(classes: int, examples: int) -> None:
    if 2 * classes > examples:
        raise ValueError(
            f"y has {classes} classes in {examples} examples. Expected at least twice as many "
            "examples as classes, so that a class can be learnt from one and judged on another. "
            "Give more examples, merge classes, or, if y is a quantity, task='regression'."
        )


def _regression(targets: Array, reason: str, columns: bool) -> Task:
    matrix = targets.reshape(len(targets), -1).astype("float64")
    scales = matrix.std(axis=0)
    if not scales.all():
        raise ValueError(
            f"Column {int(np.argmin(scales))} of y is the same in all {len(targets)} examples. "
            "Expected targets that differ. Leave it out."
        )
    means = tuple(matrix.mean(axis=0).tolist())
    return Task(
        "regression",
        matrix.shape[1],
        reason,
        means=means,
        scales=tuple(scales.tolist()),
        columns=columns,
    )
