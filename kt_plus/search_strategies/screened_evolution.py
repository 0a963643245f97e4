"""Evolution whose children are screened by a surrogate."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from kt_plus.engine.columns import Columns, Rows
from kt_plus.engine.history import History, Proposal, Signal
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import draw_untried, is_untried
from kt_plus.search_strategies.beliefs import Beliefs, check_beliefs, log_belief
from kt_plus.search_strategies.evolution import Evolution, evolution
from kt_plus.search_strategies.gaussian_process import Array, Features, KernelPrior
from kt_plus.search_strategies.surrogate import Surrogate, earlier_means

AUTO = "auto"
GAUSSIAN_PROCESS = "gaussian_process"

RANDOM_TRIALS = 4
"""The number of random trials before the model is used."""

CHILDREN = 400
"""How many children of the parents are screened."""

IMMIGRANTS = 150
"""How many configurations drawn at random are screened with them."""

HOOKED = 40
"""How many of the children the hypermodel's own `mutate` makes, where it has one."""

PARENTS = 8
"""How many configurations can be parents: those with the best posterior means."""

CANDIDATES = 24
"""Among how many of the best scores the parents are. Others are never parents again."""

CROSSED = 0.3
"""The share of the children that have two parents."""

STEP = 0.2
"""Median step of an ordered value, as a share of its range."""

REFINED = 10
"""How many of the most promising children each round of the local search varies."""

VARIATIONS = 12
"""How many variations of each are screened."""

ROUNDS = 3
"""Rounds of the local search."""

BELIEVED = 1000
"""How many configurations are drawn for one that a belief selects."""

BROOD = 100
"""How many children of a given population are screened."""

CHECKED = 100
"""How many of the most promising children are checked for being valid and untried."""


@dataclass(frozen=True)
class Children:
    """Configurations to screen.

    Args:
        rows: The configurations, as rows of `Columns`.
        parents: The place of the parent of each in `Surrogate.records`, -1 for none.
    """

    rows: Rows
    parents: Array

    def take(self, places: Array) -> Children:
        """The children at these places."""
        return Children(self.rows[places], self.parents[places])

    def join(self, other: Children) -> Children:
        """These children, then the other ones."""
        return Children(
            np.vstack([self.rows, other.rows]), np.concatenate([self.parents, other.parents])
        )


@dataclass(frozen=True)
class ScreenedEvolution:
    """Evolves configurations, and tries the most promising of hundreds of children.

    A Gaussian process predicts the score of each child. The child with the largest expected
    improvement is tried. Parents are the completed trials with the best posterior means, unless
    a population is given.

    When to use it: from ten trials on, in any space.

    Args:
        random_trials: The number of random trials before the model is used.
        population: How children descend, if not from the best posterior means: by these operators
            of survival, selection and variation. The model then only screens the children.
        beliefs: Beliefs of the user about good values.
        kernel: The prior of the kernel's hyperparameters.
        unscreened: The strategy that continues a search which was begun without a surrogate. `None`
            lets this one continue it.

    Example:

    ```python
    oracle = kt_plus.Oracle("val_accuracy", max_trials=30, strategy=ScreenedEvolution())
    ```
    """

    random_trials: int = RANDOM_TRIALS
    population: Evolution | None = None
    beliefs: Beliefs = field(default_factory=dict)
    kernel: KernelPrior = field(default_factory=KernelPrior)
    unscreened: Evolution | None = None

    search_name: ClassVar[str] = Evolution.__name__
    surrogate: ClassVar[str] = GAUSSIAN_PROCESS

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        own = sum(record.earlier is None for record in history)
        if own < self.random_trials:
            return begin(own, space, history, self.beliefs, rng)
        surrogate = Surrogate.fit(space, history, rng, self.kernel, self.beliefs)
        if surrogate is None:
            if self.population is not None:
                return self.population.propose(space, history, rng)
            return draw_untried(space, history, rng)
        if self.population is None:
            children = breed(surrogate, self._candidates(history), space, rng)
            ranked = proposals(refine(children, surrogate, rng), surrogate)
        else:
            ranked = descend(surrogate, self.population, space, history, rng)
        return first_allowed(ranked, space, history, rng)

    def without_surrogate(self) -> Evolution | ScreenedEvolution:
        """The strategy for a project that was begun without a surrogate."""
        return self.unscreened or self

    def keep(self, history: History) -> set[str]:
        """The trials that may still become parents."""
        if self.population is not None:
            return self.population.keep(history)
        return self._candidates(history)

    def _candidates(self, history: History) -> set[str]:
        own = (record for record in history.completed if record.earlier is None)
        best = heapq.nlargest(CANDIDATES, own, key=attrgetter("fitness"))
        return {record.trial_id for record in best}


