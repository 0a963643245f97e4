"""What is expected of a curve before its first value, and what finished curves teach of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array
from kt_plus.performance_estimation.learning_curves.regression import (
    Basis,
    Normal,
    Posterior,
    regress,
)
from kt_plus.performance_estimation.learning_curves.residuals import RATIOS, residuals
from kt_plus.performance_estimation.learning_curves.shapes import decay_shapes

# In units of the search's progress: curves begin at about -1, and the best ended at 0.
NOISE = np.geomspace(0.0004, 0.5, 9)
"""Standard deviations of the noise."""

KINDS = Normal(
    np.array([[[-1.0, -1.0], [-1.0, -0.6], [-0.8, -0.15], [-1.0, -0.7]]]),
    np.array(
        [
            [
                [[0.05, 0.05], [0.05, 0.0505]],  # learns nothing
                [[0.1, 0.0], [0.0, 0.1]],  # learns something
                [[0.1, 0.0], [0.0, 0.03]],  # ends near the best
                [[1.0, 0.0], [0.0, 1.0]],  # anything
            ]
        ]
    ),
)
"""The first and the last value of four kinds of curves: means and covariances."""

KIND_WEIGHTS = np.array([0.3, 0.3, 0.2, 0.2])

# How many curves' worth the prior counts: shapes, noise and correlation, kinds, ends of a kind.
SHAPES_COUNT, RESIDUALS_COUNT, KINDS_COUNT, ENDS_COUNT = 9.0, 3.0, 2.0, 2.0


@dataclass(frozen=True)
class Prior:
    """Weights of the components, and the priors of the ends.

    Args:
        shapes: The weight of each shape of the bank.
        residuals: The weight of each pair of correlation and noise level, shape (3, 9).
        kinds: The weight of each kind of curve.
        ends: The ends of each kind.
    """

    shapes: Array
    residuals: Array
    kinds: Array
    ends: Normal

    def log_weights(self) -> Array:
        """The logarithms of the components' weights, with the axes of `regress`."""
        pairs = np.log(self.residuals)[:, :, None] + np.log(self.kinds)
        return np.asarray(np.log(self.shapes)[:, None, None, None] + pairs)


@dataclass(frozen=True)
class Lesson:
    """What one curve says of the prior: expected counts, and moments of its ends by kind."""

    shapes: Array
    residuals: Array
    kinds: Array
    first_moment: Array
    second_moment: Array


def initial(horizon: int) -> Prior:
    """The prior before any curve has been seen."""
    count = len(decay_shapes(horizon))
    pairs = len(RATIOS) * len(NOISE)
    shapes = np.full(count, 1 / count)
    return Prior(shapes, np.full((len(RATIOS), len(NOISE)), 1 / pairs), KIND_WEIGHTS, KINDS)


@lru_cache(maxsize=16)
def bank(horizon: int) -> Basis:
    """The bank of decays, ready for regression."""
    return Basis.of(decay_shapes(horizon), residuals(horizon))


@lru_cache(maxsize=4096)
def lesson(values: tuple[float, ...], horizon: int) -> Lesson:
    """What a curve teaches, whole or cut short: the E step of EM from the initial prior.

    Args:
        values: The curve in units of the search's progress.
        horizon: The number of epochs of a whole curve.
    """
    prior = initial(horizon)
    covariances = residuals(horizon)
    seen = covariances.whiten(np.array(values))
    found = regress(seen, bank(horizon), prior.ends, NOISE, covariances)
    log_weights = found.log_evidence + prior.log_weights()
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    return Lesson(
        weights.sum(axis=(1, 2, 3)),
        weights.sum(axis=(0, 3)),
        weights.sum(axis=(0, 1, 2)),
        np.einsum("krsb,pkrsb->bp", weights, found.mean),
        _second_moment(weights, found),
    )


def _second_moment(weights: Array, found: Posterior) -> Array:
    """The expectation of the ends' products, by kind, shape (kinds, 2, 2)."""
    first, last = found.mean
    products = found.covariance + np.stack([first * first, first * last, last * last])
    aa, ac, cc = np.einsum("krsb,pkrsb->pb", weights, products)
    return np.stack([np.stack([aa, ac], -1), np.stack([ac, cc], -1)], axis=-2)


def learn(curves: Iterable[tuple[float, ...]], horizon: int) -> Prior:
    """The prior after some curves: empirical Bayes.

    One step of EM (Dempster, Laird and Rubin, 1977) from the initial prior, with conjugate
    priors on all that is estimated. Four steps were measured to forecast no better than
    one; and one step is a sum over curves, so that another curve costs no more than its own
    part.

    Args:
        curves: Curves in units of the search's progress, whole or cut short.
        horizon: The number of epochs of a whole curve.
    """
    prior, lessons = initial(horizon), [lesson(curve, horizon) for curve in curves]
    if not lessons:
        return prior
    fields = ("shapes", "residuals", "kinds", "first_moment", "second_moment")
    shapes, pairs, kinds, first, second = (
        np.sum([getattr(one, name) for one in lessons], axis=0) for name in fields
    )
    n = len(lessons)
    return Prior(
        (shapes + SHAPES_COUNT * prior.shapes) / (n + SHAPES_COUNT),
        (pairs + RESIDUALS_COUNT * prior.residuals) / (n + RESIDUALS_COUNT),
        (kinds + KINDS_COUNT * prior.kinds) / (n + KINDS_COUNT),
        _ends(kinds, first, second),
    )


def _ends(kinds: Array, first: Array, second: Array) -> Normal:
    """The ends of each kind: the maximum a posteriori under a normal inverse-Wishart prior."""
    before, spread = KINDS.mean[0], KINDS.covariance[0]
    count = (kinds + ENDS_COUNT)[:, None]
    mean = (first + ENDS_COUNT * before) / count
    prior_products = spread + before[:, :, None] * before[:, None]
    products = (second + ENDS_COUNT * prior_products) / count[..., None]
    return Normal(mean[None], (products - mean[:, :, None] * mean[:, None])[None])
