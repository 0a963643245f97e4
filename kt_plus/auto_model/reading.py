"""Examples and targets, out of arrays, frames and data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.columns import is_frame
from kt_plus.performance_estimation.training_data import is_dataset

Array = NDArray[Any]


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
        x, y = data
        return read(x, y, name="validation_data")
    return read(data, None, name="validation_data")


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
