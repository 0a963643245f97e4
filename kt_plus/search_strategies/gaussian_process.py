"""A Gaussian process over mixed and conditional search spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize
from scipy.special import erfcx, ndtr

from kt_plus.engine.columns import Columns, Rows
from kt_plus.engine.dimensions import Dimension, Discrete

Array = np.ndarray

INACTIVE = 0.25
"""Squared distance between an active and an inactive value of one dimension."""

KNOTS = np.linspace(0.0, 1.0, 6)
"""Where the effect of a single number is represented."""

SMOOTHNESS = 6.0
"""Inverse squared length scale of the effect of a single number."""

LOWEST = 5.0
"""Maximum compressed distance of a score below the median."""

JITTER = 1e-8
"""Added to the diagonal of each covariance matrix, so that repeated points stay solvable."""


class Features:
    """Maps configurations to points on which the kernel is a function of sums over features.

    The first features are for distances. The squared distance of two configurations is a weighted
    sum over the dimensions:

    - numbers and ordered choices, on their own scale in [0, 1]: (u - u')^2;
    - unordered choices: 1 if they differ, else 0;
    - one active and the other one not: `INACTIVE`, plus (u - 1/2)^2 for an ordered dimension;
    - both inactive: 0.

    The other ones are for effects of single dimensions, whose covariance is a weighted sum of the
    products of features: an indicator of each unordered choice and of being inactive, and for
    numbers and ordered choices the Nystrom features of a Matern-5/2 kernel at `KNOTS`. Further
    effects, each one feature, are functions of the plain points.

    Args:
        columns: The columns of the search space.
        further: The further effects.

    Attributes:
        dimensions: The number of dimensions that have more than one value. Others have no feature.
        conditional: True for each of these that may be inactive.
        distance_owner: Which of these each feature for distances belongs to.
        effect_owner: Which of these each feature for single effects belongs to.
    """

    def __init__(self, columns: Columns, further: Sequence[Callable[[Array], Array]] = ()) -> None:
        self._columns = columns
        self.further = further
        free = [j for j, size in enumerate(columns.sizes) if size > 1]
        self.dimensions = len(free)
        nominal = np.array([_is_nominal(columns.dimensions[j]) for j in free], bool)
        self.conditional = conditional = columns.conditional[free]
        sizes = columns.sizes[free]
        indicators = np.where(nominal, sizes + 1, 0)
        near = np.where(nominal, indicators, 1 + conditional).astype(int)
        alone = np.where(nominal, indicators, len(KNOTS) + conditional).astype(int)
        alone = np.concatenate([alone, np.ones(len(further), int)])
        self._near, self._alone = _starts(near), _starts(alone)
        self.distance_owner = np.repeat(np.arange(len(free)), near)
        self.effect_owner = np.repeat(np.arange(len(alone)), alone)
        # Pairs of a column and the place of its dimension among those that have features.
        self._nominal = [(j, i) for i, j in enumerate(free) if nominal[i]]
        self._ordered = [(j, i) for i, j in enumerate(free) if not nominal[i]]
        self._conditional = [(j, i) for j, i in self._ordered if conditional[i]]
        counts = columns.sizes[[j for j, _ in self._ordered]]
        # The first and the last of n values lie at 0 and 1, not at the centers of their parts.
        self._stretch = np.array([n / (n - 1) if np.isfinite(n) else 1.0 for n in counts])

    def __call__(self, rows: Rows) -> Array:
        """Points of shape (configurations, features): those for distances, then the others."""
        near = np.zeros((len(rows), len(self.distance_owner)))
        alone = np.zeros((len(rows), len(self.effect_owner)))
        places = np.array([i for _, i in self._ordered], int)
        units = self._columns.unit(rows, [j for j, _ in self._ordered])
        units = 0.5 + self._stretch * (units - 0.5)
        missing = np.isnan(units)
        near[:, self._near[places]] = np.where(missing, 0.5, units)
        waves = np.where(missing[..., None], 0.0, _waves(units))
        columns = self._alone[places][:, None] + np.arange(len(KNOTS))
        alone[:, columns.ravel()] = waves.reshape(len(rows), -1)
        for j, i in self._conditional:
            inactive = np.isnan(rows[:, j])
            near[:, self._near[i] + 1] = np.where(inactive, INACTIVE**0.5, 0.0)
            alone[:, self._alone[i] + len(KNOTS)] = inactive
        for j, i in self._nominal:
            last = int(self._columns.sizes[j])
            choice = np.where(np.isnan(rows[:, j]), last, rows[:, j]).astype(int)
            near[np.arange(len(rows)), self._near[i] + choice] = 0.5**0.5
            alone[np.arange(len(rows)), self._alone[i] + choice] = 1.0
        if self.further:
            plain = np.hstack([near, alone[:, : -len(self.further)]])
            alone[:, -len(self.further) :] = np.stack([f(plain) for f in self.further], axis=1)
        return np.hstack([near, alone])

    def near(self, rows: Rows) -> Array:
        """The features for distances alone."""
        return self.split(self(rows))[0]

    def split(self, points: Array) -> tuple[Array, Array]:
        """The features for distances, and those for single effects."""
        return points[:, : len(self.distance_owner)], points[:, len(self.distance_owner) :]

    def squared_distances(self, first: Array, second: Array) -> Array:
        """Squared distances of pairs by dimension, of shape (pairs, dimensions)."""
        return np.asarray(np.add.reduceat((first - second) ** 2, self._near, axis=-1))

    def by_dimension(self, effects: Array) -> Array:
        """Sums over the features of each dimension for single effects."""
        return np.add.reduceat(effects, self._alone)


def _is_nominal(dimension: Dimension) -> bool:
    return isinstance(dimension, Discrete) and not dimension.ordered and len(dimension.choices) > 2


def _starts(widths: Array) -> Array:
    return np.concatenate([[0], np.cumsum(widths)])[: len(widths)].astype(int)


def _matern(distance: Array) -> Array:
    """Matern-5/2 correlation at a distance in units of the length scale times sqrt(5)."""
    return np.asarray(np.exp(-distance) * (1 + distance + distance**2 / 3))


def _correlation(first: Array, second: Array) -> Array:
    return _matern(np.abs(first[..., None] - second) * (5 * SMOOTHNESS) ** 0.5)


_WHITENER = np.linalg.inv(np.linalg.cholesky(_correlation(KNOTS, KNOTS)))


def _waves(units: Array) -> Array:
    """Features whose inner products are the correlation of single numbers (Nystrom)."""
    return np.asarray(_correlation(units, KNOTS) @ _WHITENER.T)


@dataclass(frozen=True)
class KernelPrior:
    """Normal priors of the logarithms of the kernel's hyperparameters.

    Args:
        weight: Prior median of the weight of a dimension, times the number of dimensions.
        weight_spread: Standard deviation of its logarithm.
        effect: Prior median of the variance of a single effect, times the number of dimensions.
        effect_spread: Standard deviation of its logarithm.
        further: Prior median of the variance of a further effect.
        conditional: Factor of the medians of weight and effect where a dimension may be inactive.
        scale_spread: Standard deviation of the logarithm of the interactions' variance around 1.
        noise: Prior mean of the logarithm of the noise variance.
        noise_spread: Its standard deviation. `0` fixes the noise.
    """

    weight: float = 6.0
    weight_spread: float = 1.5
    effect: float = 0.22
    effect_spread: float = 1.5
    further: float = 0.5
    conditional: float = 1.0
    scale_spread: float = 1.0
    noise: float = -5.0
    noise_spread: float = 2.0

    def moments(self, features: Features) -> tuple[Array, Array]:
        """Means and standard deviations in the order of `GaussianProcess.theta`."""
        count, further = features.dimensions, len(features.further)
        share = max(count, 1)
        factor = np.where(features.conditional, self.conditional, 1.0)
        weights, effects = (np.log(m * factor / share) for m in (self.weight, self.effect))
        mean = [*weights, *effects, *[np.log(self.further)] * further]
        spread = [self.weight_spread] * count + [self.effect_spread] * (count + further)
        variances = [self.scale_spread, self.noise_spread]
        return np.array([*mean, 0.0, self.noise]), np.array([*spread, *variances])


@dataclass(frozen=True)
class GaussianProcess:
    """The posterior of a Gaussian process with interactions and single effects.

    k(x, x') = s M(d) + sum of v_j e_j(x) . e_j(x'), where M is the Matern-5/2 correlation, d^2 the
    sum of w_j times the squared distance in dimension j, and e_j the features of dimension j alone
    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equations 4.17 and
    5.2; sums of kernels: Duvenaud et al., "Additive Gaussian Processes", NeurIPS 2011). Values
    have a mean of zero and a variance near 1: see `ScoreScale`.

    Args:
        features: How configurations become points.
        points: The observed configurations as points.
        values: Their values.
        theta: Logarithms of all w, of all v, of s, and of the noise variance.
    """

    features: Features
    points: Array
    values: Array
    theta: Array

    @classmethod
    def fit(
        cls,
        features: Features,
        points: Array,
        values: Array,
        prior: KernelPrior | None = None,
        evaluations: int = 30,
    ) -> GaussianProcess:
        """The process with the most probable hyperparameters (maximum a posteriori).

        Args:
            features: How configurations become points.
            points: The observed configurations as points.
            values: Their values.
            prior: The prior of the hyperparameters.
            evaluations: Maximum number of evaluations of the posterior density.
        """
        mean, spread = (prior or KernelPrior()).moments(features)
        density = _Density(features, points, values, mean, spread)
        # Outside these bounds the covariance matrix is singular or the process explains nothing.
        low = np.concatenate([mean[:-2] - 6, [-3.0, np.log(1e-4)]])
        high = np.concatenate([mean[:-2] + 6, [3.0, 1.0]])
        low, high = (np.where(spread > 0, bound, mean) for bound in (low, high))
        found = minimize(
            density,
            np.clip(mean, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack([low, high], axis=1),
            options={"maxfun": evaluations, "maxiter": evaluations, "ftol": 1e-5},
        )
        return cls(features, points, values, found.x)

    def given(self, points: Array, values: Array) -> GaussianProcess:
        """The process with these hyperparameters after other observations."""
        return GaussianProcess(self.features, points, values, self.theta)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation of the value, without noise, at each point."""
        near, alone = self._scaled(points)
        covariance = self._covariance((near, alone), self._observed)
        mean = covariance @ self._solution
        solved = solve_triangular(self._factor, covariance.T, lower=True, check_finite=False)
        prior = np.exp(self.theta[-2]) + np.einsum("ij,ij->i", alone, alone)
        variance = prior - np.einsum("ij,ij->j", solved, solved)
        return mean, np.sqrt(np.maximum(variance, 1e-10))

    @cached_property
    def left_out_density(self) -> float:
        """Sum of the log densities of each value, predicted from all others.

        Rasmussen and Williams, equations 5.10 to 5.12.
        """
        inverse = cho_solve((self._factor, True), np.eye(len(self.values)), check_finite=False)
        precision = np.diag(inverse)
        return float(0.5 * (np.log(precision) - self._solution**2 / precision).sum())

    @property
    def noise(self) -> float:
        """The noise variance of one observation."""
        return float(np.exp(self.theta[-1]))

    def _scaled(self, points: Array) -> tuple[Array, Array]:
        near, alone = self.features.split(points)
        roots = np.exp(0.5 * self.theta)
        return (
            near * roots[self.features.distance_owner],
            alone * roots[self.features.dimensions + self.features.effect_owner],
        )

    def _covariance(self, first: tuple[Array, Array], second: tuple[Array, Array]) -> Array:
        (near, alone), (other_near, other_alone) = first, second
        squared = (near**2).sum(1)[:, None] + (other_near**2).sum(1) - 2 * near @ other_near.T
        distance = np.sqrt(5 * np.maximum(squared, 0.0))
        return np.asarray(np.exp(self.theta[-2]) * _matern(distance) + alone @ other_alone.T)

    @cached_property
    def _observed(self) -> tuple[Array, Array]:
        return self._scaled(self.points)

    @cached_property
    def _factor(self) -> Array:
        covariance = self._covariance(self._observed, self._observed)
        covariance[np.diag_indices(len(covariance))] += self.noise + JITTER
        return np.linalg.cholesky(covariance)

    @cached_property
    def _solution(self) -> Array:
        return np.asarray(cho_solve((self._factor, True), self.values, check_finite=False))


