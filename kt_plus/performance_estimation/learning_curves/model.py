"""The package's own model of learning curves: every shape it knows, weighed by what fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from kt_plus.engine.history import best_value
from kt_plus.performance_estimation.learning_curves import prior as priors
from kt_plus.performance_estimation.learning_curves.analogs import Analogs, noise_of
from kt_plus.performance_estimation.learning_curves.components import Components, Future
from kt_plus.performance_estimation.learning_curves.forecast import Array, AtLeast, Forecast
from kt_plus.performance_estimation.learning_curves.prior import NOISE
from kt_plus.performance_estimation.learning_curves.regression import Basis, Normal, regress
from kt_plus.performance_estimation.learning_curves.residuals import residuals
from kt_plus.performance_estimation.learning_curves.shapes import ends, shape_of
from kt_plus.performance_estimation.learning_curves.units import Units

REMEMBERED = 50
"""How many finished curves lend their shapes; of more, so many evenly spaced by their ends."""

TEMPER = 0.5
"""The power of the evidence in the weights: no shape is exactly right, and with the full
evidence a few values can rule out all but one (Grünwald and van Ommen, "Inconsistency of
Bayesian Inference for Misspecified Linear Models", Bayesian Analysis 12, 2017)."""

SIMILARITY = np.array([0.03, 0.15])[:, None, None] ** 2 * np.array([[1.0, 0.5], [0.5, 1.0]])
"""How far from a finished curve's ends those of a similar curve may lie: two covariances."""


class LearningCurveModel:
    """Extrapolates a learning curve from its beginning and from the finished curves.

    When to use it: to know early what a training will come to; `LearningCurveExtrapolation`
    stops trials by it. It takes some milliseconds, needs no training of its own, and gives
    the same answer whenever it is asked.

    A curve is a shape between two ends, with noise and a lasting deviation about it. The
    shape is one of a bank of decays (exponential, power, Hill, ...) or that of a finished
    curve of the same search; for each, and for each noise level, the two ends have a normal
    posterior in closed form, so that the forecast is an exact mixture of normal
    distributions, weighed by evidence. What ends, shapes and noise to expect is learnt from
    the curves of the search, those cut short included (empirical Bayes). A part of the
    forecast is that the curve goes on as finished ones did from the same point (`Analogs`):
    they know of plateaus that end. With no curve known, the prior alone speaks, cautiously.

    Source: the weighted combination of curve families is that of Domhan, Springenberg and
    Hutter, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by
    Extrapolation of Learning Curves", IJCAI 2015; conjugate regression instead of sampling,
    the deviations, and learning from the search's other curves are ours.

    Args:
        horizon: The number of epochs of a whole curve.

    Raises:
        ValueError: If `horizon` is not a whole number of at least 1.

    Example:

    ```python
    model = LearningCurveModel(horizon=50).fit(finished_curves)
    forecast = model.forecast([0.31, 0.48, 0.55])  # after three epochs
    forecast.mean, forecast.quantile(0.05), forecast.probability_above(0.9)
    ```
    """

    def __init__(self, horizon: int) -> None:
        if isinstance(horizon, bool) or int(horizon) != horizon or horizon < 1:
            raise ValueError(
                f"horizon={horizon!r} was given. Expected a whole number of epochs, at least 1."
            )
        self.horizon = int(horizon)
        self.fit([])

    def __repr__(self) -> str:
        return f"LearningCurveModel(horizon={self.horizon}, {self._count} curves known)"

    def fit(self, finished_curves: Iterable[Sequence[float]]) -> LearningCurveModel:
        """Learns from the other curves of the search; what was learnt before is forgotten.

        Args:
            finished_curves: The value after each epoch, larger being better, of any number
                of curves in any order. Those shorter than the horizon count as cut short.

        Returns:
            The model itself.
        """
        cut = (tuple(map(float, curve))[: self.horizon] for curve in finished_curves)
        curves = sorted(curve for curve in cut if any(map(math.isfinite, curve)))
        self._count = len(curves)
        self._units = Units.of(curves) if curves else None
        known = [self._units.enter(curve) for curve in curves] if self._units else []
        self._prior = priors.learn((tuple(z.tolist()) for z in known), max(self.horizon, 2))
        whole = [z for z in known if len(z) == self.horizon]
        self._whole = np.array(whole) if whole else np.empty((0, self.horizon))
        self._noise = noise_of(self._whole) if whole else 0.0
        self._memory = self._remember(whole)
        return self

    def forecast(self, prefix: Sequence[float]) -> Forecast:
        """What is expected of a curve after its beginning.

        Args:
            prefix: Its values so far, at least one and fewer than the horizon. Values that
                are not finite count as very bad ones.

        Raises:
            ValueError: If there is no value, or nothing left to forecast.
        """
        n = len(prefix)
        if not 0 < n < self.horizon:
            raise ValueError(
                f"A curve of {n} epochs was given, and the horizon is {self.horizon}. Expected at "
                "least one value and fewer than the horizon. Give the curve's beginning only, "
                "or a larger horizon."
            )
        units = self._units.around(prefix) if self._units else Units.guess(prefix)
        values = units.enter(prefix)
        alike = units is self._units and len(self._whole) > 0
        near = Analogs.of(values, self._whole, self._noise) if alike else None
        future = Future(self._components(values), near, units)
        return Forecast(AtLeast(best_value(prefix), future.best()), future, n)

    def _remember(self, whole: list[Array]) -> tuple[Basis, Normal] | None:
        """The shapes of finished curves, each with ends like its own."""
        whole = sorted(whole, key=lambda z: (float(z[-1]), *z.tolist()))
        if len(whole) > REMEMBERED:
            at = np.linspace(0, len(whole) - 1, REMEMBERED).round().astype(int)
            whole = [whole[i] for i in at]
        found = [known for z in whole if (known := _memory(tuple(z.tolist()))) is not None]
        if not found:
            return None
        mean = np.array([ends_ for _, ends_ in found])[:, None].repeat(len(SIMILARITY), axis=1)
        covariance = np.broadcast_to(SIMILARITY, (len(found), *SIMILARITY.shape))
        return Basis.join([basis for basis, _ in found]), Normal(mean, covariance)

    def _components(self, values: Array) -> Components:
        """The components of the posterior with the largest weights."""
        covariances = residuals(self.horizon)
        seen = covariances.whiten(values)
        groups = [(priors.bank(self.horizon), self._prior.ends, self._prior.log_weights())]
        if self._memory is not None:
            basis, near = self._memory
            count, similar = near.mean.shape[:2]
            share = _memory_share(count)
            groups[0] = (*groups[0][:2], groups[0][2] + math.log(1 - share))
            each = np.full((count, 1, 1, similar), share / (count * similar))
            groups.append((basis, near, np.log(each * self._prior.residuals[:, :, None])))
        found = []
        for basis, near, log_weights in groups:
            posterior = regress(seen, basis, near, NOISE, covariances)
            found.append((basis, posterior, TEMPER * posterior.log_evidence + log_weights))
        return Components.largest(found, NOISE, covariances, seen)


def _memory_share(count: int) -> float:
    """The weight of all finished curves' shapes together: none without any, most of it for many."""
    return 0.8 * count / (count + 3)


@lru_cache(maxsize=1024)
def _memory(values: tuple[float, ...]) -> tuple[Basis, Array] | None:
    """The shape of a finished curve, ready for regression, and its ends; `None` if flat."""
    curve = np.array(values)
    shape = shape_of(curve)
    return None if shape is None else (Basis.of(shape[None], residuals(len(curve))), ends(curve))