def begin(
    own: int, space: Space, history: History, beliefs: Beliefs, rng: np.random.Generator
) -> Proposal | Signal:
    """One of the trials before the model is used.

    Two of them, if there are earlier projects, are variations of what these predict to be best.
    Where there are beliefs, the first trial has the most probable values and every second one is
    drawn by them. The others are random: spread out, they would lie in the corners of the space,
    where training often diverges.
    """
    columns = Columns(space)
    earlier = earlier_means(columns, history) if own < 2 else []
    if earlier:
        mean = earlier[own % len(earlier)]
        rows = mean.best(PARENTS)[rng.integers(min(PARENTS, len(mean.rows)), size=IMMIGRANTS)]
        rows = columns.mutate(rows, rng, scale=STEP / 2)
        order = np.argsort(-mean(Features(columns)(rows)), kind="stable")
        ranked = (Proposal(values) for values in columns.decode(rows[order]))
        return first_allowed(ranked, space, history, rng)
    if beliefs and own % 2 == 0:
        rows = columns.draw(BELIEVED, rng)
        density = log_belief(beliefs, columns, rows)
        chance = density if own == 0 else density + rng.gumbel(size=len(rows))
        ranked = (Proposal(values) for values in columns.decode(rows[np.argsort(-chance)]))
        return first_allowed(ranked, space, history, rng)
    return draw_untried(space, history, rng)


def breed(
    surrogate: Surrogate, candidates: set[str], space: Space, rng: np.random.Generator
) -> Children:
    """Mutations and crosses of the best posterior means, and configurations drawn at random."""
    columns, records = surrogate.columns, surrogate.records
    places = [i for i, r in enumerate(records) if r.trial_id in candidates]
    best = np.array(sorted(places, key=lambda i: -surrogate.means[i])[:PARENTS])
    mothers = best[np.minimum(rng.geometric(0.3, CHILDREN) - 1, len(best) - 1)]
    fathers = best[rng.integers(len(best), size=CHILDREN)]
    rows = surrogate.rows[mothers]
    crossed = np.nonzero(rng.random(CHILDREN) < CROSSED)[0]
    rows[crossed] = columns.cross(rows[crossed], surrogate.rows[fathers[crossed]], rng)
    frozen = surrogate.unused()[mothers]
    rows = columns.mutate(rows, rng, more=0.4, scale=_steps(STEP, CHILDREN, rng), frozen=frozen)
    children = Children(rows, mothers).join(
        Children(columns.draw(IMMIGRANTS, rng), np.full(IMMIGRANTS, -1))
    )
    if space.hooks.mutate is None:
        return children
    own = mothers[:HOOKED]
    varied = [space.mutate_by_hook(records[i].values, rng) for i in own]
    made = [(change.values, i) for change, i in zip(varied, own, strict=True) if change]
    rows = columns.encode(values for values, _ in made)
    return children.join(Children(rows, np.array([i for _, i in made], int)))


def _steps(median: float, count: int, rng: np.random.Generator) -> Array:
    """Step sizes of many scales: log-normal around the median."""
    return median * np.exp(rng.normal(0.0, 1.0, count))


def refine(children: Children, surrogate: Surrogate, rng: np.random.Generator) -> Children:
    """Some rounds of local search from the most promising children, which come first."""
    promise = surrogate.promise(children.rows)
    count = REFINED * VARIATIONS
    for _ in range(ROUNDS):
        best = np.argsort(-promise, kind="stable")[:REFINED]
        varied = children.take(np.resize(np.repeat(best, VARIATIONS), count))
        rows = surrogate.columns.mutate(
            varied.rows, rng, more=0.15, scale=_steps(STEP / 2, count, rng)
        )
        promise = np.concatenate([promise, surrogate.promise(rows)])
        children = children.join(Children(rows, varied.parents))
    return children.take(np.argsort(-promise, kind="stable"))


