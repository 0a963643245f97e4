"""Any sampler of Optuna's as a search strategy: a study told by the history alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_plus.engine.history import History, Proposal, Signal
from kt_plus.engine.space import Space, Values
from kt_plus.search_strategies.base import untried

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from kt_plus.search_strategies.optuna_study import ToldStudy

SUGGESTIONS = 5
"""How often the sampler is asked again for what is untried, before its answer is varied."""

STATEFUL = (
    "CmaEsSampler",
    "GridSampler",
    "NSGAIISampler",
    "NSGAIIISampler",
    "QMCSampler",
)
"""Samplers that keep what they know in attributes of trials and study, which no history tells."""


@dataclass(frozen=True)
class OptunaSampling:
    """Proposes what a sampler of Optuna's suggests, given all trials so far.

    The study is told by the history and a new sampler is seeded for each proposal, so
    that a search which was killed goes on as if nothing had happened. Trials that run are
    told as running; one that failed is worse than any other (Optuna calls that a pruned
    trial without a value). What was tried already is not tried again: the sampler is asked
    `SUGGESTIONS` times, then its last answer is mutated.

    Args:
        make_sampler: A function from a seed to a new sampler.
    """

    make_sampler: Callable[[int], BaseSampler]
    _cache: dict[str, ToldStudy] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"make_sampler": self.make_sampler, "_cache": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        study = self._told(space, history)
        sampler = self.make_sampler(int(rng.integers(2**31)))
        suggestions: list[Values] = []

        def vary() -> Proposal:
            if len(suggestions) < SUGGESTIONS:
                suggestions.append(study.ask(sampler))
                return Proposal(suggestions[-1])
            return Proposal(space.mutate(suggestions[-1], rng).values)

        return untried(space, history, rng, vary)

    def _told(self, space: Space, history: History) -> ToldStudy:
        """The study of this history, going on from the last one if that is its beginning."""
        from kt_plus.search_strategies.optuna_study import ToldStudy

        study = self._cache.pop("study", None)  # gone, should telling be interrupted
        if study is None or not study.can_follow(space, history):
            study = ToldStudy(space)
        study.tell(history)
        self._cache["study"] = study
        return study


@dataclass(frozen=True)
class _Seeded:
    """A class or function that makes a sampler, called with a seed by name if it has that name."""

    make: Callable[..., BaseSampler]

    def __call__(self, seed: int) -> BaseSampler:
        try:
            by_name = "seed" in inspect.signature(self.make).parameters
        except (TypeError, ValueError):
            by_name = False
        return self.make(seed=seed) if by_name else self.make(seed)

    def __repr__(self) -> str:
        return getattr(self.make, "__name__", repr(self.make))


@dataclass(frozen=True)
class _TPE:
    """Optuna's defaults, and running trials heeded, as several workers need it."""

    def __call__(self, seed: int) -> BaseSampler:
        import warnings

        import optuna

        with warnings.catch_warnings():  # before Optuna 5 `constant_liar` was an experiment
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)

    def __repr__(self) -> str:
        return "TPESampler"


def optuna_sampling(sampler: Any = None) -> OptunaSampling:
    """A sampler of Optuna's as a strategy.

    When to use it: TPE, the default, from some 20 trials on, above all where most
    hyperparameters are continuous.

    Source: Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization
    Framework", KDD 2019 (arXiv:1907.10902). TPE: Bergstra, Bardenet, Bengio and Kegl,
    "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; Watanabe, "Tree-Structured
    Parzen Estimator" (arXiv:2304.11127).

    Args:
        sampler: A class of samplers, or a function from a seed to a sampler; TPE by default.

    Raises:
        ImportError: If Optuna is not installed.
        TypeError: If it is neither, for instance a sampler that is made already.
        ValueError: If the sampler could not be resumed.

    Example:
    ```python
    strategy = optuna_sampling(functools.partial(TPESampler, n_startup_trials=20))
    ```
    """
    try:
        from optuna.samplers import BaseSampler
    except ImportError as error:
        raise ImportError(
            'OptunaSearch needs Optuna, which is not installed. Run: pip install "kt_plus[optuna]"'
        ) from error
    if isinstance(sampler, BaseSampler) or not (sampler is None or callable(sampler)):
        raise TypeError(_not_a_function(sampler))
    make = _TPE() if sampler is None else _Seeded(sampler)
    _refuse_stateful(getattr(sampler, "func", sampler))  # before it asks for a package of its own
    made = make(0)
    if not isinstance(made, BaseSampler):
        raise TypeError(
            f"The function given as `sampler` has returned {made!r}. Expected a sampler of "
            "Optuna's. Give a class such as optuna.samplers.TPESampler."
        )
    for part in (made, *vars(made).values()):  # a sampler may wrap another one
        _refuse_stateful(type(part))
    return OptunaSampling(make)


def _refuse_stateful(kind: Any) -> None:
    for base in getattr(kind, "__mro__", ()):
        if base.__name__ in STATEFUL and base.__module__.startswith("optuna."):
            raise ValueError(
                f"{base.__name__} was given. It keeps what it knows in attributes of Optuna's "
                "trials, which the history of a search does not hold, so that the search could "
                "not be resumed. Expected a sampler that is told by the trials' values and "
                "scores, such as TPESampler or GPSampler. Choose one of these; "
                "kt_plus.EvolutionarySearch stands for NSGA-II, kt_plus.GridSearch for a grid."
            )


def _not_a_function(sampler: Any) -> str:
    name = type(sampler).__name__
    return (
        f"sampler={sampler!r} was given. Expected a class of samplers, or a function from a seed "
        "to a sampler: the random state of one that is made already could not be resumed. "
        f"Give the class, sampler=optuna.samplers.{name}, or with settings "
        f"sampler=functools.partial(optuna.samplers.{name}, ...)."
        if hasattr(sampler, "sample_relative")
        else f"sampler={sampler!r} was given. Expected a class of samplers, or a function from a "
        "seed to a sampler. Give, for instance, sampler=optuna.samplers.TPESampler."
    )
