"""What is to be predicted: told by the targets, or said by the user."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Label = str | int | float | bool

NAMES = ("binary", "classification", "multi_label", "regression")
MOST_NUMBERED_CLASSES = 20
"""Whole numbers are classes if they have so many different values at most ..."""
EXAMPLES_OF_A_NUMBERED_CLASS = 200
"""... or if there are so many examples of each on average."""
RARE = 0.1
"""A class with a smaller share of the examples than that of an even division is called rare."""


@dataclass(frozen=True)
class Task:
    """What is to be predicted, and how targets and outputs of a network are translated.

    Args:
        name: "binary" (a network with one sigmoid), "classification" (a softmax),
            "multi_label" (a sigmoid each) or "regression" (linear).
        outputs: The number of the network's outputs.
        reason: Why it is this task, in words.
        classes: The labels, in the order of the outputs.
        counts: How many examples have each of them.
        examples: The number of examples.
        one_hot: Whether the targets are rows of zeros with a single one.
        means: For regression, the mean of each target, which networks see standardised.
        scales: The standard deviations.
        columns: Whether the targets, and so the predictions, are a matrix.
    """

    name: str
    outputs: int
    reason: str
    classes: tuple[Label, ...] = ()
    counts: tuple[int, ...] = ()
    examples: int = 0
    one_hot: bool = False
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    columns: bool = False

    def __str__(self) -> str:
        names = {"multi_label": "multi-label classification", "binary": "binary classification"}
        text = f"{names.get(self.name, self.name)}: {self.reason}"
        if not self.classes:
            return text
        text += f"; {shares(self.classes, self.counts, self.examples)}"
        return text + (f"; imbalanced, {self.imbalance}" if self.imbalance else "")

    @property
    def imbalance(self) -> str:
        """Which classes are rare, in words; empty if none is."""
        if self.name == "multi_label":
            return ""
        even = self.examples / max(len(self.classes), 1)
        # A class of two is rare below 10 %, one of ten below 1 %.
        limit = 2 * RARE * even if len(self.classes) == 2 else RARE * even
        rare = [repr(c) for c, n in zip(self.classes, self.counts, strict=True) if n < limit]
        return f"rare: {', '.join(rare[:5])}{', ...' if len(rare) > 5 else ''}" if rare else ""

    @property
    def is_classes(self) -> bool:
        """Whether each example has exactly one label."""
        return self.name in ("binary", "classification")

    def encode(self, y: Any) -> Array:
        """The targets that a network is trained on.

        Raises:
            ValueError: If they do not fit the task, as with a label never seen before.
        """
        targets = as_targets(y)
        if targets.ndim != (2 if self.columns or self.one_hot else 1):
            wanted = f"({self.outputs} columns)" if self.columns or self.one_hot else "(one column)"
            raise ValueError(f"y has the shape {targets.shape}. Expected that of fit {wanted}.")
        if self.one_hot:
            targets = targets.argmax(axis=1)
        elif self.is_classes:
            targets = self._numbers_of(targets)
        if self.name == "classification":
            return targets.astype("int32")
        targets = targets.reshape(len(targets), -1)
        if targets.shape[1] != self.outputs:
            raise ValueError(
                f"y has {targets.shape[1]} columns. Expected {self.outputs}, as in fit."
            )
        if self.name == "regression":
            targets = (targets.astype("float64") - self.means) / self.scales
        return targets.astype("float32")

    def outcomes(self, outputs: Array) -> Array:
        """The probabilities, or the predicted numbers, that a network's outputs stand for.

        Those of two classes have a column for each.
        """
        outputs = np.asarray(outputs, "float64").reshape(len(outputs), -1)
        if self.name == "regression":
            outputs = outputs * self.scales + self.means
        return np.hstack([1.0 - outputs, outputs]) if self.name == "binary" else outputs

    def predictions(self, outcomes: Array) -> Array:
        """Labels, rows of 0 and 1, or numbers, as the targets of `fit` were."""
        if self.name == "regression":
            return outcomes if self.columns else outcomes[:, 0]
        if self.name == "multi_label":
            return (outcomes > 0.5).astype("int64")
        return label_array(self.classes)[outcomes.argmax(axis=1)]

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Task:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})

    def _numbers_of(self, targets: Array) -> Array:
        numbers = {label: number for number, label in enumerate(self.classes)}
        labels = targets.tolist()
        unknown = sorted({repr(label) for label in labels if label not in numbers})
        if unknown:
            raise ValueError(
                f"y holds labels that fit has not seen: {', '.join(unknown[:5])}. Expected some of "
                f"{', '.join(map(repr, self.classes[:10]))}{', ...' if len(numbers) > 10 else ''}."
            )
        return np.array([numbers[label] for label in labels])


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
    if (
        task != "auto"
        and found.name != task
        and not (task, found.name)
        == (
            "classification",
            "binary",
        )
    ):
        raise ValueError(
            f"task={task!r} was given, and y tells of {found.name}: {found.reason}. "
            f"Expected targets of that task. Give task={found.name!r}, or other targets."
        )
    found = found if task == "auto" else replace(found, reason=f"as given; {found.reason}")
    return replace(found, examples=len(targets))


def check_name(argument: str, name: Any, known: tuple[str, ...]) -> None:
    """Raises unless it is "auto" or one of these, telling the nearest."""
    if name not in ("auto", *known):
        near = difflib.get_close_matches(str(name), known, 1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{argument}={name!r} was given. Expected 'auto' or one of {known}.{hint}")


def as_targets(y: Any) -> Array:
    """The targets as an array of texts, truth values or numbers, with one or two dimensions.

    Raises:
        ValueError: If they are missing, of several kinds, or not finite.
    """
    if y is None:
        raise ValueError("y is missing. Expected the targets, one for each example of x.")
    targets = np.asarray(y)
    if targets.dtype.kind == "O":
        targets = _of_objects(targets)
    if targets.dtype.kind == "S":
        targets = np.char.decode(targets, "utf-8")
    if targets.dtype.kind == "U":
        targets = targets.astype(object)
    if targets.dtype.kind not in "Obiuf":
        raise ValueError(
            f"y holds {targets.dtype} values. Expected texts, truth values or numbers."
        )
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim not in (1, 2) or not len(targets):
        raise ValueError(
            f"y has the shape {targets.shape}. Expected one target, or one row of targets, for "
            "each example."
        )
    if targets.dtype.kind == "f" and not np.isfinite(targets).all():
        _refuse_missing(~np.isfinite(targets), "NaN or infinite")
    return targets


def shares(classes: tuple[Label, ...], counts: tuple[int, ...], examples: int) -> str:
    """The share of each class; of the most and of the least frequent ones if there are many."""
    order = np.argsort(-np.asarray(counts), kind="stable")
    texts = [f"{classes[i]!r} {100 * counts[i] / max(examples, 1):.3g} %" for i in order]
    return ", ".join(texts if len(texts) <= 5 else [*texts[:2], "...", *texts[-2:]])


def label_array(labels: tuple[Label, ...]) -> Array:
    """The labels as an array, of objects if they are of several types."""
    kinds = {type(label) for label in labels}
    return np.array(labels) if len(kinds) == 1 else np.array(labels, object)


def plain(value: Any) -> Label:
    """A label as a plain Python value."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _of_objects(targets: Array) -> Array:
    values = targets.ravel().tolist()
    missing = np.array([_is_missing(value) for value in values]).reshape(targets.shape)
    if missing.any():
        _refuse_missing(missing, "missing (None or NaN)")
    if all(isinstance(value, (bytes, str)) for value in values):
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
        decoded = np.empty(len(texts), object)
        decoded[:] = texts
        return decoded.reshape(targets.shape)
    kinds = sorted({type(value).__name__ for value in values})
    numbers = all(isinstance(value, (int, float, np.number)) for value in values)
    if not numbers or ("bool" in kinds and len(kinds) > 1):
        raise ValueError(
            f"y holds objects of the types {', '.join(kinds)}. Expected texts, truth values or "
            "numbers, and one of these kinds only. Convert y, for example by y.astype(str)."
        )
    return np.array(values).reshape(targets.shape)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _refuse_missing(missing: Array, what: str) -> None:
    rows = np.unique(np.nonzero(missing)[0])
    raise ValueError(
        f"y is {what} in {len(rows)} of {len(missing)} examples, the first of them number "
        f"{rows[0]}. Expected a target for each example. Leave those examples out."
    )


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
                f"task='regression' was given, and y holds {_kind_of(targets)}. Expected numbers."
            )
        reason = (
            f"y holds {len(classes):,} different {_kind_of(targets)} in {len(targets):,} examples"
        )
        return _regression(targets, reason, columns=False)
    if task == "multi_label":
        raise ValueError(
            f"task='multi_label' was given, and y has the shape {targets.shape}. Expected a column "
            "of 0 and 1 for each label."
        )
    _check_frequencies(len(classes), len(targets))
    reason = f"y holds {len(classes)} different {_kind_of(targets)}"
    name = "binary" if len(classes) == 2 else "classification"
    outputs = 1 if name == "binary" else len(classes)
    return Task(name, outputs, reason, classes, tuple(counts.tolist()))


def _are_classes(values: Array, targets: Array) -> bool:
    """Whether numbers are labels: 0 and 1, or whole numbers of few different values."""
    if len(values) == 2 and (targets.dtype.kind in "iu" or values.tolist() == [0.0, 1.0]):
        return True
    few = min(MOST_NUMBERED_CLASSES, len(targets) // 2)
    many = len(targets) // EXAMPLES_OF_A_NUMBERED_CLASS
    return targets.dtype.kind in "iu" and len(values) <= max(few, many)


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


def _kind_of(targets: Array) -> str:
    kinds = {"O": "texts", "b": "truth values", "i": "whole numbers", "u": "whole numbers"}
    return kinds.get(targets.dtype.kind, "numbers")
