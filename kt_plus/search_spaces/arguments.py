"""The checks of arguments that search spaces share: what is impossible is refused at once."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from typing import Any

import keras

from kt_plus.search_spaces.layer_kinds import Shape

SEARCH = "search"
"""The value of an argument that is to be searched."""


RANKS = {"image": 3, "table": 1, "sequence": 2}
"""The kinds of data, and how many axes one example of each has."""


def check_one_of(name: str, value: Any, known: Any) -> None:
    """Raises if a value is none of those known."""
    if value not in known:
        raise ValueError(
            f"{name}={value!r} was given. Expected one of {', '.join(map(repr, known))}."
        )


def checked_shape(shape: Any) -> Shape:
    """The shape as a tuple."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else None
    if sizes is None or not all(n is None or (_is_whole(n) and n > 0) for n in sizes):
        raise ValueError(
            f"input_shape={shape!r} was given. Expected a tuple of positive whole numbers, the "
            "shape of one example, such as (28, 28, 1)."
        )
    return tuple(n if n is None else int(n) for n in sizes)


def check_rank(shape: Shape, data: str, preprocessed: bool) -> None:
    """Raises if one example of such data has another number of axes, or no known last one.

    Args:
        shape: The shape of what the network gets.
        data: The kind of data.
        preprocessed: Whether preprocessing has made it.
    """
    if len(shape) != RANKS[data]:
        told = " after preprocessing" if preprocessed else ""
        axes = {"image": "(height, width, channels)", "table": "(features,)"}
        raise ValueError(
            f"One example has the shape {shape}{told}, with data={data!r}. Expected "
            f"{axes.get(data, '(steps, features)')}: give the shape of one example, "
            "without the batch, or add the axis in preprocessing by keras.layers.Reshape."
        )
    if shape[-1] is None:
        raise ValueError(
            f"One example has the shape {shape}. Expected the last axis, of channels or "
            "features, to have a length."
        )


def checked_outputs(number: Any, task: str) -> int:
    """The number of outputs, if the task can have so many."""
    if not _is_whole(number) or number < 1:
        raise ValueError(
            f"num_outputs={number!r} was given. Expected the number of classes, of labels or of "
            "regressed values."
        )
    if task == "binary" and number != 1:
        raise ValueError(
            f"num_outputs={number} was given with task='binary', which has one output, the "
            "probability of class 1. Give 1, or task='multi_label' for several such outputs."
        )
    if task == "classification" and number == 1:
        raise ValueError(
            "num_outputs=1 was given with task='classification', whose outputs are the "
            "probabilities of the classes. Give the number of classes, or task='binary'."
        )
    return int(number)


def checked_optimizer(optimizer: Any) -> str:
    """The name of the optimizer, if Keras has one of that name."""
    if optimizer != SEARCH:
        try:
            keras.optimizers.get(optimizer)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"optimizer={optimizer!r} was given. Expected 'search', or the name of one of "
                "Keras's optimizers, such as 'adam'."
            ) from error
    if not isinstance(optimizer, str):
        raise ValueError(
            f"optimizer={optimizer!r} was given. Expected a name, as each model needs an optimizer "
            "of its own: override `compile` for one with other settings."
        )
    return optimizer


def checked_number(name: str, value: Any, below: float = math.inf) -> float | str:
    """A number from 0 on, or "search"."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value != SEARCH and not (number and 0 <= value < below):
        limit = "" if below == math.inf else f" below {below:g}"
        raise ValueError(
            f"{name}={value!r} was given. Expected 'search', or a number from 0 on{limit}."
        )
    return SEARCH if value == SEARCH else float(value)


def checked_bound(name: str, value: Any) -> int | None:
    """A positive whole number, or `None`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (number and value > 0):
        raise ValueError(
            f"{name}={value!r} was given. Expected a positive number, or None for no bound."
        )
    return None if value is None else int(value)


def checked_operations(
    operations: Sequence[str], data: str, known: Collection[str]
) -> tuple[str, ...]:
    """The operations, once each."""
    if isinstance(operations, str) or not operations or not set(operations) <= set(known):
        raise ValueError(
            f"operations={operations!r} was given for data={data!r}. Expected some of "
            f"{', '.join(map(repr, known))}."
        )
    return tuple(dict.fromkeys(operations))


def checked_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """The widths, once each, from the smallest on."""
    whole = not isinstance(widths, (str, int)) and all(
        _is_whole(width) and width > 0 for width in widths
    )
    if not whole or not widths:
        raise ValueError(
            f"widths={widths!r} was given. Expected positive whole numbers, such as (16, 32, 64)."
        )
    return tuple(sorted({int(width) for width in widths}))


def checked_count(name: str, value: Any, least: int) -> int:
    """The number itself."""
    if not _is_whole(value) or value < least:
        raise ValueError(
            f"{name}={value!r} was given. Expected a whole number of at least {least}."
        )
    return int(value)


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number, of NumPy's kinds too."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
