"""What a model of learning curves says of a curve's future. Larger values are better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]


class Distribution(Protocol):
    """The distribution of one number."""

    @property
    def mean(self) -> float:
        """Its expectation."""

    def quantile(self, q: float) -> float:
        """The value that it stays below with probability `q`."""

    def probability_above(self, value: float) -> float:
        """The probability that it exceeds `value`."""

    def log_density(self, y: float) -> float:
        """The logarithm of its density at `y`, in nats."""


@dataclass(frozen=True)
class Mixture:
    """A weighted mixture of Student t distributions, or of normal ones.

    Args:
        weights: One weight a component; they sum to 1.
        locations: The centre of each.
        scales: The scale of each, positive.
        df: The degrees of freedom of all, above 1; infinite for normal components.
    """

    weights: Array
    locations: Array
    scales: Array
    df: float = math.inf

    @property
    def mean(self) -> float:
        return float(self.weights @ self.locations)

    def probability_above(self, value: float) -> float:
        return float(self.weights @ self._cdf((self.locations - value) / self.scales))

    def quantile(self, q: float) -> float:
        """The quantile, by Brent's method, to a billionth of the spread.

        Raises:
            ValueError: If `q` is not between 0 and 1.
        """
        if not 0 < q < 1:
            raise ValueError(f"q={q} was given. Expected a probability between 0 and 1.")
        # Each component's own quantile: the mixture's lies between the extremes.
        z = special.ndtri(q) if math.isinf(self.df) else special.stdtrit(self.df, q)
        ends = self.locations + self.scales * z
        low, high = float(ends.min()), float(ends.max())
        excess = [q - 1 + self.probability_above(end) for end in (low, high)]
        if excess[0] <= 0 or excess[1] >= 0:  # equal but for rounding
            return low if excess[0] <= 0 else high
        precision = max(1e-9 * (high - low), 1e-300)
        root = optimize.brentq(
            lambda value: q - 1 + self.probability_above(value), low, high, xtol=precision
        )
        return float(root)

    def log_density(self, y: float) -> float:
        z = (y - self.locations) / self.scales
        with np.errstate(divide="ignore"):  # a component may have no weight
            terms = self._log_pdf(z) - np.log(self.scales) + np.log(self.weights)
        return float(special.logsumexp(terms))

    def _cdf(self, z: Array) -> Array:
        cdf = special.ndtr(z) if math.isinf(self.df) else special.stdtr(self.df, z)
        return np.asarray(cdf, dtype=np.float64)

    def _log_pdf(self, z: Array) -> Array:
        if math.isinf(self.df):
            return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
        log_norm = special.gammaln((self.df + 1) / 2) - special.gammaln(self.df / 2)
        log_norm -= 0.5 * math.log(self.df * math.pi)
        return np.asarray(log_norm - (self.df + 1) / 2 * np.log1p(z**2 / self.df))


@dataclass(frozen=True)
class AtLeast:
    """The larger of a known value and a random one: a curve's best within its horizon.

    With probability `1 - future.probability_above(floor)` it is the known value itself. So
    `log_density` is taken with respect to length plus a unit mass at `floor`: at `floor` it
    is the logarithm of that probability, below it minus infinity. A score by it is proper.

    Args:
        floor: The best value so far; minus infinity if there is none.
        future: The best of what is to come.
    """

    floor: float
    future: Mixture

    @property
    def mean(self) -> float:
        if math.isinf(self.floor):
            return self.future.mean
        return self.floor + _mean_excess(self.future, self.floor)

    def quantile(self, q: float) -> float:
        return max(self.floor, self.future.quantile(q))

    def probability_above(self, value: float) -> float:
        return 1.0 if value < self.floor else self.future.probability_above(value)

    def log_density(self, y: float) -> float:
        if y < self.floor:
            return -math.inf
        if y == self.floor:
            below = 1 - self.future.probability_above(y)
            return math.log(below) if below > 0 else -math.inf
        return self.future.log_density(y)


def _mean_excess(mixture: Mixture, floor: float) -> float:
    """E[max(X - floor, 0)] for a mixture X (for a normal one: expected improvement)."""
    z = (mixture.locations - floor) / mixture.scales
    density = np.exp(mixture._log_pdf(z))
    if not math.isinf(mixture.df):
        density = density * (mixture.df + z**2) / (mixture.df - 1)
    terms = mixture.scales * (z * mixture._cdf(z) + density)
    return float(mixture.weights @ terms)


@dataclass(frozen=True)
class Forecast:
    """What is expected of a curve: the best value within its horizon, and each later value.

    `mean`, `quantile`, `probability_above` and `log_density` are those of the best value,
    which is what Keras Tuner scores a trial by.

    Args:
        best: The distribution of the best value within the horizon, what was seen included.
        values: The distribution of the value at each later epoch.
        observed: How many epochs have been seen; `values[0]` is of the next.

    Example:

    ```python
    forecast = LearningCurveModel(horizon=50).fit(finished_curves).forecast(prefix)
    forecast.mean, forecast.quantile(0.05), forecast.quantile(0.95)
    forecast.probability_above(incumbent)
    forecast.at(50).mean
    ```
    """

    best: Distribution
    values: Sequence[Distribution]
    observed: int

    @property
    def horizon(self) -> int:
        """The number of the last epoch, counted from 1."""
        return self.observed + len(self.values)

    def at(self, epoch: int) -> Distribution:
        """The distribution of the value after that epoch, counted from 1.

        Raises:
            ValueError: If the epoch is not among those to come.
        """
        if not self.observed < epoch <= self.horizon:
            raise ValueError(
                f"epoch={epoch} was given. Expected one of those to come, "
                f"{self.observed + 1} to {self.horizon}."
            )
        return self.values[epoch - self.observed - 1]

    @property
    def mean(self) -> float:
        """The expectation of the best value within the horizon."""
        return self.best.mean

    def quantile(self, q: float) -> float:
        """The value that the best one within the horizon stays below with probability `q`."""
        return self.best.quantile(q)

    def probability_above(self, value: float) -> float:
        """The probability that the best value within the horizon exceeds `value`."""
        return self.best.probability_above(value)

    def log_density(self, y: float) -> float:
        """The log-density of the best value within the horizon at `y`, in nats."""
        return self.best.log_density(y)
