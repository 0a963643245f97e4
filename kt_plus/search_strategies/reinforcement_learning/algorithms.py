"""REINFORCE and PPO: how results change the parameters of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kt_plus.search_strategies.reinforcement_learning.adam import Adam
from kt_plus.search_strategies.reinforcement_learning.choices import Array, Choices
from kt_plus.search_strategies.reinforcement_learning.controller import Controller

LARGEST_RATIO = 2.0
"""Where importance ratios are cut off: one stale result must not outweigh many fresh ones."""


@dataclass(frozen=True)
class Batch:
    """Results that the policy learns from, one row a trial.

    Args:
        choices: What the trials chose.
        advantages: How much better each was than expected, in standard deviations.
        behaviour: The log-probability of each choice under the policy that made it.
    """

    choices: Choices
    advantages: Array
    behaviour: Array


class Algorithm(Protocol):
    """How the policy learns.

    Attributes:
        batch_size: It learns whenever so many results have come.
        window: From how many of the latest results it learns then.
    """

    @property
    def batch_size(self) -> int: ...
    @property
    def window(self) -> int: ...

    def learn(
        self, controller: Controller, parameters: Array, optimiser: Adam, batch: Batch
    ) -> tuple[Array, Adam]:
        """Parameters and optimiser after the results of the batch."""


@dataclass(frozen=True)
class Reinforce:
    """REINFORCE: each choice becomes likelier by as much as its trial beat the baseline.

    Source: Williams, Machine Learning 8 (1992), and equation 2 of Zoph and Le
    (arXiv:1611.01578). Deviation: a result of an older policy is weighted by the ratio of
    its probability under the present and under the older policy, at most `LARGEST_RATIO`
    (importance sampling, truncated: Ionides, JCGS 2008). Alone, a worker waits for each
    result, and the ratio is 1.

    Args:
        batch_size: How many results make a step.
        entropy: What the policy's entropy counts, beside rewards with a standard
            deviation of 1: it keeps the search from settling too early.
    """

    batch_size: int = 1
    entropy: float = 0.1

    @property
    def window(self) -> int:
        return self.batch_size

    def learn(
        self, controller: Controller, parameters: Array, optimiser: Adam, batch: Batch
    ) -> tuple[Array, Adam]:
        count = len(batch.advantages)
        told = controller.evaluate(parameters, batch.choices)
        ratio = _truncated_ratio(told.log_probability, batch.behaviour)
        weights = np.broadcast_to(
            (ratio * batch.advantages / count)[:, None], batch.behaviour.shape
        )
        slope = controller.gradient(told, weights, self.entropy / count)
        return optimiser.climb(parameters, slope)


@dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation: several careful steps on the latest results.

    Source: Schulman et al., "Proximal Policy Optimization Algorithms" (arXiv:1707.06347),
    equation 7, each choice being an action; a controller was first trained so by Zoph et
    al. (arXiv:1707.07012). Deviations: the latest `window` results are used, not the new
    ones alone. The policy from which the steps start (the proximal one) is thus not the
    one that made the choices (the behaviour): each result is weighted by the ratio of
    their probabilities, at most `LARGEST_RATIO`, as in Hilton, Cobbe and Schulman
    (arXiv:2110.00641), which is right for late results of parallel workers too.

    Args:
        batch_size: How many new results make an update.
        window: How many of the latest results it uses.
        epochs: How many steps it takes.
        clip: How far the probability of a choice may move in one update, as a share.
        entropy: What the policy's entropy counts.
    """

    batch_size: int = 5
    window: int = 20
    epochs: int = 4
    clip: float = 0.2
    entropy: float = 0.1

    def learn(
        self, controller: Controller, parameters: Array, optimiser: Adam, batch: Batch
    ) -> tuple[Array, Adam]:
        count, advantages = len(batch.advantages), batch.advantages[:, None]
        told = controller.evaluate(parameters, batch.choices)
        proximal = told.log_probability
        trusted = _truncated_ratio(proximal, batch.behaviour)[:, None] * advantages / count
        for epoch in range(self.epochs):
            if epoch:
                told = controller.evaluate(parameters, batch.choices)
            ratio = np.exp(told.log_probability - proximal)
            # The slope of min(ratio A, clipped ratio A) is 0 beyond the clip (eq. 7).
            free = np.where(advantages > 0, ratio < 1 + self.clip, ratio > 1 - self.clip)
            weights = trusted * ratio * free
            slope = controller.gradient(told, weights, self.entropy / count)
            parameters, optimiser = optimiser.climb(parameters, slope)
        return parameters, optimiser


def _truncated_ratio(now: Array, behaviour: Array) -> Array:
    """How much likelier whole configurations are now than when they were chosen."""
    difference = (now - behaviour).sum(axis=1)
    return np.asarray(np.exp(np.minimum(difference, np.log(LARGEST_RATIO))))
