"""Optuna's samplers as search strategies, on studies that are made from the history."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_plus.engine.history import History, Proposal, Signal
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import untried

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from kt_plus.search_strategies.optuna_study import Suggestion, ToldStudy

SUGGESTIONS = 5
"""How often the sampler is asked again for what is untried, before its answer is varied."""

REQUIREMENTS = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}
"""Packages that samplers import at their first proposal, which is too late for an error."""


@dataclass(frozen=True)
class OptunaSampling:
    """Proposes suggestions of an Optuna sampler, given all trials so far.

    Each proposal makes a new sampler from a seed, and a study from the history. The attributes
    that the sampler writes on the study and on trials are stored with the trial that it proposes.
    Resuming is therefore exact for all of Optuna's samplers, except that `GridSampler` is
    refused. A sampler of your own resumes exactly if its suggestions depend only on its seed and
    on the study: its trials, their values and their system attributes. State of the instance
    and user attributes are lost between two proposals.

    Running trials are running in the study. A failed trial is worse than any other: it is pruned
    without a value. The sampler is asked up to `SUGGESTIONS` times for an untried configuration,
    then its last suggestion is mutated.

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
        sampler, seed = self._seeded(int(rng.integers(2**31)), study)
        suggestions: list[Suggestion] = []

        def vary() -> Proposal:
            if len(suggestions) < SUGGESTIONS:
                suggestions.append(study.ask(sampler))
                return Proposal(suggestions[-1].values)
            return Proposal(space.mutate(suggestions[-1].values, rng).values)

        with study.drafting():
            if any(_acts_after_trials(part) for part in _parts(sampler)):
                study.finish(sampler)
            proposal = untried(space, history, rng, vary)
            if isinstance(proposal, Signal):
                return proposal
            return replace(proposal, memo=study.memo(proposal.values, suggestions, seed))

    def _seeded(self, seed: int, study: ToldStudy) -> tuple[BaseSampler, int | None]:
        """Returns a new sampler, and a seed to store if it is one for the whole search."""
        sampler, shared = self.make_sampler(seed), None
        for part in _parts(sampler):
            # A scrambled sequence is one sequence only if all proposals scramble it alike.
            if getattr(part, "_scramble", False):
                shared = seed if study.seed is None else None
                part._seed = seed if study.seed is None else study.seed  # type: ignore[attr-defined]
        return sampler, shared

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
        ImportError: If Optuna, or a package that the sampler needs, is not installed.
        TypeError: If it is neither, or makes samplers that share one that was made before.
        ValueError: If it makes a `GridSampler`.

    Example:
    ```python
    strategy = optuna_sampling(functools.partial(TPESampler, n_startup_trials=20))
    ```
    """
    try:
        from optuna.samplers import BaseSampler, GridSampler, TPESampler
    except ImportError as error:
        raise ImportError(
            'OptunaSearch needs Optuna, which is not installed. Run: pip install "kt_plus[optuna]"'
        ) from error
    if isinstance(sampler, BaseSampler) or not (sampler is None or callable(sampler)):
        raise TypeError(_not_a_function(sampler))
    make = _Seeded(TPESampler if sampler is None else sampler)
    if isinstance(sampler, type) and issubclass(sampler, GridSampler):
        raise ValueError(_GRID)  # before it misses its argument
    made = make(0)
    if not isinstance(made, BaseSampler):
        raise TypeError(
            f"The function given as `sampler` has returned {made!r}. Expected a sampler of "
            "Optuna's. Give a class such as optuna.samplers.TPESampler."
        )
    others = list(_parts(make(1)))
    for part in _parts(made):
        if any(part is other for other in others):
            raise TypeError(_not_new(part))
        if isinstance(part, GridSampler):
            raise ValueError(_GRID)
        _check_requirement(type(part).__name__)
    return OptunaSampling(make)


_GRID = (
    "`sampler` must make a sampler that proposes untried configurations, got GridSampler, which "
    "numbers the points of its own grid. Use kt_plus.GridSearch, or "
    "sampler=optuna.samplers.BruteForceSampler."
)


def _check_requirement(sampler: str) -> None:
    package = REQUIREMENTS.get(sampler)
    if package is not None and importlib.util.find_spec(package) is None:
        raise ImportError(f"{sampler} needs {package}. Run: pip install {package}")


def _parts(sampler: BaseSampler) -> Iterator[BaseSampler]:
    """Yields a sampler and the samplers that it wraps."""
    from optuna.samplers import BaseSampler

    yield sampler
    for part in vars(sampler).values():
        if isinstance(part, BaseSampler):
            yield from _parts(part)


def _acts_after_trials(part: BaseSampler) -> bool:
    """Whether `after_trial` may write attributes. Optuna's own samplers write constraints only."""
    from optuna.samplers import NSGAIIISampler, NSGAIISampler

    is_optunas = type(part).__module__.startswith("optuna.samplers.")
    takes_strategy = isinstance(part, (NSGAIISampler, NSGAIIISampler))
    return not is_optunas or takes_strategy or getattr(part, "_constraints_func", None) is not None


def _not_new(part: BaseSampler) -> str:
    return (
        f"`sampler` must make new samplers at each call, got the same {type(part).__name__} twice. "
        "Its random state cannot be resumed. Give a function that makes it from the seed, too."
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
