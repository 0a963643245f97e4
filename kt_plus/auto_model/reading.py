"""Examples, targets and weights, out of arrays, frames and data sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.columns import is_frame
from kt_plus.performance_estimation.training_data import is_dataset

Array = NDArray[Any]


class Examples(NamedTuple):
    """What is learnt from, or judged by.

    Args:
        x: A frame or an array.
        y: The targets.
        weights: What each example counts, if it was told.
    """

    x: Any
    y: Any
    weights: Any = None


def read(x: Any, y: Any, weights: Any = None, name: str = "x") -> Examples:
    """Examples, targets and weights, from a data set that holds them or as they are.

    Raises:
        ValueError: If there are not equally many, or too few.
    """
    if is_dataset(x):
        if y is not None:
            raise ValueError(f"{name} is a data set, which holds the targets, and y was given too.")
        found = _read_dataset(x)
        if weights is not None and found.weights is not None:
            raise ValueError(
                f"{name} is a data set with weights, and sample_weight was given too. Give one."
            )
        x, y, weights = found.x, found.y, weights if found.weights is None else found.weights
    if y is None:
        raise ValueError("y is missing. Expected the targets, one for each example of x.")
    if isinstance(y, str):
        raise ValueError(
            f"y={y!r} was given. Expected the targets themselves: fit(x.drop(columns={y!r}), "
            f"x[{y!r}])."
        )
    x, y = _array(x, name), _array(y, "y")
    examples, targets = (part.shape[0] if part.shape else 0 for part in (x, y))
    if examples != targets:
        raise ValueError(
            f"{name} holds {examples} examples, and y {targets} targets. Expected equally many."
        )
    return Examples(x, y, weights)


def read_examples(x: Any) -> Any:
    """Examples only, of a data set without its targets if it has some."""
    if not is_dataset(x):
        return _array(x, "x")
    return np.concatenate([b[0] if isinstance(b, tuple) else b for b in _batches(x)])


def read_validation(data: Any) -> Examples:
    """Validation data: examples, targets and weights if there are some, or a data set of these."""
    if not isinstance(data, (tuple, list)):
        return read(data, None, name="validation_data")
    if len(data) not in (2, 3):
        raise ValueError(
            f"validation_data holds {len(data)} parts. Expected examples, targets and, if "
            "examples do not all count alike, weights."
        )
    return read(*data, name="validation_data")


def _read_dataset(dataset: Any) -> Examples:
    """All that a batched `tf.data.Dataset` holds, in memory."""
    spec = dataset.element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    if len(parts) not in (2, 3) or any(not hasattr(part, "shape") for part in parts):
        raise ValueError(
            f"x is a data set of {spec}. Expected pairs (examples, targets) of one tensor each, or "
            "triples (examples, targets, weights)."
        )
    lengths = {part.shape[0] for part in parts if part.shape.rank} - {None}
    if any(part.shape.rank == 0 for part in parts) or len(lengths) > 1:
        raise ValueError("x is a data set that is not batched. Expected batches: call batch(32).")
    return Examples(*map(np.concatenate, zip(*_batches(dataset), strict=True)))


def _batches(dataset: Any) -> list[Any]:
    if int(dataset.cardinality()) == -1:
        raise ValueError(
            "x is a data set without an end. Expected one that ends: leave out repeat()."
        )
    batches = list(dataset.as_numpy_iterator())
    if not batches:
        raise ValueError("x is a data set without examples.")
    return batches


def _array(data: Any, name: str) -> Any:
    if is_frame(data):
        return data
    try:
        return np.asarray(data)
    except ValueError as error:
        raise ValueError(
            f"The rows of {name} are not equally long. Expected an array: pad them to one length, "
            "for example by keras.utils.pad_sequences."
        ) from error
