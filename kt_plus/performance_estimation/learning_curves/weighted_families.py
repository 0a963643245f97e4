"""Domhan et al.'s model: a weighted combination of eleven parametric families, by MCMC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from scipy.optimize import least_squares

from kt_plus.performance_estimation.learning_curves.families import FAMILIES, Family
from kt_plus.performance_estimation.learning_curves.forecast import Array, Forecast
from kt_plus.performance_estimation.learning_curves.posterior import (
    Prefix,
    Samples,
    check,
    finite_values,
    read_prefix,
)

_K = len(FAMILIES)
_DIMENSIONS = _K + sum(family.parameters for family in FAMILIES) + 1  # weights, thetas, ln sigma
_BURN_IN = 0.2  # share of the steps, from the walkers' start, that is thrown away
_KEPT = 2_000  # samples that a forecast is made of, at most
_LOG_NOISE = (-4.0, 1.0)  # mean and standard deviation of ln sigma
_LOG_NOISE_LIMIT = -2.0  # two standard deviations above
_RIDGE = 1e-3  # holds parameters that a short prefix does not determine
_AHEAD = 4  # epochs at which the curve is held within [0, 1]
_JITTER = 1e-2  # relative spread of the walkers at their start


@dataclass(frozen=True)
class WeightedFamilies:
    """A weighted combination of eleven families of curves, its posterior sampled by MCMC.

    y_t = sum of w_k f_k(t | theta_k) + normal noise, where every weight is positive and the
    curve ends above its beginning; the priors of weights and parameters are flat otherwise.

    When to use it: to compare with the original of learning-curve extrapolation. A
    forecast takes seconds and learns nothing from the search's other trials.

    Source: Domhan, Springenberg and Hutter, "Speeding up Automatic Hyperparameter
    Optimization of Deep Neural Networks by Extrapolation of Learning Curves", IJCAI 2015.
    The sampler is `emcee`'s (`pip install "kt_plus[mcmc]"`), with the paper's 100 walkers of
    2,500 steps. Written from the paper's formulas. Two things are added, both to the model's
    advantage: the curve stays within [0, 1], as an accuracy does; and the noise, which a flat
    prior leaves undetermined while there are fewer epochs than parameters, has the prior that
    LC-PFN's authors gave it, ln(sigma) ~ N(-4, 1), up to -2. The first fifth of the steps is
    thrown away.

    Args:
        horizon: The number of the last epoch.
        walkers: MCMC walkers, an even number of at least 98, twice the parameters.
        steps: Steps of each. A fifth of the paper's 2,500 is often enough to compare with.
        bounds: What 0 and 1 of an accuracy stand for, for objectives that are not in [0, 1].
            By default nothing is mapped where all values seen lie in [0, 1]; otherwise
            the range of the values seen, with a quarter of it above the best, is.
        seed: Of the sampler.

    Raises:
        ImportError: If `emcee` is not installed.
        ValueError: If an argument is out of range.

    Example:

    ```python
    model = WeightedFamilies(horizon=50, steps=500)
    forecast = model.forecast([0.52, 0.61, 0.65, 0.67, 0.69])
    forecast.probability_above(0.75)
    ```
    """

    horizon: int
    walkers: int = 100
    steps: int = 2_500
    bounds: tuple[float, float] | None = None
    seed: int = 0
    _seen: Array = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    def __post_init__(self) -> None:
        check(self.horizon, self.bounds)
        if self.walkers % 2 or self.walkers < 2 * _DIMENSIONS:
            raise ValueError(
                f"walkers={self.walkers} was given. Expected an even number of at least "
                f"{2 * _DIMENSIONS}: the sampler needs two for each of {_DIMENSIONS} parameters."
            )
        if self.steps < 10:
            raise ValueError(f"steps={self.steps} was given. Expected at least 10.")
        if find_spec("emcee") is None:
            raise ImportError(
                "WeightedFamilies samples with emcee, which is not installed. Expected the "
                'extra "mcmc": pip install "kt_plus[mcmc]".'
            )

    def fit(self, finished: Iterable[Sequence[float]]) -> WeightedFamilies:
        """The same model, since it knows one curve at a time.

        Of the others only the range of their values is used, and that only where values lie
        outside [0, 1] and `bounds` says nothing.
        """
        seen = finite_values(finished)
        return WeightedFamilies(
            self.horizon, self.walkers, self.steps, self.bounds, self.seed, seen
        )

    def forecast(self, prefix: Sequence[float]) -> Forecast:
        """What is expected of a curve after its beginning.

        Args:
            prefix: The values after each epoch so far, larger being better; at least
                one of them finite. Those that are not finite are left out.

        Raises:
            ValueError: If no value is finite, or the prefix is not shorter than the horizon.
        """
        known = read_prefix(prefix, self.horizon, self.bounds, self._seen)
        if not len(known.values):
            raise ValueError(
                f"{known.observed} epochs without a finite value were given. Expected at least "
                "one: the model has flat priors, which say nothing by themselves."
            )
        samples = self._sample(known)
        ahead = np.arange(known.observed + 1.0, self.horizon + 1)
        return Samples(_combined(samples, ahead), np.exp(samples[:, -1])).forecast(known)

    def _sample(self, known: Prefix) -> Array:
        """Parameters from the posterior, one sample a row."""
        import emcee

        posterior = _Posterior(known, self.horizon)
        rng = np.random.default_rng(self.seed)
        start = posterior.start(self.walkers, rng)
        random_state = np.random.RandomState(self.seed).get_state()
        sampler = emcee.EnsembleSampler(self.walkers, _DIMENSIONS, posterior.log, vectorize=True)
        burn_in = int(_BURN_IN * self.steps)
        state = emcee.State(start, random_state=random_state)
        if burn_in:
            state = sampler.run_mcmc(state, burn_in, store=False)
        rounds = min(self.steps - burn_in, max(1, _KEPT // self.walkers))
        thinned = sampler.sample(
            state, iterations=rounds, thin_by=(self.steps - burn_in) // rounds, store=False
        )
        return np.concatenate([state.coords.copy() for state in thinned])


class _Posterior:
    """The density that is sampled, and where the walkers start."""

    def __init__(self, known: Prefix, horizon: int) -> None:
        self._values = known.values
        # The first and the last epoch are needed to see that the curve rises, and some of
        # those between to see that it does not leave [0, 1] on its way.
        ahead = np.linspace(known.observed + 1, horizon, _AHEAD)
        self._epochs = np.concatenate([known.epochs, [1.0], ahead])

    def log(self, samples: Array) -> Array:
        """The posterior, ln p(parameters, values) up to a constant, for one walker a row."""
        curves = _combined(samples, self._epochs)
        log_sigma = samples[:, -1]
        n = len(self._values)
        with np.errstate(over="ignore"):
            squares = ((curves[:, :n] - self._values) ** 2).sum(axis=1)
            log_density = -n * log_sigma - 0.5 * squares * np.exp(-2 * log_sigma)
        mean, spread = _LOG_NOISE
        log_density -= 0.5 * ((log_sigma - mean) / spread) ** 2
        allowed = (samples[:, :_K] > 0).all(axis=1) & (curves[:, n] < curves[:, -1])
        allowed &= ((curves >= 0) & (curves <= 1)).all(axis=1) & (log_sigma < _LOG_NOISE_LIMIT)
        return np.where(allowed, log_density, -np.inf)

    def start(self, walkers: int, rng: np.random.Generator) -> Array:
        """Walkers around the families' own fits, each with the weight 1/K."""
        epochs, values = self._epochs[: len(self._values)], self._values
        starts = [self._at(epochs, values)]
        # Curves that fall cannot be fitted by one that rises: their best so far can.
        starts.append(self._at(epochs, np.maximum.accumulate(values)))
        starts.append(self._unfitted(epochs, values))
        for centre in starts:
            found = self._around(centre, walkers, rng)
            if found is not None:
                return found
        raise AssertionError("a rising curve below 1 is always a possible start")

    def _at(self, epochs: Array, values: Array) -> Array:
        thetas = [_fit(family, epochs, values, self._epochs[-1]) for family in FAMILIES]
        return self._centre(thetas)

    def _unfitted(self, epochs: Array, values: Array) -> Array:
        middle = float(np.clip(np.median(values), 0.05, 0.9))
        n = self._epochs[-1]
        return self._centre([np.array(f.start(middle, middle + 0.02, n)) for f in FAMILIES])

    def _centre(self, thetas: Sequence[Array]) -> Array:
        sample = np.concatenate([np.full(_K, 1 / _K), *thetas, [0.0]])
        fitted = _combined(sample[None], self._epochs)[0, : len(self._values)]
        sigma = np.sqrt(np.mean((fitted - self._values) ** 2))
        sample[-1] = np.log(np.clip(np.nan_to_num(sigma, nan=0.1), 1e-3, 0.1))
        return sample

    def _around(self, centre: Array, walkers: int, rng: np.random.Generator) -> Array | None:
        """As many possible starts as there are walkers, or None if hardly one is."""
        found = np.empty((0, _DIMENSIONS))
        for _ in range(20):
            spread = _JITTER * np.maximum(np.abs(centre), 0.1)
            tries = centre + spread * rng.standard_normal((4 * walkers, _DIMENSIONS))
            found = np.concatenate([found, tries[np.isfinite(self.log(tries))]])
            if len(found) >= walkers:
                return found[:walkers]
        return None


