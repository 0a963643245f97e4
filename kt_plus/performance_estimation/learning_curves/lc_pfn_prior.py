"""The posterior under LC-PFN's prior over learning curves, by importance sampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kt_plus.performance_estimation.learning_curves.forecast import Array, Forecast
from kt_plus.performance_estimation.learning_curves.posterior import (
    Samples,
    check,
    finite_values,
    read_prefix,
)

_CANDIDATES = 65_536  # drawn at once; about one in five is accepted
_KEPT = 2_000  # futures that a forecast is made of

# ln(noise) ~ N(-4, 1), on a grid that reaches four standard deviations to either side.
_LOG_NOISE = np.linspace(-8.0, 0.0, 81)
_LOG_PRIOR = -0.5 * (_LOG_NOISE + 4.0) ** 2


@dataclass(frozen=True)
class LCPFNPrior:
    """What LC-PFN imitates: Bayes' rule under its prior over learning curves.

    A curve is a weighted sum of a power law, an inverse logarithm and a Janoschek curve,
    with normal noise; it lies in [0, 1] and ends above its beginning. LC-PFN is a transformer
    trained to answer as this posterior would. Here the posterior itself is computed, by
    weighing many curves drawn from the prior, so that nothing has to be downloaded.

    When to use it: to compare with. It learns nothing from the search's other trials, and
    expects that curves rise; `LearningCurveModel` does better on both.

    Source: Adriaensen, Rakotoarison, Müller and Hutter, "Efficient Bayesian Learning Curve
    Extrapolation using Prior-Data Fitted Networks", NeurIPS 2023, section 3 and appendix A;
    for the noise, which the paper prints otherwise, the authors' correction: ln(noise) ~
    N(-4, 1). The noise is integrated over on a grid, which the paper leaves to the network.

    Args:
        horizon: The number of the last epoch.
        draws: How many curves of the prior are weighed. They are drawn once for each
            horizon and seed, and kept in memory: 4 bytes x `draws` x `horizon`.
        bounds: What 0 and 1 of the prior stand for, for objectives that are not in [0, 1].
            By default nothing is mapped where all values seen lie in [0, 1]; otherwise
            the range of the values seen, with a quarter of it above the best, is.
        seed: Of the draws.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    ```python
    model = LCPFNPrior(horizon=50, draws=100_000)
    forecast = model.forecast([0.52, 0.61, 0.65])
    forecast.mean, forecast.quantile(0.05), forecast.quantile(0.95)
    ```
    """

    horizon: int
    draws: int = 100_000
    bounds: tuple[float, float] | None = None
    seed: int = 0
    _seen: Array = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    def __post_init__(self) -> None:
        check(self.horizon, self.bounds)
        if self.draws < 1_000:
            raise ValueError(
                f"draws={self.draws} was given. Expected at least 1000; 100000 or more are "
                "needed for a steady forecast from a long prefix."
            )

    def fit(self, finished: Iterable[Sequence[float]]) -> LCPFNPrior:
        """The same model, since the prior is fixed.

        Of the curves only the range of their values is used, and that only where values lie
        outside [0, 1] and `bounds` says nothing.
        """
        return LCPFNPrior(self.horizon, self.draws, self.bounds, self.seed, finite_values(finished))

    def forecast(self, prefix: Sequence[float]) -> Forecast:
        """What is expected of a curve after its beginning.

        Args:
            prefix: The values after each epoch so far, larger being better; may be empty.
                Those that are not finite are left out.

        Raises:
            ValueError: If the prefix is not shorter than the horizon.
        """
        known = read_prefix(prefix, self.horizon, self.bounds, self._seen)
        curves = prior_curves(self.horizon, self.draws, self.seed)
        errors = np.zeros(self.draws, dtype=np.float32)
        for epoch, value in zip(known.epochs, known.values, strict=True):
            errors += (curves[int(epoch) - 1] - np.float32(value)) ** 2
        rng = np.random.default_rng([self.seed, 1])
        squares = errors.astype(np.float64)
        rows = _resample(_log_evidence(squares, len(known.values)), rng)
        noise = _draw_noise(squares[rows], len(known.values), rng)
        means = curves[known.observed :, rows].T.astype(np.float64)
        return Samples(means, noise).forecast(known)


@lru_cache(maxsize=4)
def prior_curves(horizon: int, draws: int, seed: int) -> NDArray[np.float32]:
    """Curves of the prior without noise, one a column.

    Args:
        horizon: Epochs of each.
        draws: How many.
        seed: Of the generator.
    """
    rng = np.random.default_rng(seed)
    kept = np.empty((horizon, draws), dtype=np.float32)
    done = 0
    while done < draws:
        curves = _accepted(_draw_candidates(rng), horizon)[:, : draws - done]
        kept[:, done : done + curves.shape[1]] = curves
        done += curves.shape[1]
    kept.flags.writeable = False
    return kept


def _draw_candidates(rng: np.random.Generator) -> dict[str, Array]:
    """The parameters of the three families and their weights (appendix A)."""
    n = _CANDIDATES
    return {
        "w_pow3": rng.uniform(0, 1, n),
        "w_ilog2": rng.uniform(0, 1, n),
        "w_janoschek": rng.uniform(0, 1, n),
        "pow3_c": rng.uniform(0, 1.25, n),
        "pow3_a": rng.uniform(-0.6, 0.6, n),
        "pow3_alpha": rng.lognormal(0, 2, n),
        "ilog2_c": rng.uniform(0, 1, n),
        "ilog2_a": rng.uniform(-0.5, 0.5, n),
        "janoschek_alpha": rng.uniform(0, 1, n),
        "janoschek_beta": rng.uniform(0, 2, n),
        "janoschek_kappa": rng.lognormal(-2, 1, n),
        "janoschek_delta": rng.lognormal(0, 0.5, n),
    }


def _curves(p: dict[str, Array], epochs: Array) -> Array:
    """The weighted sum of the three families, one curve a column (section 3.1)."""
    t = epochs[:, None]
    pow3 = p["pow3_c"] - p["pow3_a"] * t ** -p["pow3_alpha"]
    ilog2 = p["ilog2_c"] - p["ilog2_a"] / np.log(t + 1)
    decay = np.exp(-p["janoschek_kappa"] * t ** p["janoschek_delta"])
    janoschek = p["janoschek_alpha"] - (p["janoschek_alpha"] - p["janoschek_beta"]) * decay
    return np.asarray(p["w_pow3"] * pow3 + p["w_ilog2"] * ilog2 + p["w_janoschek"] * janoschek)


def _accepted(p: dict[str, Array], horizon: int) -> Array:
    """The candidates that lie in [0, 1] and end above their beginning."""
    first, last = ends = _curves(p, np.array([1.0, horizon]))
    good = (last > first) & (ends >= 0).all(axis=0) & (ends <= 1).all(axis=0)
    curves = _curves({k: v[good] for k, v in p.items()}, np.arange(1.0, horizon + 1))
    inside = (curves >= 0).all(axis=0) & (curves <= 1).all(axis=0)
    return np.asarray(curves[:, inside])


def _log_likelihoods(squares: Array, n: int) -> Array:
    """For each sum of squared errors: ln p(values, noise) for every noise of the grid."""
    precision = np.exp(-2 * _LOG_NOISE)
    return _LOG_PRIOR - n * _LOG_NOISE - 0.5 * squares[:, None] * precision


def _log_evidence(squares: Array, n: int) -> Array:
    """The evidence, ln p(values | curve). It depends on the squared error only.

    So it is computed at some errors and interpolated between.
    """
    low, high = max(float(squares.min()), 1e-8), max(float(squares.max()), 1e-7)
    grid = np.geomspace(low, 1.001 * high, 1_000)
    terms = _log_likelihoods(grid, n)
    top = terms.max(axis=1)
    evidence = top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
    return np.asarray(np.interp(np.log(np.maximum(squares, low)), np.log(grid), evidence))


def _resample(log_weights: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows in proportion to their weights, by systematic resampling."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    marks = (np.arange(_KEPT) + rng.random()) * (cumulative[-1] / _KEPT)
    rows = np.searchsorted(cumulative, marks, side="right")
    return np.asarray(np.minimum(rows, len(log_weights) - 1), dtype=np.intp)


def _draw_noise(squares: Array, n: int, rng: np.random.Generator) -> Array:
    """A draw from p(noise | curve, values) for each curve."""
    terms = _log_likelihoods(squares, n)
    cumulative = np.cumsum(np.exp(terms - terms.max(axis=1, keepdims=True)), axis=1)
    marks = rng.random(len(squares)) * cumulative[:, -1]
    chosen = (cumulative < marks[:, None]).sum(axis=1)
    return np.asarray(np.exp(_LOG_NOISE[chosen]))
