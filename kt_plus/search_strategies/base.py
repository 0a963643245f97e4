"""The interface of a search strategy, and the rule that no configuration is tried twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np

from kt_plus.engine.history import DONE, WAIT, History, Proposal, Signal, Value
from kt_plus.engine.space import Space

ATTEMPTS = 100
"""How many proposals may turn out to be tried already before the rest is looked for."""

LARGEST_ENUMERATION = 100_000
"""How many configurations are enumerated at most to find one that is untried."""


@runtime_checkable
class Strategy(Protocol):
    """Proposes the next configuration from the history of a search, and keeps no state.

    A strategy rebuilds its state from the history, so that a search which was killed resumes
    exactly. State that other fields of the history do not hold belongs in `Proposal.memo`.
    `kt_plus.testing` has a suite that checks this and more.

    A strategy whose proposals have parents may have a method `keep(history)`, too: the ids of the
    trials that can still become parents, or be promoted, whose checkpoints are kept for that.
    Without it, all are kept where weights are inherited or trials promoted.
    """

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        """The configuration to try next.

        Args:
            space: The hyperparameters, to draw from and to mutate in.
            history: All trials so far, running ones included, oldest first.
            rng: The only source of randomness that may be used.

        Returns:
            A `Proposal`, of values that `space.admits`; `WAIT` if some running trial must end
            first; `DONE` if there is nothing left to try.
        """


def is_untried(space: Space, history: History, values: Mapping[str, Value]) -> bool:
    """Whether a configuration may be tried, and has not been."""
    return not history.tried(values) and space.admits(values)


def untried(
    space: Space, history: History, rng: np.random.Generator, vary: Callable[[], Proposal]
) -> Proposal | Signal:
    """The first proposal of `vary` that no trial has tried; a random one if all have been."""
    for _ in range(ATTEMPTS):
        proposal = vary()
        if is_untried(space, history, proposal.values):
            return proposal
    return draw_untried(space, history, rng)


def draw_untried(space: Space, history: History, rng: np.random.Generator) -> Proposal | Signal:
    """A configuration drawn at random among the untried ones, if any is left."""
    for _ in range(ATTEMPTS):
        values = space.draw(rng)
        if not history.tried(values):
            return Proposal(values)
    if space.is_finite:
        configurations = islice(space.enumerate(samples=None), LARGEST_ENUMERATION)
        remaining = [values for values in configurations if not history.tried(values)]
        if remaining:
            return Proposal(remaining[rng.integers(len(remaining))])
    return exhausted(history)


def exhausted(history: History) -> Signal:
    """`DONE`, or `WAIT` while a trial runs that may still find new hyperparameters."""
    return WAIT if any(record.status == "running" for record in history) else DONE
