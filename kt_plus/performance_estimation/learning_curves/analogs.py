"""Going on as the finished curves did that were at the same point: the method of analogs.

Source: Lorenz, "Atmospheric Predictability as Revealed by Naturally Occurring Analogues",
Journal of the Atmospheric Sciences 26, 1969. The weights are those of kernel regression
(Nadaraya, 1964; Watson, 1964).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array

# In units of the search's progress.
LEVEL, TREND = 0.06, 0.04
"""How close to this curve's last value, and to its rise over the last half, an analog is."""

LEAST = 0.02
"""The weight of a curve that is nowhere near, beside 1 for one that is at the same point."""

SHARE, DOUBT = 0.3, 0.3
"""The weight in a forecast of many close analogs, and how many of them would halve it."""

RELATIVE, ABSOLUTE = 0.2, 0.003
"""How far this curve may go from an analog: in parts of what that one gained, and at least."""


@dataclass(frozen=True)
class Analogs:
    """The futures of finished curves, each moved to the last value of the curve at hand.

    Args:
        weight: The weight of each in the forecast; together less than 1.
        later: Its values at the later epochs, shape (analogs, epochs to come).
        gained: How much it rose since, of the same shape.
        noise: The standard deviation of the noise of a single value.
    """

    weight: Array
    later: Array
    gained: Array
    noise: float

    @classmethod
    def of(cls, values: Array, finished: Array, noise: float) -> Analogs:
        """Those of a curve's beginning among whole curves.

        Args:
            values: The beginning, in units of the search's progress, shape (n,).
            finished: The whole curves in the same units, shape (curves, horizon).
            noise: The standard deviation of the noise of a single value.
        """
        n = len(values)
        before = n - 1 - n // 2
        level = finished[:, n - 1] - values[-1]
        trend = level - (finished[:, before] - values[before])
        closeness = np.exp(-0.5 * ((level / LEVEL) ** 2 + (trend / TREND) ** 2)) + LEAST
        weight = SHARE * closeness / (closeness.sum() + DOUBT)
        gained = finished[:, n:] - finished[:, n - 1 : n]
        return cls(weight, values[-1] + gained, gained, noise)

    def at(self, epoch: int) -> tuple[Array, Array]:
        """Means and standard deviations at a later epoch, the next being 0."""
        return self.later[:, epoch], self._deviation(self.gained[:, epoch])

    def best(self) -> tuple[Array, Array]:
        """Means and standard deviations of the best later value."""
        return self.later.max(axis=1), self._deviation(self.gained.max(axis=1))

    def _deviation(self, gained: Array) -> Array:
        return np.sqrt((RELATIVE * gained) ** 2 + ABSOLUTE**2 + self.noise**2)


def noise_of(curves: Array) -> float:
    """The noise of a single value, as second differences tell it: the median over the curves."""
    if curves.shape[1] < 3:
        return 0.0
    return float(np.median(np.diff(curves, 2, axis=1).std(axis=1)) / np.sqrt(6))
