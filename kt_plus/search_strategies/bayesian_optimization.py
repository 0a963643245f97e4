"""Bayesian optimization with a Gaussian process over the whole space."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from kt_plus.engine.callers import level_of_caller
from kt_plus.engine.history import History, Proposal, Signal
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import draw_untried
from kt_plus.search_strategies.beliefs import Beliefs, check_beliefs
from kt_plus.search_strategies.gaussian_process import KernelPrior
from kt_plus.search_strategies.screened_evolution import (
    GAUSSIAN_PROCESS,
    PARENTS,
    RANDOM_TRIALS,
    Children,
    begin,
    first_allowed,
    proposals,
    refine,
)
from kt_plus.search_strategies.surrogate import Surrogate

DRAWN = 1000
"""How many configurations are drawn from the whole space for each proposal."""


@dataclass(frozen=True)
class BayesianOptimization:
    """Tries the configuration that a Gaussian process finds most promising in the whole space.

    When to use it: in spaces of few continuous hyperparameters, where the best trials so far are
    no good guide to the best region. `ScreenedEvolution` uses the same model and searches around
    the best trials.

    Source: Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box
    Functions", Journal of Global Optimization 1998 (expected improvement); Srinivas et al.,
    "Gaussian Process Optimization in the Bandit Setting", ICML 2010 (confidence bound).

    Args:
        random_trials: The number of random trials before the model is used.
        noise: The noise variance of a score, in units of the variance of all scores. `None` learns
            it from the scores.
        beta: Selects the upper confidence bound with this many standard deviations. `None` selects
            the expected improvement.
        beliefs: Beliefs of the user about good values.

    Example:

    ```python
    strategy = BayesianOptimization(random_trials=5)
    ```
    """

    random_trials: int = RANDOM_TRIALS
    noise: float | None = None
    beta: float | None = None
    beliefs: Beliefs = field(default_factory=dict)

    search_name: ClassVar[str] = "BayesianOptimizationOracle"
    surrogate: ClassVar[str] = GAUSSIAN_PROCESS

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        own = sum(record.earlier is None for record in history)
        if own < self.random_trials:
            return begin(own, space, history, self.beliefs, rng)
        surrogate = Surrogate.fit(space, history, rng, self._kernel(), self.beliefs, self.beta)
        if surrogate is None:
            return draw_untried(space, history, rng)
        best = np.argsort(-surrogate.means, kind="stable")[:PARENTS]
        rows = np.vstack([surrogate.columns.draw(DRAWN, rng), surrogate.rows[best]])
        children = refine(Children(rows, np.full(len(rows), -1)), surrogate, rng)
        return first_allowed(proposals(children, surrogate), space, history, rng)

    def without_surrogate(self) -> BayesianOptimization:
        """Continues a project of version 0.1, whose model was Keras Tuner's."""
        warnings.warn(
            "This project began with Keras Tuner's Gaussian process. It continues with the one of "
            "kt_plus, which keeps all trials and proposes other configurations.",
            stacklevel=level_of_caller(),
        )
        return self

    def _kernel(self) -> KernelPrior:
        if self.noise is None:
            return KernelPrior()
        return KernelPrior(noise=math.log(self.noise), noise_spread=0.0)


def bayesian_optimization(
    num_initial_points: Any = None, alpha: Any = None, beta: Any = None, prior: Any = None
) -> BayesianOptimization:
    """Bayesian optimization by the arguments of `keras_tuner.BayesianOptimization`.

    Args:
        num_initial_points: The number of trials before the model is used. Defaults to 4.
        alpha: The noise variance of a score, in units of the variance of all scores. By default it
            is learned.
        beta: Selects the upper confidence bound with this many standard deviations. By default the
            expected improvement decides.
        prior: Beliefs about good values: a mapping from names to `kt_plus.Prior`.

    Raises:
        TypeError: If `prior` is no such mapping.
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    strategy = bayesian_optimization(num_initial_points=5)
    ```
    """
    if num_initial_points is not None and not _is_whole(num_initial_points):
        raise ValueError(
            "`num_initial_points` must be a whole number of at least 1, got "
            f"{num_initial_points!r}. Leave it out for {RANDOM_TRIALS}."
        )
    for name, value in (("alpha", alpha), ("beta", beta)):
        if value is not None and not (_is_number(value) and value > 0):
            remedy = "learn the noise" if name == "alpha" else "use the expected improvement"
            raise ValueError(
                f"`{name}` must be a positive number, got {value!r}. Leave it out to {remedy}."
            )
    beliefs = check_beliefs(prior)
    return BayesianOptimization(num_initial_points or RANDOM_TRIALS, alpha, beta, beliefs)


def _is_whole(value: Any) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return bool(whole and value >= 1)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(math.isfinite(value))
