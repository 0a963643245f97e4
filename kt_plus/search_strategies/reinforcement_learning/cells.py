"""The parts of a hyperparameter that a policy chooses among, and what they have in common."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

import numpy as np

from kt_plus.engine.dimensions import Dimension, Discrete, Numeric
from kt_plus.engine.history import Value
from kt_plus.search_strategies.reinforcement_learning.linear import product

Array = np.ndarray

CELLS = 32
"""Into how many parts, at most, the range of a number is cut."""

_MARGIN = 1e-9
"""So far inside a part's edges are values drawn: the edges themselves are subject to rounding."""


class Cells:
    """A hyperparameter as the policy sees it: a softmax over parts of the unit interval.

    A category is a part of its own, and so is each of a few numbers; a range of many
    numbers is cut into `CELLS` parts of equal length on its own scale (linear or
    logarithmic), at the borders of values. Within a part values are drawn uniformly.

    **Order.** The logits of an ordered hyperparameter are sums of bumps, one at the centre
    of each part (a Gaussian of width `smoothness`, scaled so that the bumps add up to one
    everywhere): a result moves the probability of a whole neighbourhood, where with plain
    bins, whose parts know nothing of each other, each of 32 parts would have to be tried
    to be known. Unlike a normal distribution, it can still have several peaks.

    Args:
        dimension: The hyperparameter.
        smoothness: The standard deviation of the bumps, as a share of the range; 0 for
            plain bins.
    """

    def __init__(self, dimension: Dimension, smoothness: float) -> None:
        self.dimension = dimension
        self.edges = _edges(dimension)
        lower, upper = np.array(self.edges[:-1]), np.array(self.edges[1:])
        self.count = len(lower)
        self.log_widths = np.log(upper - lower)
        ordered = is_ordered(dimension) and smoothness > 0.0
        self._bumps = _bumps((lower + upper) / 2, smoothness) if ordered else None

    def spread(self, coefficients: Array) -> Array:
        """The parts' coefficients, a row each, of those of the bumps, a row each."""
        return coefficients if self._bumps is None else product(self._bumps, coefficients)

    def collect(self, slopes: Array) -> Array:
        """The slopes of the bumps' coefficients, of those of the parts'."""
        return slopes if self._bumps is None else product(self._bumps.T, slopes)

    def index(self, value: Value) -> int:
        """The part that the value lies in."""
        place = bisect_right(self.edges, self.dimension.to_unit(value)) - 1
        return min(max(place, 0), self.count - 1)

    def draw(self, cell: int, u: float) -> Value:
        """The value at `u` in [0, 1) of the part."""
        low, high = self.edges[cell], self.edges[cell + 1]
        return self.dimension.from_unit(low + (_MARGIN + (1 - 2 * _MARGIN) * u) * (high - low))

    def labels(self) -> list[str]:
        """The parts in words, no two alike: each one's value, or its first and last."""
        for digits in (3, 6, 9):
            labels = [self._label(cell, digits) for cell in range(self.count)]
            if len(set(labels)) == self.count:
                return labels
        return [self._label(cell, 17) for cell in range(self.count)]

    def _label(self, cell: int, digits: int) -> str:
        first, last = self.draw(cell, 0.0), self.draw(cell, 1.0)
        if self.dimension.size == math.inf:
            first, last = (self.dimension.from_unit(u) for u in self.edges[cell : cell + 2])
        ends = (f"{v:.{digits}g}" if isinstance(v, float) else str(v) for v in (first, last))
        return " to ".join(dict.fromkeys(ends))


@lru_cache(maxsize=4096)
def cells_of(dimension: Dimension, smoothness: float) -> Cells:
    """The same `Cells`, made once."""
    return Cells(dimension, smoothness)


def is_ordered(dimension: Dimension) -> bool:
    """Whether its values are numbers, so that some are near each other."""
    return isinstance(dimension, Numeric) or (isinstance(dimension, Discrete) and dimension.ordered)


def _edges(dimension: Dimension) -> list[float]:
    """The borders of the parts, 0 and 1 included."""
    size = dimension.size
    stepless = isinstance(dimension, Numeric) and dimension.step is None
    if not is_ordered(dimension) or size <= 1 or (size <= CELLS and not stepless):
        return _even(int(size))
    if size == math.inf:
        return _even(CELLS)
    firsts = {dimension.from_unit(u): u for u in reversed(_even(CELLS)[:-1])}
    return [*sorted(_lower_border(dimension, u) for u in firsts.values()), 1.0]


def _even(count: int) -> list[float]:
    return [i / count for i in range(count + 1)]


def _lower_border(dimension: Dimension, u: float) -> float:
    """Where the stretch of the unit interval begins that maps to the value at `u`."""
    value, outside, inside = dimension.from_unit(u), -1e-12, u
    if dimension.from_unit(0.0) == value:
        return 0.0
    while inside - outside > 1e-12:
        middle = (inside + outside) / 2
        if dimension.from_unit(max(middle, 0.0)) == value:
            inside = middle
        else:
            outside = middle
    return inside


def _bumps(centres: Array, smoothness: float) -> Array:
    """What each part's logit (row) has of each coefficient (column)."""
    distance = (centres[:, None] - centres[None, :]) / smoothness
    bumps = np.exp(-0.5 * distance**2)
    return np.asarray(bumps / bumps.sum(axis=1, keepdims=True))