def _thetas(samples: Array) -> Iterator[tuple[Family, Array]]:
    """Each family with its parameters, one row a parameter."""
    at = _K
    for family in FAMILIES:
        yield family, samples[:, at : at + family.parameters].T
        at += family.parameters


def _combined(samples: Array, epochs: Array) -> Array:
    """The weighted sum of the families, one curve a row."""
    total = np.zeros((len(samples), len(epochs)))
    with np.errstate(all="ignore"):  # walkers try parameters that have no curve
        for k, (family, theta) in enumerate(_thetas(samples)):
            total += samples[:, k, None] * family.curve(epochs, *theta[:, :, None])
    return total


def _fit(family: Family, epochs: Array, values: Array, horizon: float) -> Array:
    """The family's least-squares fit, held a little to where it started."""
    first = float(np.clip(values[0], 0.02, 0.95))
    last = float(np.clip(values.max(), first + 0.01, 0.97))
    start = np.array(family.start(first, last, max(epochs[-1], 2.0)))

    def residuals(theta: Array) -> Array:
        errors = family.curve(epochs, *theta) - values
        errors = np.where(np.isfinite(errors), errors, 1e3)
        return np.concatenate([errors, _RIDGE * (theta - start)])

    with np.errstate(all="ignore"):
        return np.asarray(least_squares(residuals, start, method="lm", max_nfev=200).x)
