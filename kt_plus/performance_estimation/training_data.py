"""What a model is trained and judged on, whatever it came as."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class TrainingData:
    """The data among the arguments of a `fit`.

    Args:
        x: Inputs: an array, a data frame, nested lists, tuples or dictionaries of them, or a
            data set that holds everything.
        y: Targets, in the same forms; `None` if `x` holds them.
        sample_weight: The weight of each example, if there is one.
        validation_data: What the model is judged on.
        validation_split: The share of the examples, the last ones, that it is judged on.
    """

    x: Any = None
    y: Any = None
    sample_weight: Any = None
    validation_data: Any = None
    validation_split: float = 0.0

    @property
    def is_dataset(self) -> bool:
        """Whether it is a `tf.data.Dataset`."""
        return is_dataset(self.x)

    @property
    def is_arrays(self) -> bool:
        """Whether examples can be taken by their index."""
        leaves = leaves_of(self.x)
        return bool(leaves) and all(map(_is_array, leaves))

    def __len__(self) -> int:
        """The number of examples in arrays."""
        return int(leaves_of(self.x)[0].shape[0])

    def replaced(self, **changes: Any) -> TrainingData:
        """The same with some parts changed."""
        return replace(self, **changes)

    def split(self) -> TrainingData:
        """With the validation data that `validation_split` asks for set apart, as Keras does."""
        if not self.validation_split or self.validation_data is not None:
            return replace(self, validation_split=0.0)
        end = math.floor(len(self) * (1.0 - self.validation_split))
        return self.divided(np.arange(end), np.arange(end, len(self)))

    def divided(self, train: Indices, validation: Indices) -> TrainingData:
        """Trained on some of the examples, and judged on others."""
        taken = self.take(validation)
        parts = [p for p in (taken.x, taken.y, taken.sample_weight) if p is not None]
        return replace(self.take(train), validation_data=tuple(parts), validation_split=0.0)

    def take(self, indices: Indices) -> TrainingData:
        """Some of the examples."""

        def chosen(part: Any) -> Any:
            return None if part is None else mapped(lambda leaf: take(leaf, indices), part)

        return replace(
            self,
            x=chosen(self.x),
            y=chosen(self.y),
            sample_weight=chosen(self.sample_weight),
        )


def _is_array(leaf: Any) -> bool:
    """Whether it has rows that can be taken: TensorFlow's ragged and sparse tensors have not."""
    ragged = type(leaf).__name__ in ("RaggedTensor", "SparseTensor")
    return not ragged and bool(getattr(leaf, "shape", ()))


def is_dataset(data: Any) -> bool:
    """Whether it is a `tf.data.Dataset`, found out without importing TensorFlow."""
    return any(
        cls.__name__ == "DatasetV2" and cls.__module__.startswith("tensorflow.")
        for cls in type(data).__mro__
    )


def mapped(change: Callable[[Any], Any], data: Any) -> Any:
    """The same nest of lists, tuples and dictionaries with each of its leaves changed."""
    if isinstance(data, Mapping):
        return {name: mapped(change, value) for name, value in data.items()}
    if hasattr(data, "_fields"):  # a named tuple
        return type(data)(*(mapped(change, value) for value in data))
    if isinstance(data, (list, tuple)):
        return type(data)(mapped(change, value) for value in data)
    return change(data)


def leaves_of(data: Any) -> list[Any]:
    """The leaves of a nest of lists, tuples and dictionaries."""
    found: list[Any] = []
    mapped(found.append, data) if data is not None else None
    return found


def take(array: Any, indices: Indices) -> Any:
    """Some rows of an array, also one of SciPy's sparse ones, of a tensor or of a data frame."""
    if hasattr(array, "iloc"):
        return array.iloc[indices]
    if hasattr(array, "tocsr"):
        return array.tocsr()[indices]
    return np.asarray(array)[indices]


def classes_of(y: Any) -> NDArray[np.intp] | None:
    """The class of each example, from 0; `None` if the targets are no classes.

    Classes are whole numbers, truth values, texts, or rows of zeros with a single one, and the
    numbers 0 and 1 of whatever type; whole numbers of which most are different are quantities.
    """
    leaves = leaves_of(y)
    if len(leaves) != 1 or leaves[0] is None:
        return None
    targets = np.asarray(leaves[0])
    if targets.ndim == 2 and targets.shape[1] > 1:
        one_hot = ((targets == 0) | (targets == 1)).all() and (targets.sum(axis=1) == 1).all()
        return np.asarray(targets.argmax(axis=1), np.intp) if one_hot else None
    if targets.size != len(targets) or targets.dtype.kind not in "biuUSOf":
        return None
    if targets.dtype.kind == "f" and not ((targets == 0) | (targets == 1)).all():
        return None
    names, found = np.unique(targets.reshape(-1), return_inverse=True)
    return np.asarray(found, np.intp) if len(names) <= max(2, len(targets) // 4) else None
