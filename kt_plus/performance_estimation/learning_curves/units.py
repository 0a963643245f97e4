"""The units in which curves of different searches look alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array

FLOOR = -2.0
"""What is worse than this, in units, is as bad as this: losses may reach 1e34."""

BEYOND = 10.0
"""A curve so far above all the others is measured by itself."""


@dataclass(frozen=True)
class Units:
    """The progress that a search has made: 0 is the best value so far, -1 where curves begin.

    Args:
        top: The best value.
        span: How far below it curves begin, positive.
    """

    top: float
    span: float

    @classmethod
    def of(cls, curves: Sequence[Sequence[float]]) -> Units:
        """The units of a search with these curves, each with at least one finite value."""
        finite = [[v for v in curve if math.isfinite(v)] for curve in curves]
        top = max(map(max, finite))
        span = top - float(np.median([values[0] for values in finite]))
        if span <= 0:  # nothing was learnt: any difference will do
            span = top - min(map(min, finite))
        return cls(top, _positive(span, top))

    @classmethod
    def guess(cls, prefix: Sequence[float]) -> Units:
        """The units of a search of which only the beginning of one curve is known.

        A fifth of the search's progress is taken to be made, so that much is held possible.
        """
        finite = [float(v) for v in prefix if math.isfinite(v)] or [0.0]
        spread = _positive(max(finite) - min(finite), max(finite))
        return cls(max(finite) + 4 * spread, 5 * spread)

    def around(self, prefix: Sequence[float]) -> Units:
        """These units, or others if the whole beginning of a curve is out of their range.

        If it lies below the floor, they are so wide that its best value is where curves
        begin; if far above all others, the curve is measured by itself.
        """
        best = max((float(v) for v in prefix if math.isfinite(v)), default=-math.inf)
        if best > self.top + BEYOND * self.span:
            return Units.guess(prefix)
        below = self.top - best
        hidden = math.isfinite(below) and below >= -FLOOR * self.span
        return Units(self.top, below) if hidden else self

    def enter(self, values: Sequence[float]) -> Array:
        """Values in these units; what is not finite or very bad is at the floor."""
        array = np.array(values, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            inside = (array - self.top) / self.span
        return np.where(np.isfinite(array), np.maximum(inside, FLOOR), FLOOR)


def _positive(span: float, top: float) -> float:
    """The span, or a stand-in for one that is zero or overflows."""
    if math.isfinite(span) and span > 1e-12 * abs(top):
        return span
    return abs(top) or 1.0
