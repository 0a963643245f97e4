"""What the examples are (a table, images or sequences), and how they are divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.columns import TableEncoder, is_frame
from kt_plus.auto_model.preprocessing import PrepareTable, Standardize
from kt_plus.auto_model.task import Task, check_name
from kt_plus.performance_estimation.folds import fold_of_each
from kt_plus.performance_estimation.training_data import is_dataset

Array = NDArray[Any]

FEWEST = 10
"""So many examples there must be."""

KINDS = ("table", "image", "sequence")


@dataclass(frozen=True)
class Inputs:
    """What the examples are, and how they become the array that a network takes.

    Args:
        kind: "table", "image" or "sequence".
        shape: The shape of one example, as the exported model takes it.
        reason: Why it is that kind, in words.
        table: How a table becomes a matrix.
    """

    kind: str
    shape: tuple[int, ...]
    reason: str
    table: TableEncoder | None = None

    @classmethod
    def of(cls, x: Any, kind: str = "auto") -> Inputs:
        """What the examples are.

        Args:
            x: A frame or an array.
            kind: One of `KINDS`, or "auto".

        Raises:
            ValueError: If they are nothing that a network can be found for.
        """
        check_name("data", kind, KINDS)
        if not is_frame(x):
            _check_array(x)
        found, reason = (kind, "as given") if kind != "auto" else _kind_of(x)
        dimensions = {"table": (2,), "image": (3, 4), "sequence": (3,)}[found]
        if len(x.shape) not in dimensions:
            raise ValueError(
                f"data={found!r} was given, and x has the shape {tuple(x.shape)}. Expected "
                f"{' or '.join(map(str, dimensions))} dimensions, the first that of the examples."
            )
        if found == "table":
            table = TableEncoder.fit(x)
            return cls(found, (len(table.names),), reason, table)
        return cls(found, tuple(map(int, x.shape[1:])), reason)

    def __str__(self) -> str:
        if self.table is None:
            return f"{self.kind}s of {' x '.join(map(str, self.shape))} ({self.reason})"
        columns = len(self.table.columns) or self.table.width
        left_out = "; ".join(self.table.left_out)
        text = f"a table of {columns} columns ({self.reason})"
        return text + (f", without {left_out}" if left_out else "")

    @property
    def network_shape(self) -> tuple[int, ...]:
        """The shape of one example with the channels that images without them lack."""
        return (*self.shape, 1) if self.kind == "image" and len(self.shape) == 2 else self.shape

    def get_config(self) -> dict[str, Any]:
        return {**vars(self), "table": None if self.table is None else self.table.get_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Inputs:
        table = config["table"] and TableEncoder.from_config(config["table"])
        return cls(config["kind"], tuple(config["shape"]), config["reason"], table)

    def encode_for_networks(self, x: Any) -> Array:
        """The array that a network of the search takes: images have channels."""
        return self.encode(x).reshape(-1, *self.network_shape)

    def encode(self, x: Any) -> Array:
        """The array that the exported model takes.

        Raises:
            ValueError: If the examples are not like those of `fit`.
        """
        if self.table is not None:
            return self.table.encode(x)
        _check_array(x)
        array = np.asarray(x)
        if array.shape[1:] != self.shape:
            raise ValueError(
                f"x has the shape {array.shape}. Expected {self.kind}s of the shape {self.shape}, "
                f"as in fit: {('number of examples', *self.shape)}."
            )
        if array.dtype.kind == "f":
            _check_numbers(array)
        return array if array.dtype == np.uint8 else array.astype("float32")

    def preprocessing(self, encoded: Array) -> Any:
        """What a network does first, fitted to training examples as networks take them."""
        if self.table is not None:
            return PrepareTable.fit(encoded, self.table.codes)
        return Standardize.fit(encoded)


def read_dataset(dataset: Any) -> tuple[Array, Array]:
    """All examples and targets of a batched `tf.data.Dataset`, in memory.

    Raises:
        ValueError: If it never ends, is not batched, or holds something else.
    """
    if int(dataset.cardinality()) == -1:
        raise ValueError(
            "x is a data set without an end. Expected one that ends: leave out repeat()."
        )
    spec = dataset.element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    if len(parts) != 2 or any(not hasattr(part, "shape") for part in parts):
        raise ValueError(
            f"x is a data set of {spec}. Expected pairs (examples, targets) of one tensor each."
        )
    if any(part.shape.rank == 0 for part in parts):
        raise ValueError("x is a data set that is not batched. Expected batches: call batch(32).")
    batches = list(dataset.as_numpy_iterator())
    if not batches:
        raise ValueError("x is a data set without examples.")
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))  # type: ignore[return-value]


def read(x: Any, y: Any, name: str = "x") -> tuple[Any, Any]:
    """Examples and targets, from a data set that holds both or as they are.

    Raises:
        ValueError: If there are not equally many, or too few.
    """
    if is_dataset(x):
        if y is not None:
            raise ValueError(f"{name} is a data set, which holds the targets, and y was given too.")
        return read_dataset(x)
    if not is_frame(x):
        x = np.asarray(x)
    if y is None:
        raise ValueError("y is missing. Expected the targets, one for each example of x.")
    y = y if hasattr(y, "shape") else np.asarray(y)
    examples, targets = (part.shape[0] if part.shape else 0 for part in (x, y))
    if examples != targets:
        raise ValueError(
            f"{name} holds {examples} examples, and y {targets} targets. Expected equally many."
        )
    return x, y


def read_examples(x: Any) -> Any:
    """Examples only, of a data set without its targets if it has some."""
    if not is_dataset(x):
        return x if is_frame(x) else np.asarray(x)
    batches = [b[0] if isinstance(b, tuple) else b for b in x.as_numpy_iterator()]
    return np.concatenate(batches)


def read_pair(data: Any) -> tuple[Any, Any]:
    """Validation data: a pair of examples and targets, or a data set of both."""
    if isinstance(data, (tuple, list)):
        if len(data) != 2:
            raise ValueError(
                f"validation_data holds {len(data)} parts. Expected examples and targets."
            )
        return read(*data, name="validation_data")
    return read(data, None, name="validation_data")


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
            return self._rows(np.arange(len(self.x))), self.validation or ()
        held_out = self.folds == fold
        return self._rows(np.flatnonzero(~held_out)), self._rows(np.flatnonzero(held_out))

    def _rows(self, rows: Array) -> tuple[Array, ...]:
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


def _groups(task: Task, y: Array, folds: int) -> Array:
    if task.name == "regression":
        return np.argsort(np.argsort(y[:, 0], kind="stable"), kind="stable") // folds
    rows = y.reshape(len(y), -1).round().astype(int)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _kind_of(x: Any) -> tuple[str, str]:
    if is_frame(x):
        return "table", "a data frame"
    shape = tuple(x.shape)
    if len(shape) == 2:
        return "table", "two dimensions"
    if len(shape) == 4:
        return "image", "four dimensions"
    if len(shape) != 3:
        raise ValueError(
            f"x has the shape {shape}. Expected a table (examples, columns), images (examples, "
            "height, width[, channels]) or sequences (examples, steps, features)."
        )
    if str(x.dtype) == "uint8" or shape[1] == shape[2]:
        why = "whole numbers of 8 bits" if str(x.dtype) == "uint8" else "as high as wide"
        return "image", f"three dimensions, {why}; data='sequence' says otherwise"
    return "sequence", "three dimensions; data='image' says otherwise"


def _check_array(x: Any) -> None:
    array = np.asarray(x)
    if array.dtype.kind in "OSU":
        raise ValueError(
            f"x is an array of {'texts' if array.dtype.kind in 'SU' else 'objects'}. Expected "
            "numbers; for columns of several kinds, a pandas DataFrame."
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"x is an array of {array.dtype}. Expected real numbers.")
    if array.size == 0:
        raise ValueError(f"x has the shape {array.shape}. Expected some examples.")


def _check_numbers(array: Array) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        rows = np.unique(np.nonzero(bad)[0])
        raise ValueError(
            f"x is NaN or infinite in {len(rows)} of {len(array)} examples, the first of them "
            f"number {rows[0]}. Expected finite numbers in images and sequences: fill them in, or "
            "leave those examples out. (Only tables may lack numbers.)"
        )
