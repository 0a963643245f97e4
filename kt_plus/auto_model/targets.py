"""Targets as they are given: texts, truth values or numbers, and none of them missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Label = str | int | float | bool


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


def plain(value: Any) -> Label:
    """A label as a plain Python value."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def in_words(targets: Array) -> str:
    """What kind of values an array of targets holds."""
    kinds = {"O": "texts", "b": "truth values", "i": "whole numbers", "u": "whole numbers"}
    return kinds.get(targets.dtype.kind, "numbers")


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