class _Density:
    """Negative log posterior density of the hyperparameters, and its gradient.

    Rasmussen and Williams, equations 5.8 and 5.9, plus the prior.
    """

    def __init__(
        self, features: Features, points: Array, values: Array, mean: Array, spread: Array
    ) -> None:
        near, self._alone = features.split(points)
        self._pairs = first, second = np.tril_indices(len(points), -1)
        self._squared = features.squared_distances(near[first], near[second])
        self._features, self._values = features, values
        self._mean, self._spread = mean, np.where(spread > 0, spread, np.inf)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        dimensions, pairs = self._squared.shape[-1], self._pairs
        weights, effects = np.exp(theta[:dimensions]), np.exp(theta[dimensions:-2])
        signal, noise = np.exp(theta[-2]), np.exp(theta[-1])
        distance = np.sqrt(5 * (self._squared @ weights))
        decay = np.exp(theta[-2] - distance) * (1 + distance)
        interactions = decay + np.exp(theta[-2] - distance) * distance**2 / 3
        owner = self._features.effect_owner
        covariance = (self._alone * effects[owner]) @ self._alone.T
        covariance[pairs] += interactions  # of the lower triangle, which is all that LAPACK reads
        covariance[np.diag_indices(len(covariance))] += signal + noise + JITTER
        factor, _ = lapack.dpotrf(covariance, lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        solution = inverse @ self._values
        slope = inverse - np.outer(solution, solution)  # twice that by the covariance matrix
        below, trace = slope[pairs], 0.5 * float(np.trace(slope))
        by_weight = (-5 / 6) * ((below * decay) @ self._squared) * weights
        by_feature = 0.5 * np.einsum("if,if->f", self._alone, slope @ self._alone)
        by_effect = self._features.by_dimension(by_feature) * effects
        by_variance = [float(below @ interactions) + trace * signal, trace * noise]
        z = (theta - self._mean) / self._spread
        value = 0.5 * self._values @ solution + np.log(np.diag(factor)).sum() + 0.5 * z @ z
        gradient = np.concatenate([by_weight, by_effect, by_variance]) + z / self._spread
        return float(value), gradient


@dataclass(frozen=True)
class ScoreScale:
    """A scale on which the best scores are told apart and diverged trials weigh little.

    The median becomes 0 and the 90th percentile 1. Distances below the median are compressed to
    log(1 + distance), at most `LOWEST`. Then the mean becomes 0 and the standard deviation 1.

    Args:
        median: The median of the scores.
        unit: The distance of the 90th percentile from it.
        mean: The mean after compression.
        deviation: The standard deviation after compression.
    """

    median: float
    unit: float
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, all_scores: Array, fitted: Array | None = None) -> ScoreScale:
        """The scale of scores.

        Args:
            all_scores: The scores whose median and 90th percentile count.
            fitted: The scores whose mean and standard deviation count; all by default.
        """
        median = float(np.median(all_scores))
        above = float(np.quantile(all_scores, 0.9)) - median
        unit = above if above > 0 else float(np.std(all_scores)) or 1.0
        compressed = cls(median, unit)(all_scores if fitted is None else fitted)
        return cls(median, unit, float(compressed.mean()), float(compressed.std()) or 1.0)

    def __call__(self, scores: Array) -> Array:
        """The scores on this scale."""
        z = (scores - self.median) / self.unit
        z = np.where(z < 0, -np.minimum(np.log1p(np.maximum(-z, 0.0)), LOWEST), z)
        return np.asarray((z - self.mean) / self.deviation)


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Logarithm of the expected improvement of a maximum over `best`.

    The logarithm stays finite where the improvement itself underflows (Ament et al., "Unexpected
    Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023).
    """
    z = (mean - best) / deviation
    log_density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    near = np.exp(log_density) + z * ndtr(z)  # exact where nothing cancels
    below = np.maximum(-z, 1.0)
    # With the scaled complementary error function what cancels is free of the exponential.
    share = 1 - below * np.sqrt(np.pi / 2) * erfcx(below / np.sqrt(2))
    share = np.where(below < 1e4, np.maximum(share, 1e-300), below**-2.0)
    logarithm = np.where(z > -1, np.log(np.maximum(near, 1e-300)), log_density + np.log(share))
    return np.asarray(logarithm + np.log(deviation))
