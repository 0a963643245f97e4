"""Reinforcement learning: a controller that learns where good configurations are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kt_plus.engine.history import History, Proposal, Signal
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import draw_untried, is_untried
from kt_plus.search_strategies.reinforcement_learning.insight import (
    Policy,
    policies,
    policy_of,
)
from kt_plus.search_strategies.reinforcement_learning.learner import (
    Learner,
    Settings,
    in_order_of_ends,
)

TEMPERATURES = (1.0, 1.0, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0, 6.0, 10.0)
"""At which the policy is sampled, one round after another, while all it yields was tried."""

SAMPLES = 8
"""How many configurations a round yields: as one batch they cost little more than one."""


@dataclass(frozen=True)
class PolicySampling:
    """Samples configurations from a policy that the results so far have taught.

    It samples, always: the likeliest configuration has no privilege. What was tried
    already is not tried again; the policy is sampled until it yields something new, which
    is then a draw from the policy among what is left. So a configuration moves the policy
    once, and its neighbours have to speak for themselves. As the policy sharpens, fresh
    samples become rare: after three rounds of `SAMPLES` its logits are divided by ever
    higher `TEMPERATURES`, and what is found is a variation of what it prefers; if
    even the last round yields nothing, one of the untried configurations is drawn.

    When to use it: through `reinforcement_learning`, which makes one with settings that fit
    the budget; by itself to look inside a search.

    Args:
        settings: How the policy learns.

    Example:
    ```python
    from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
    from kt_plus.testing import SPACES, simulate

    strategy = reinforcement_learning(max_trials=50)
    *_, (history, proposal) = simulate(strategy, SPACES["flat"], trials=50)
    print(strategy.policy(SPACES["flat"], history).probabilities["activation"])
    ```
    """

    settings: Settings
    _cache: dict[str, Learner] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "_cache": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        if all(dimension.size <= 1 for dimension in space.dimensions):
            _warn_of_no_choice(space, history)
            return draw_untried(space, history, rng)
        learner = self.learner(space, history)
        controller, parameters = learner.controller, learner.parameters
        for temperature in TEMPERATURES:
            for values in controller.sample(parameters, SAMPLES, rng, temperature):
                if is_untried(space, history, values):
                    return Proposal(values)
        return draw_untried(space, history, rng)

    def learner(self, space: Space, history: History) -> Learner:
        """The policy that this history has taught.

        It is a function of space and history alone. What was folded for the last proposal
        is kept and gone on from, as long as it is how this history begins.
        """
        ended, running = in_order_of_ends(history)
        learner = self._cache.pop("learner", None)  # gone, should folding be interrupted
        if learner is None or not learner.can_follow(space, ended, running):
            learner = Learner(space, self.settings)
        learner.advance(ended, running)
        self._cache["learner"] = learner
        return learner

    def policy(self, space: Space, history: History) -> Policy:
        """What the policy prefers now, in probabilities."""
        return policy_of(self.learner(space, history))

    def policies(self, space: Space, history: History, points: int = 50) -> list[Policy]:
        """What it preferred at up to `points` moments of the search, evenly spread."""
        return policies(space, history, self.settings, points)


def _warn_of_no_choice(space: Space, history: History) -> None:
    if not len(history):
        names = ", ".join(d.name for d in space.dimensions) or "none"
        warnings.warn(
            f"There is nothing to choose in the search space (hyperparameters: {names}): one "
            "trial will be run, and there is nothing to learn. Declare a hyperparameter with "
            "more than one value in the model, such as hp.Choice('units', [32, 64]).",
            stacklevel=3,
        )
