"""Evolution: ageing evolution and its kin, as a composition of survival, selection, variation."""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from kt_plus.engine.history import History, Proposal, Record, Signal
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import draw_untried, untried

Population = Sequence[Record]
Survival = Callable[[Sequence[Record]], Population]
Selection = Callable[[Population, np.random.Generator], Record]
Variation = Callable[[Space, Population, Selection, np.random.Generator], Proposal]


@dataclass(frozen=True)
class Evolution:
    """Evolves configurations: survivors of the completed trials are selected and varied.

    The population is told by the history alone, so that any number of workers may
    evolve it at once: each asks for a child of the trials completed by then.

    Args:
        survive: Which of the completed trials (oldest first) form the population.
        select: Which of the population becomes a parent.
        vary: How a child is made of parents.
        random_trials: How many trials are drawn at random before evolution begins.
    """

    survive: Survival
    select: Selection
    vary: Variation
    random_trials: int

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        population = self.survive(history.completed)
        if len(history) < self.random_trials or not population:
            return draw_untried(space, history, rng)
        return untried(space, history, rng, lambda: self.vary(space, population, self.select, rng))

    def keep(self, history: History) -> set[str]:
        """The trials that may still become parents: the population."""
        return {record.trial_id for record in self.survive(history.completed)}


@dataclass(frozen=True)
class Youngest:
    """Ageing: the youngest `size` trials survive, however good the old ones were."""

    size: int

    def __call__(self, completed: Sequence[Record]) -> Population:
        return completed[-self.size :]


@dataclass(frozen=True)
class Fittest:
    """Elitism: the best `size` trials survive, however old."""

    size: int

    def __call__(self, completed: Sequence[Record]) -> Population:
        return heapq.nlargest(self.size, completed, key=attrgetter("fitness"))


@dataclass(frozen=True)
class Tournament:
    """The best of `size` members drawn from the population without replacement."""

    size: int

    def __call__(self, population: Population, rng: np.random.Generator) -> Record:
        size = min(self.size, len(population))
        entrants = rng.choice(len(population), size, replace=False)
        return population[max(entrants, key=lambda i: population[i].fitness)]


@dataclass(frozen=True)
class Mutation:
    """A child is one parent with one hyperparameter changed, or a cross of two parents.

    Args:
        crossover: The chance in [0, 1] that a child has two parents; each
            hyperparameter then comes from either.
        mutated_crosses: The share of such children that are mutated as well.
    """

    crossover: float = 0.0
    mutated_crosses: float = 0.5

    def __call__(
        self, space: Space, population: Population, select: Selection, rng: np.random.Generator
    ) -> Proposal:
        parent = select(population, rng)
        if rng.random() >= self.crossover:
            child = space.mutate(parent.values, rng, frozen=parent.unused or ())
            return Proposal(child.values, parent.trial_id, child.changed)
        values = space.cross(parent.values, select(population, rng).values, rng).values
        if rng.random() < self.mutated_crosses:
            values = space.mutate(values, rng).values
        changed = (n for n, v in values.items() if parent.values.get(n) != v)
        return Proposal(values, parent.trial_id, tuple(changed))


def evolution(
    max_trials: int | None,
    *,
    population_size: int | None = None,
    tournament_size: int | None = None,
    random_trials: int | None = None,
    crossover: float = 0.8,
    removal: str = "oldest",
) -> Evolution:
    """Regularized (ageing) evolution, with defaults that follow the budget.

    When to use it: whenever random search would do, from some 20 trials on; it
    handles conditional and categorical spaces, and any number of workers.

    Source: Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier
    Architecture Search", AAAI 2019 (arXiv:1802.01548), algorithm 1. Deviations: fewer
    random trials than the population holds, so that small budgets evolve too;
    uniform crossover; stronger selection; no configuration is tried twice. Removal of
    the worst follows Real et al., "Large-Scale Evolution of Image Classifiers", ICML
    2017 (arXiv:1703.01041).

    Args:
        max_trials: The number of trials that the search may run, if it is known.
        population_size: How many completed trials can be parents. Half of
            `max_trials`, from 10 to 100, by default.
        tournament_size: How many of them compete to be a parent. A third of the
            population by default.
        random_trials: How many trials to draw at random first. A tenth of
            `max_trials`, from 5 to 10, by default.
        crossover: The chance in [0, 1] that a child has two parents.
        removal: Who leaves the population: `"oldest"` or `"worst"`.

    Raises:
        ValueError: If a size is not positive, the tournament is larger than the
            population, or `crossover` or `removal` is not one of those allowed.

    Example:
    ```python
    strategy = evolution(max_trials=100, removal="worst")
    ```
    """
    budget = max_trials or 200
    population = _positive("population_size", population_size, min(max(budget // 2, 10), 100))
    entrants = _positive("tournament_size", tournament_size, max(population // 3, 2))
    beginning = _positive("random_trials", random_trials, min(max(budget // 10, 5), 10))
    if tournament_size is None:
        entrants = min(entrants, population)
    _check(population, entrants, crossover, removal)
    if population_size is not None and max_trials is not None and population > max_trials:
        warnings.warn(
            f"population_size={population} is larger than max_trials={max_trials}: no trial "
            "will ever leave the population. Choose a smaller population or more trials.",
            stacklevel=3,
        )
    survive = Youngest(population) if removal == "oldest" else Fittest(population)
    return Evolution(survive, Tournament(entrants), Mutation(crossover), beginning)


def _positive(name: str, value: int | None, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(
            f"{name}={value!r} was given. Expected a whole number of at least 1. "
            f"Leave it out for the default, {default}."
        )
    return int(value)


def _check(population: int, entrants: int, crossover: float, removal: str) -> None:
    if entrants > population:
        raise ValueError(
            f"tournament_size={entrants} is larger than population_size={population}. A "
            "tournament is held among members of the population: choose a smaller one."
        )
    if not isinstance(crossover, (int, float)) or not 0.0 <= crossover <= 1.0:
        raise ValueError(
            f"crossover={crossover!r} was given. Expected a chance from 0 to 1. Use 0 for "
            "children of one parent only."
        )
    if removal not in ("oldest", "worst"):
        raise ValueError(
            f"removal={removal!r} was given. Expected 'oldest' or 'worst'. Choose 'oldest' for "
            "ageing evolution."
        )
