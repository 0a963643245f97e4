"""From samples of a posterior over curves to a forecast, for models that are not in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import (
    Array,
    AtLeast,
    Forecast,
    Mixture,
)

_NOISE_DRAWS = 16  # of each future's noise, from which the moments of its maximum are taken
_HUGE = 1e100  # from here on a value counts as infinite, since its square would be
_TINY = 1e-100  # a narrower range could not be divided by
_CLIP = (-1.0, 2.0)  # what is further out says no more about a curve in [0, 1]


@dataclass(frozen=True)
class Prefix:
    """A curve's beginning in the unit that a model was made for: [0, 1] is its usual range.

    Args:
        epochs: The numbers, from 1, of the epochs with a finite value.
        values: Those values, mapped so that `low` is 0 and `high` is 1.
        observed: How many epochs there were, those without a finite value included.
        floor: The best finite value in the curve's own unit; minus infinity if there is none.
        low: What 0 stands for.
        high: What 1 stands for.
    """

    epochs: Array
    values: Array
    observed: int
    floor: float
    low: float
    high: float


@dataclass(frozen=True)
class Samples:
    """Equally likely futures of a curve, in the unit of the prefix.

    Args:
        means: One future a row, without noise, from the next epoch to the horizon.
        noise: The standard deviation of each future's noise.
    """

    means: Array
    noise: Array

    def forecast(self, prefix: Prefix) -> Forecast:
        """What they say of each value to come, and of the best."""
        width = prefix.high - prefix.low
        weights = np.full(len(self.noise), 1 / len(self.noise))
        means, noise = prefix.low + width * self.means, width * self.noise
        values = [Mixture(weights, column, noise) for column in means.T]
        centres, spreads = _maximum(self.means, self.noise)
        best = Mixture(weights, prefix.low + width * centres, width * spreads)
        return Forecast(AtLeast(prefix.floor, best), values, prefix.observed)


def read_prefix(
    prefix: Sequence[float], horizon: int, bounds: tuple[float, float] | None, seen: Array
) -> Prefix:
    """Checks and maps a curve's beginning.

    Args:
        prefix: The values after each epoch so far; those that are not finite are left out.
        horizon: The number of the last epoch.
        bounds: What 0 and 1 of the model stand for. If `None`: 0 and 1, where every
            finite value lies between them; else the range of those seen, see `_range`.
        seen: The finite values of the search's other curves; used for the range only.

    Raises:
        ValueError: If the prefix is not shorter than the horizon.
    """
    curve = np.asarray(prefix, dtype=np.float64)
    if curve.ndim != 1:
        raise ValueError(f"A curve of shape {curve.shape} was given. Expected one value an epoch.")
    if len(curve) >= horizon:
        raise ValueError(
            f"{len(curve)} epochs were given, of a horizon of {horizon}: nothing is left to "
            "forecast. Expected fewer epochs than the horizon."
        )
    finite = np.abs(curve) < _HUGE  # not so for NaN
    values = curve[finite]
    low, high = bounds or _range(values, seen)
    mapped = np.asarray(np.clip((values - low) / (high - low), *_CLIP), dtype=np.float64)
    floor = float(values.max()) if len(values) else -math.inf
    epochs = np.flatnonzero(finite).astype(np.float64) + 1
    return Prefix(epochs, mapped, len(curve), floor, low, high)


def finite_values(curves: Iterable[Sequence[float]]) -> Array:
    """All finite values of some curves, in one array."""
    arrays = [np.asarray(curve, dtype=np.float64) for curve in curves]
    values = np.concatenate(arrays) if arrays else np.empty(0)
    return values[np.abs(values) < _HUGE]


def check(horizon: int, bounds: tuple[float, float] | None) -> None:
    """What every such model asks of these two arguments.

    Raises:
        ValueError: If one is out of range.
    """
    if horizon < 2:
        raise ValueError(f"horizon={horizon} was given. Expected at least 2 epochs.")

    if bounds is not None and not -math.inf < bounds[0] < bounds[1] < math.inf:
        raise ValueError(
            f"bounds={bounds} was given. Expected two finite numbers, the smaller first: what 0 "
            "and 1 stand for."
        )


def _range(values: Array, seen: Array) -> tuple[float, float]:
    """(0, 1) if that holds everything; else up to above the best, from what most lie above.

    The lowest value would not do: losses that explode would leave no room for the rest.
    """
    both = np.concatenate([values, seen])
    if not len(both) or (both.min() >= 0 and both.max() <= 1):
        return 0.0, 1.0
    high = float(both.max())
    low = max(float(both.min()), high - 4 * (high - float(np.median(both))))
    if low == high:  # most values are the best one
        low = float(both.min())
    spread = max(high - low, 1e-6 * max(abs(high), abs(low)), _TINY)
    return low - 0.1 * spread, high + 0.25 * spread


def _maximum(means: Array, noise: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each noisy future's maximum, from draws of its own."""
    rng = np.random.default_rng(0)
    total, squares = np.zeros(len(means)), np.zeros(len(means))
    shift = means.max(axis=1)  # so that the sum of squares loses no digits
    for _ in range(_NOISE_DRAWS):
        draw = rng.standard_normal(means.shape, dtype=np.float32)
        top = (means + noise[:, None] * draw).max(axis=1) - shift
        total += top
        squares += top**2
    centre = total / _NOISE_DRAWS
    variance = (squares - total * centre) / (_NOISE_DRAWS - 1)
    return shift + centre, np.sqrt(np.maximum(variance, (0.1 * noise) ** 2))
