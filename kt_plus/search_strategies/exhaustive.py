"""The two strategies that learn nothing: random search and grid search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kt_plus.engine.history import History, Proposal, Signal, Value
from kt_plus.engine.space import Space, Values
from kt_plus.search_strategies.base import draw_untried, exhausted, is_untried


@dataclass(frozen=True)
class RandomSampling:
    """Draws every configuration at random, and none twice.

    When to use it: as the baseline of any comparison, or on very small budgets.

    Source: Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization",
    JMLR 13 (2012).

    Example:
    ```python
    RandomSampling().propose(space, History(), np.random.default_rng(0))
    ```
    """

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        return draw_untried(space, history, rng)


@dataclass(frozen=True)
class Grid:
    """Tries every combination in order, the defaults first, the last hyperparameter fastest.

    When to use it: on spaces of a few dozen configurations, or to fill a table. A
    continuous hyperparameter without a step is represented by `samples` values.

    Args:
        samples: How many values stand for a hyperparameter without a step.

    Example:
    ```python
    Grid().propose(space, History(), np.random.default_rng(0)).values  # the defaults
    ```
    """

    samples: int = 10

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        begin = space.defaults()
        # From the newest trial onwards, then once more from the start: the space may have
        # grown since, and trials may have been given from outside.
        for values in (self._next(space, history[-1].values) if len(history) else None, begin):
            while values is not None:
                if is_untried(space, history, values):
                    return Proposal(values)
                values = self._next(space, values)
        return exhausted(history)

    def _next(self, space: Space, values: Mapping[str, Value]) -> Values | None:
        genes = list(space.active(values).items())
        while genes:
            dimension, value = genes.pop()
            order = dict.fromkeys((dimension.default, *dimension.samples(self.samples)))
            later = list(order)[list(order).index(value) + 1 :] if value in order else []
            if later:
                return space.check({d.name: v for d, v in genes} | {dimension.name: later[0]})
        return None