def proposals(children: Children, surrogate: Surrogate) -> Iterator[Proposal]:
    """The children as proposals, in their order."""
    for row, place in zip(children.rows, children.parents, strict=True):
        (values,) = surrogate.columns.decode(row[None])
        if place < 0:
            yield Proposal(values)
        else:
            parent = surrogate.records[place]
            changed = (
                n for n, v in values.items() if n not in parent.values or v != parent.values[n]
            )
            yield Proposal(values, parent.trial_id, tuple(changed))


def first_allowed(
    ranked: Iterator[Proposal], space: Space, history: History, rng: np.random.Generator
) -> Proposal | Signal:
    """The first proposal that is valid and untried; a random one if there is none."""
    allowed = (p for p in islice(ranked, CHECKED) if is_untried(space, history, p.values))
    return next(allowed, None) or draw_untried(space, history, rng)


def descend(
    surrogate: Surrogate,
    population: Evolution,
    space: Space,
    history: History,
    rng: np.random.Generator,
) -> Iterator[Proposal]:
    """Children of a population by its own operators, the most promising first."""
    parents = population.survive(history.completed)
    brood = [population.vary(space, parents, population.select, rng) for _ in range(BROOD)]
    promise = surrogate.promise(surrogate.columns.encode(child.values for child in brood))
    return (brood[i] for i in np.argsort(-promise, kind="stable"))


def evolutionary_search(
    max_trials: int | None,
    *,
    surrogate: str | None = AUTO,
    population_size: int | None = None,
    tournament_size: int | None = None,
    random_trials: int | None = None,
    crossover: float | None = None,
    removal: str | None = None,
    prior: Any = None,
) -> Evolution | ScreenedEvolution:
    """Evolution, screened by a surrogate unless `surrogate` is `None`.

    When to use it: as the strategy of a `kt_plus.Oracle`, in place of random search.

    Args:
        max_trials: The number of trials that the search may run, `None` if it is unknown.
        surrogate: The model that screens children: `"gaussian_process"`, or `None` for regularized
            evolution. `"auto"` is a Gaussian process, except for a resumed project, which keeps the
            model that it began with.
        population_size: The number of completed trials that can be parents. If this,
            `tournament_size`, `crossover` or `removal` is given, children descend from that
            population as in `evolution`, and the model only screens them. Otherwise parents are the
            completed trials with the best posterior means.
        tournament_size: The number of members that compete to be a parent.
        random_trials: The number of trials before the model or the population is used.
        crossover: The chance in [0, 1] that a child has two parents.
        removal: Which members leave the population: `"oldest"` or `"worst"`.
        prior: Beliefs about good values: a mapping from names to `kt_plus.Prior`.

    Raises:
        TypeError: If `prior` is no such mapping.
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    strategy = evolutionary_search(max_trials=30)
    ```
    """
    if surrogate not in (AUTO, GAUSSIAN_PROCESS, None):
        raise ValueError(
            f"`surrogate` must be 'auto', 'gaussian_process' or None, got {surrogate!r}. "
            "Use None for evolution without a model."
        )
    plain = evolution(
        max_trials,
        population_size=population_size,
        tournament_size=tournament_size,
        random_trials=random_trials,
        crossover=0.8 if crossover is None else crossover,
        removal="oldest" if removal is None else removal,
    )
    beliefs = check_beliefs(prior)
    if surrogate is None:
        if beliefs:
            raise ValueError(
                "`prior` must be left out for surrogate=None, whose children no model screens. "
                "Use the default surrogate."
            )
        return plain
    descends = (population_size, tournament_size, crossover, removal) != (None,) * 4
    return ScreenedEvolution(
        random_trials=RANDOM_TRIALS if random_trials is None else plain.random_trials,
        population=plain if descends else None,
        beliefs=beliefs,
        unscreened=plain if surrogate == AUTO else None,
    )
