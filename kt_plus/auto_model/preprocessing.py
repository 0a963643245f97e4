"""What networks do to their input first: plain Keras layers, saved with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Array = NDArray[Any]

CLIP = 3.0
"""Beyond this many interquartile ranges from the median hardly anything tells apart."""


@dataclass(frozen=True)
class Standardize:
    """Gives channels, or the features of a step, the mean 0 and the variance 1.

    Args:
        means: The mean of each.
        variances: The variance of each.
    """

    means: tuple[float, ...]
    variances: tuple[float, ...]

    @classmethod
    def fit(cls, x: Array) -> Standardize:
        """The means and variances of training examples, of some thousands of them at most."""
        some = x[:: max(1, len(x) // 5_000)].astype("float64")
        axes = tuple(range(some.ndim - 1))
        means, variances = some.mean(axis=axes), some.var(axis=axes)
        return cls(tuple(means.tolist()), tuple(np.where(variances > 0, variances, 1.0).tolist()))

    def __call__(self, inputs: Any) -> Any:
        """The standardised tensor."""
        layer = keras.layers.Normalization(
            axis=-1,
            mean=list(self.means),
            variance=list(self.variances),
            name="standardize",
            dtype="float32",  # under a mixed policy too: half precision ends at 65,504
        )
        return layer(inputs)

    def get_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PrepareTable:
    """Scales the numbers of a table, fills in what is missing, and spreads out categories.

    Numbers are centred at the median, divided by the interquartile range, and smoothly clipped,
    as in RealMLP (Holzmüller, Grinsztajn and Steinwart, "Better by Default", NeurIPS 2024,
    arXiv:2407.04491, section 3.1). A missing number becomes the median, and if it was missing in
    training too, a column of 0 and 1 tells so. Each category has a column of 0 and 1; one that
    is unknown has 0 in all of them.

    Args:
        numbers: The places of the columns of numbers that vary.
        centers: The median of each.
        scales: The interquartile range of each.
        missing: The places of the columns of which numbers were missing.
        categories: The place of the column of codes, for each category.
        codes: The code of each.
    """

    numbers: tuple[int, ...]
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    missing: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()
    codes: tuple[float, ...] = ()

    @classmethod
    def fit(cls, matrix: Array, codes: list[int]) -> PrepareTable:
        """What a training matrix tells.

        Args:
            matrix: One row for each example.
            codes: For each column the number of categories that it holds the codes of, or 0.

        Raises:
            ValueError: If all columns are constant.
        """
        places = [place for place, number in enumerate(codes) if not number]
        scales = {place: _scale(matrix[:, place]) for place in places}
        numbers = tuple(place for place in places if scales[place])
        missing = tuple(_different_gaps(matrix, places))
        categories = [(p, c + 1) for p, number in enumerate(codes) for c in range(number)]
        if not numbers and not missing and not categories:
            raise ValueError(
                f"All {matrix.shape[1]} columns of x are constant. Expected columns that vary."
            )
        return cls(
            numbers,
            tuple(float(np.nanmedian(matrix[:, place])) for place in numbers),
            tuple(scales[place] for place in numbers),
            missing,
            tuple(place for place, _ in categories),
            tuple(float(code) for _, code in categories),
        )

    def __call__(self, inputs: Any) -> Any:
        """The prepared tensor."""
        parts = []
        if self.numbers:
            parts.append(self._scaled(ops.take(inputs, list(self.numbers), axis=1)))
        if self.missing:
            absent = ops.isnan(ops.take(inputs, list(self.missing), axis=1))
            parts.append(ops.cast(absent, "float32"))
        if self.categories:
            codes = ops.take(inputs, list(self.categories), axis=1)
            parts.append(ops.cast(ops.equal(codes, list(self.codes)), "float32"))
        return parts[0] if len(parts) == 1 else keras.layers.Concatenate(name="columns")(parts)

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    def _scaled(self, numbers: Any) -> Any:
        variances = [scale**2 for scale in self.scales]
        layer = keras.layers.Normalization(
            axis=-1, mean=list(self.centers), variance=variances, name="scale", dtype="float32"
        )
        scaled = ops.clip(layer(numbers), -1e6, 1e6)
        clipped = scaled / ops.sqrt(1.0 + ops.square(scaled / CLIP))
        return ops.where(ops.isnan(scaled), 0.0, clipped)


def _different_gaps(matrix: Array, places: list[int]) -> Iterator[int]:
    """The columns in which numbers are missing, and not just where they are in an earlier one."""
    seen = {b"\0" * len(matrix)}
    for place in places:
        gaps = np.isnan(matrix[:, place]).tobytes()
        if gaps not in seen:
            seen.add(gaps)
            yield place


def _scale(column: Array) -> float:
    """The interquartile range, or half the range if that is 0; 0 for a constant."""
    column = column[~np.isnan(column)].astype("float64")
    if not len(column) or column.min() == column.max():
        return 0.0
    low, high = np.quantile(column, (0.25, 0.75))
    return float(high - low or (column.max() - column.min()) / 2)
