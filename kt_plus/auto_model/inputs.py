"""What the examples are: a table, images or sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.columns import TableEncoder, is_frame
from kt_plus.auto_model.preprocessing import PrepareTable, Standardize
from kt_plus.auto_model.task import check_name

Array = NDArray[Any]

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
