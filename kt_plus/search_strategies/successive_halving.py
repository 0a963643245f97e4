"""Successive halving: many configurations cheaply, the better part of them further and further."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record, Signal
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import Strategy
from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.exhaustive import RandomSampling
from kt_plus.search_strategies.one_per_configuration import OnePerConfiguration
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
from kt_plus.search_strategies.screened_evolution import ScreenedEvolution


@dataclass(frozen=True)
class SuccessiveHalving:
    """Promotes the best 1/factor of the trials of each rung to the next one.

    A promotion is a trial of its own, with the values of its parent, one rung higher. So the
    history alone tells what was promoted, and any number of workers may ask.

    When to use it: where training a little, or on a little data, already tells good
    configurations from bad ones.

    Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
    Hyperparameter Optimization", AISTATS 2016 (arXiv:1502.07943), algorithm 1; asynchronous:
    Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020
    (arXiv:1810.05934), algorithm 2. Deviations: once no new configuration can come, the best
    one goes on to the last rung even where there are fewer than `factor`; a trial that has
    failed or was stopped early counts in the size of its rung, and is not promoted.

    Args:
        rungs: How many levels of fidelity there are, the full one included.
        configurations: How many configurations enter the first rung; `None` for any number,
            if `asynchronous`.
        factor: One trial of so many is promoted.
        source: What proposes the configurations.
        asynchronous: Whether a trial is promoted as soon as it is among the best 1/factor of
            those that have ended in its rung. Otherwise a rung is promoted as a whole.
        iterations: How often all of that is done, each time with new configurations; `None`
            until the budget is spent. If synchronous, the next begins while workers would
            wait for the last trials of a rung.

    Example:
    ```python
    strategy = SuccessiveHalving(rungs=7, configurations=64, factor=2)  # 64, 32, ..., 1 trials
    ```
    """

    rungs: int
    configurations: int | None = 64
    factor: int = 2
    source: Strategy = field(default_factory=RandomSampling)
    asynchronous: bool = False
    iterations: int | None = 1
    _cache: dict[str, OnePerConfiguration] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        brackets = self._brackets(history)
        promotions = (self._promotion(bracket) for bracket in brackets)
        promoted = next((record for record in promotions if record is not None), None)
        if promoted is None and self._has_room(brackets):
            answer = self.source.propose(space, self._seen_by_source(history), rng)
            if isinstance(answer, Proposal):
                return replace(answer, rung=0)
            if answer is WAIT:
                return WAIT
            brackets[-1:] = [replace(bracket, filled=True) for bracket in brackets[-1:]]
            promoted = self._promotion(brackets[-1]) if brackets else None
        if promoted is not None:
            return Proposal(promoted.values, promoted.trial_id, rung=promoted.rung + 1)
        return WAIT if any(record.status == "running" for record in history) else DONE

    @property
    def surrogate(self) -> str | None:
        """The model that the source uses."""
        return getattr(self.source, "surrogate", None)

    def without_surrogate(self) -> SuccessiveHalving:
        """The strategy for a project that was begun without a surrogate."""
        without = getattr(self.source, "without_surrogate", None)
        return self if without is None else replace(self, source=without())

    def keep(self, history: History) -> set[str]:
        """The trials that may still be promoted, or be parents for the source."""
        keep = getattr(self.source, "keep", None)
        kept: set[str] = set() if keep is None else set(keep(self._seen_by_source(history)))
        for bracket in self._brackets(history):
            final = bracket.filled
            for place, rung in enumerate(bracket.rungs[:-1]):
                final = final and all(record.status != "running" for record in rung)
                best = _best(rung, self._most_promoted(place, len(rung), final))
                waiting = {r.trial_id for r in best} - bracket.promoted
                kept |= waiting
                final = final and not waiting  # the rung above gets no more trials, either
        return kept

    def _most_promoted(self, rung: int, trials: int, final: bool) -> int:
        """Among how many best ones of a rung a trial must be, at the end, to be promoted."""
        if not self.asynchronous:
            return self.sizes(self.configurations or 1)[rung + 1]
        if final:
            return max(trials // self.factor, 1)
        # Any rung may get as many trials as the first one: each was among the best once.
        return trials if self._limit is None else max(self._limit // self.factor, 1)

    def sizes(self, configurations: int) -> list[int]:
        """How many trials a rung has, from the first to the last, if none fails."""
        return [max(configurations // self.factor**rung, 1) for rung in range(self.rungs)]

    def _brackets(self, history: History) -> list[Bracket]:
        size = None if self.asynchronous else self.configurations
        brackets: list[Bracket] = []
        home: dict[str, Bracket] = {}
        for record in history:
            if _is_of_earlier_search(record):
                continue
            bracket = home.get(record.parent or "") if record.rung else None
            if bracket is None:
                if not brackets or len(brackets[-1].rungs[0]) == size:
                    brackets.append(Bracket([[] for _ in range(self.rungs)]))
                bracket = brackets[-1]
            elif record.parent is not None:
                bracket.promoted.add(record.parent)
            bracket.rungs[min(record.rung, self.rungs - 1)].append(record)
            home[record.trial_id] = bracket
        limit = size or self._limit
        return [replace(b, filled=len(b.rungs[0]) == limit) for b in brackets]

    @property
    def _limit(self) -> int | None:
        """How many configurations are drawn in all."""
        if self.configurations is None or self.iterations is None:
            return None
        return self.configurations * self.iterations

    def _has_room(self, brackets: Sequence[Bracket]) -> bool:
        drawn = sum(len(bracket.rungs[0]) for bracket in brackets)
        return self._limit is None or drawn < self._limit

    def _promotion(self, bracket: Bracket) -> Record | None:
        """The trial to promote next, if there is one."""
        if not self.asynchronous:
            return self._promotion_of_whole_rungs(bracket) if bracket.filled else None
        for rung in reversed(bracket.rungs[:-1]):
            ended = sum(record.status != "running" for record in rung)
            for record in _best(rung, ended // self.factor):
                if record.trial_id not in bracket.promoted:
                    return record
        return self._last_candidate(bracket) if bracket.filled else None

    def _promotion_of_whole_rungs(self, bracket: Bracket) -> Record | None:
        sizes = self.sizes(len(bracket.rungs[0]))
        for rung, size in zip(bracket.rungs[:-1], sizes[1:], strict=True):
            if any(record.status == "running" for record in rung):
                return None
            for record in _best(rung, size):
                if record.trial_id not in bracket.promoted:
                    return record
        return None

    def _last_candidate(self, bracket: Bracket) -> Record | None:
        """The best trial of a rung from which none could be promoted, as too few will ever come."""
        for rung, above in zip(bracket.rungs, bracket.rungs[1:], strict=False):
            if any(record.status == "running" for record in rung):
                return None
            if not above:
                return next(iter(_best(rung, 1)), None)
        return None

    def _seen_by_source(self, history: History) -> History:
        """One trial for each configuration, whatever rungs it has been trained at."""
        view = self._cache.pop("view", None)  # gone, should updating be interrupted
        if view is None or not view.can_follow(history):
            view = OnePerConfiguration(History(sign=history.sign))
        view.update(history)
        self._cache["view"] = view
        return view.seen


@dataclass(frozen=True)
class Bracket:
    """The trials that were promoted among each other.

    Args:
        rungs: The trials of each rung, oldest first.
        promoted: The ids of those that were promoted.
        filled: Whether no further configuration will come.
    """

    rungs: list[list[Record]]
    promoted: set[str] = field(default_factory=set)
    filled: bool = False


def _is_of_earlier_search(record: Record) -> bool:
    return record.status == "completed" and record.ended is None


def _best(rung: Iterable[Record], number: int) -> list[Record]:
    """The best trials that may be promoted, the oldest first among equals."""
    able = (r for r in rung if r.status == "completed" and r.verdict is None)
    return heapq.nlargest(number, able, key=lambda record: record.fitness)


def successive_halving(
    rungs: int,
    *,
    configurations: int | None = 64,
    factor: int = 2,
    asynchronous: bool = False,
    source: Strategy | str = "random",
    iterations: int | None = 1,
) -> SuccessiveHalving:
    """Successive halving with any strategy as the source of its configurations.

    When to use it: as `SuccessiveHalving`, whose arguments these are. `asynchronous=True` for
    many workers, all of which it keeps busy.

    Source: as `SuccessiveHalving`. The named sources have settings of this package: "evolution"
    is a population of 20 without the worst, after 50 random configurations, since with the
    settings for full trainings it was behind random configurations on recorded curves.

    Args:
        rungs: How many levels of fidelity there are.
        configurations: How many configurations enter the first rung; `None` for any number,
            if `asynchronous`.
        factor: One trial of so many is promoted.
        asynchronous: Whether trials are promoted one by one.
        source: What proposes the configurations: a strategy, or "random", "evolution" or
            "controller". Evolution learns from the highest rung of each configuration, as the
            strategies of one's own do.
        iterations: How often all of that is done; `None` until the budget is spent.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:
    ```python
    strategy = successive_halving(4, configurations=81, factor=3, source="evolution")
    ```
    """
    _check(rungs, configurations, factor, asynchronous, iterations)
    made = source_of(source, configurations)
    return SuccessiveHalving(rungs, configurations, factor, made, asynchronous, iterations)


def source_of(source: Any, configurations: int | None) -> Strategy:
    """The strategy that a `source` argument stands for.

    Raises:
        ValueError: If it stands for none.
    """
    if source == "random":
        return RandomSampling()
    if source == "evolution":
        beginning = min(max((configurations or 200) // 4, 5), 50)
        unscreened = evolution(
            None, population_size=20, tournament_size=3, random_trials=beginning, removal="worst"
        )
        return ScreenedEvolution(unscreened=unscreened)
    if source == "controller":
        return reinforcement_learning(configurations)
    if isinstance(source, Strategy) and not isinstance(source, (type, SuccessiveHalving)):
        return source
    raise ValueError(
        f"source={source!r} was given. Expected 'random', 'evolution', 'controller', or a strategy "
        "with a `propose` method, such as evolution(100). Leave it out for random configurations."
    )


def _check(
    rungs: int,
    configurations: int | None,
    factor: int,
    asynchronous: bool,
    iterations: int | None,
) -> None:
    given: dict[str, tuple[Any, int]] = {"rungs": (rungs, 1), "factor": (factor, 2)}
    if configurations is not None or not asynchronous:
        given["configurations"] = (configurations, 1)
    if iterations is not None:
        given["iterations"] = (iterations, 1)
    for name, (value, least) in given.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least:
            remedy = "None, for no limit, is for asynchronous=True." if value is None else ""
            raise ValueError(
                f"{name}={value!r} was given. Expected a whole number of at least {least}. "
                f"{remedy or 'Leave it out for the default.'}"
            )
