"""A curve as a shape between two unknown ends: Bayesian linear regression in closed form.

Given a shape g (1 at the first epoch, 0 at the last), a noise level s and correlations R,

    y(t) = a g(t) + c (1 - g(t)) + e(t),    e ~ N(0, s^2 R),    (a, c) ~ N(m, V),

so that the ends (a, c) have a normal posterior, and the values seen an evidence, both in
closed form (Bishop, "Pattern Recognition and Machine Learning", 2006, eqs. 3.49 to 3.51
and 3.86). Everything is computed for all shapes, correlations, noise levels and priors at
once; arrays have the axes (shape, correlation, noise, prior).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array
from kt_plus.performance_estimation.learning_curves.residuals import Residuals


@dataclass(frozen=True)
class Normal:
    """Priors of the ends: several for each shape, or the same ones for all.

    Args:
        mean: m, shape (shapes or 1, priors, 2).
        covariance: V, shape (shapes or 1, priors, 2, 2).
    """

    mean: Array
    covariance: Array


@dataclass(frozen=True)
class Basis:
    """Some shapes, and what of them the regression needs at every length of a curve.

    Args:
        design: g and 1 - g, shape (shapes, 2, horizon).
        whitened: The same in independent units, shape (shapes, 2, correlations, horizon).
        gram: Their products summed up to each epoch, gg, g(1-g) and (1-g)(1-g), shape
            (3, shapes, correlations, horizon).
    """

    design: Array
    whitened: Array
    gram: Array

    @classmethod
    def of(cls, shapes: Array, residuals: Residuals) -> Basis:
        """The basis of the shapes, one a row."""
        design = np.stack([shapes, 1 - shapes], axis=1)
        whitened = residuals.whiten(design)
        g, h = whitened[:, 0], whitened[:, 1]
        return cls(design, whitened, np.cumsum([g * g, g * h, h * h], axis=-1))

    @classmethod
    def join(cls, bases: Sequence[Basis]) -> Basis:
        """The shapes of several as one basis."""
        return cls(
            np.concatenate([basis.design for basis in bases]),
            np.concatenate([basis.whitened for basis in bases]),
            np.concatenate([basis.gram for basis in bases], axis=1),
        )


@dataclass(frozen=True)
class Posterior:
    """What a curve's beginning tells of its ends, given each component.

    Args:
        log_evidence: The log-density of the values seen, up to a constant.
        mean: The mean of the first and of the last value, shape (2, ...).
        covariance: Their variances and covariance: aa, ac, cc, shape (3, ...).
    """

    log_evidence: Array
    mean: Array
    covariance: Array


def regress(
    seen: Array, basis: Basis, prior: Normal, noise: Array, residuals: Residuals
) -> Posterior:
    """The posterior of the ends for each shape, correlation, noise level and prior.

    Args:
        seen: The first n values of the curve in independent units, as `residuals` whitens them.
        basis: The shapes.
        prior: The priors of the ends.
        noise: The standard deviations of the noise.
        residuals: The correlations.
    """
    n = seen.shape[-1]
    moment = np.einsum("kprt,rt->pkr", basis.whitened[..., :n], seen, optimize=True)
    weight = 1 / noise[:, None] ** 2

    prior_precision = np.linalg.inv(prior.covariance)
    prior_moment = np.einsum("kbpq,kbq->pkb", prior_precision, prior.mean)
    pull = prior_moment[..., None, None, :] + moment[..., None, None] * weight
    gram = basis.gram[..., n - 1, None, None] * weight
    aa, ac, cc = (
        prior_precision[..., i, j][:, None, None] + gram[at]
        for at, (i, j) in enumerate([(0, 0), (0, 1), (1, 1)])
    )
    determinant = aa * cc - ac * ac
    mean = np.stack([cc * pull[0] - ac * pull[1], aa * pull[1] - ac * pull[0]]) / determinant
    covariance = np.stack([cc, -ac, aa]) / determinant

    log_det = np.linalg.slogdet(prior.covariance)[1] + np.sum(
        prior_moment * np.moveaxis(prior.mean, -1, 0), axis=0
    )
    squares = (seen**2).sum(axis=1)[:, None, None] * weight + 2 * n * np.log(noise)[:, None]
    log_evidence = -0.5 * (
        squares
        + 2 * residuals.half_log_det[:, n - 1, None, None]
        + log_det[:, None, None]
        + np.log(determinant)
        - (pull * mean).sum(axis=0)
    )
    return Posterior(log_evidence, mean, covariance)
