"""Looking inside: what the policy preferred, and how surely, at moments of a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kt_plus.engine.dimensions import Dimension
from kt_plus.engine.history import History, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.reinforcement_learning.cells import is_ordered
from kt_plus.search_strategies.reinforcement_learning.choices import Choices
from kt_plus.search_strategies.reinforcement_learning.learner import (
    Learner,
    Settings,
    in_order_of_ends,
)

SAMPLES = 256
"""From so many configurations the probabilities are estimated, with the same seed always."""


@dataclass(frozen=True)
class Policy:
    """The policy at one moment of a search.

    Args:
        trials: After how many results.
        probabilities: Of each hyperparameter, the probability of each value, or of each
            range of values, where it is active. They add up to 1; those of
            hyperparameters that follow others are means over `SAMPLES` samples.
        activity: The probability in [0, 1] that each is active.
        entropy: That of a whole configuration, in nats, of the parts that numbers are cut
            into: 0 once the policy is sure of everything.
        baseline: The reward that was expected of a result, in standard deviations of the
            rewards so far.
        ordered: The hyperparameters whose values have an order, as numbers have.
    """

    trials: int
    probabilities: Mapping[str, Mapping[str, float]]
    activity: Mapping[str, float]
    entropy: float
    baseline: float
    ordered: frozenset[str] = frozenset()


def policies(space: Space, history: History, settings: Settings, points: int = 50) -> list[Policy]:
    """The policies after some of the results, the first being untaught, the last the present one.

    Args:
        space: The hyperparameters.
        history: What has taught the policy.
        settings: How it learns.
        points: How many of them at most, 2 or more.
    """
    ended, running = in_order_of_ends(history)
    learner = Learner(space, settings)
    wanted = {round(place) for place in np.linspace(0, len(ended), max(points, 2))}
    seen = [policy_of(learner)]
    for trials, _ in enumerate(learner.advancing(ended, running), start=1):
        if trials in wanted:
            seen.append(policy_of(learner))
    return seen


def policy_of(learner: Learner) -> Policy:
    """The policy that a learner has come to."""
    controller, space = learner.controller, learner.space
    rng = np.random.default_rng(0)
    samples = controller.sample(learner.parameters, SAMPLES, rng, temperature=1.0)
    rows = [controller.encode(space, Record("", values)) for values in samples]
    choices = Choices.stack(rows)
    told = controller.evaluate(learner.parameters, choices)
    names = _names(controller.dimensions)
    probabilities = {}
    for column in choices.columns:
        active, place = choices.active[:, column], controller.layout.places[column]
        of_each = told.distributions.probabilities[place, active].mean(axis=1)
        labels = controller.cells[column].labels()
        probabilities[names[column]] = dict(zip(labels, of_each.tolist(), strict=True))
    activity = dict(zip(names, choices.active.mean(axis=0).tolist(), strict=True))
    entropy = float(told.entropy.sum(axis=1).mean())
    ordered = frozenset(
        n for n, d in zip(names, controller.dimensions, strict=True) if is_ordered(d)
    )
    return Policy(len(learner.records), probabilities, activity, entropy, learner.baseline, ordered)


def _names(dimensions: tuple[Dimension, ...]) -> list[str]:
    """The names; one that stands for several hyperparameters tells its conditions too."""
    uses = Counter(dimension.name for dimension in dimensions)
    return [d.name if uses[d.name] == 1 else f"{d.name} ({_when(d)})" for d in dimensions]


def _when(dimension: Dimension) -> str:
    return " and ".join(
        f"{c.name} is {' or '.join(map(str, c.values))}" for c in dimension.conditions
    )
