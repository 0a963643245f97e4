"""Reinforcement learning by the names of its parts, with defaults that follow the budget."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from kt_plus.search_strategies.reinforcement_learning.algorithms import PPO, Algorithm, Reinforce
from kt_plus.search_strategies.reinforcement_learning.learner import Settings
from kt_plus.search_strategies.reinforcement_learning.rewards import REWARDS
from kt_plus.search_strategies.reinforcement_learning.strategy import PolicySampling

ALGORITHMS: dict[str, type[Reinforce] | type[PPO]] = {"reinforce": Reinforce, "ppo": PPO}
CONTROLLERS = ("lstm", "independent")

NETWORK_SHARE = 1 / 15
"""The learning rate of the LSTM's weights over that of the biases: each moves many logits."""

BASELINE_DECAY = 0.9


def reinforcement_learning(
    max_trials: int | None,
    *,
    algorithm: str = "ppo",
    controller: str = "lstm",
    reward: str = "ranks",
    learning_rate: float | None = None,
    entropy: float = 0.1,
    batch_size: int | None = None,
    units: int = 32,
    smoothness: float = 0.1,
) -> PolicySampling:
    """The controller RNN of neural architecture search, for any search space.

    When to use it: where there is budget to learn, from some 50 trials on, above all when
    good values depend on each other.

    Source: Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR
    2017 (arXiv:1611.01578); PPO in place of REINFORCE as in Zoph, Vasudevan, Shlens and
    Le, CVPR 2018 (arXiv:1707.07012); independent softmaxes as in Dong et al., NATS-Bench,
    TPAMI 2021 (arXiv:2009.00437), from whose published code the bias-corrected
    baseline with a decay of 0.9 is. Deviations: one LSTM layer; each softmax has a bias of
    its own beside the LSTM's output, which learns faster, so that a few results are enough
    to tell which values are good, and more tell what goes with what; learning rates for
    hundreds of trials, not for the papers' 10,000; rewards that are ranks; ordered values
    share what they learn (`Cells`); no configuration is tried twice
    (`PolicySampling`).

    Args:
        max_trials: The number of trials that the search may run, if it is known.
        algorithm: `"ppo"`, which goes over the latest results several times, or
            `"reinforce"`, which learns from each once.
        controller: `"lstm"`, in which a choice depends on those before it, or
            `"independent"`, in which it does not.
        reward: What a trial's score is worth: `"ranks"`, its place among all so far,
            `"scores"`, its standardised value, or `"cubed"`, that of its cube, for
            accuracies.
        learning_rate: By how much a logit moves at most when the policy is updated. It
            follows `max_trials` by default.
        entropy: What the policy's entropy counts beside the reward. More explores longer.
        batch_size: How many results make an update: 5 by default for `"ppo"`, 1 for
            `"reinforce"`.
        units: The width of the LSTM.
        smoothness: The width of a bump, as a share of the range, by which a result moves
            the probabilities of the values beside it too; 0 for plain bins.

    Raises:
        ValueError: If a name is unknown or a number impossible.

    Example:
    ```python
    import kt_plus
    from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning

    strategy = reinforcement_learning(max_trials=300, algorithm="reinforce")
    oracle = kt_plus.Oracle("val_accuracy", max_trials=300, strategy=strategy)
    ```
    """
    _check_named("algorithm", algorithm, tuple(ALGORITHMS))
    _check_named("controller", controller, CONTROLLERS)
    _check_named("reward", reward, REWARDS)
    _check_number("entropy", entropy, 0.0, math.inf)
    _check_number("smoothness", smoothness, 0.0, 1.0)
    if learning_rate is not None:
        _check_number("learning_rate", learning_rate, 0.0, math.inf)
    _check_whole("units", units)
    rate = default_learning_rate(max_trials) if learning_rate is None else float(learning_rate)
    how = _algorithm(algorithm, batch_size, float(entropy))
    _warn_of_small_budget(max_trials, how.batch_size)
    width = int(units) if controller == "lstm" else 0
    rates = (rate, NETWORK_SHARE * rate)
    return PolicySampling(Settings(how, width, *rates, reward, BASELINE_DECAY, float(smoothness)))


def default_learning_rate(max_trials: int | None) -> float:
    """A logit may travel as far in a short search as in a long one, within limits."""
    return min(max(9.0 / (max_trials or 200), 0.01), 0.1)


def _algorithm(name: str, batch_size: int | None, entropy: float) -> Algorithm:
    if batch_size is None:
        return ALGORITHMS[name](entropy=entropy)
    _check_whole("batch_size", batch_size)
    size = int(batch_size)
    if name == "reinforce":
        return Reinforce(size, entropy)
    return PPO(size, window=max(size, PPO.window), entropy=entropy)


def _warn_of_small_budget(max_trials: int | None, batch_size: int) -> None:
    if max_trials is not None and batch_size >= max_trials:
        warnings.warn(
            f"batch_size={batch_size} is not smaller than max_trials={max_trials}: no trial "
            "will be proposed by a policy that has learnt anything, so that this is random "
            "search. Choose a smaller batch or more trials.",
            stacklevel=4,
        )


def _check_named(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(
            f"{name}={value!r} was given. Expected one of {', '.join(map(repr, known))}. "
            "Choose one of these."
        )


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{name}={value!r} was given. Expected a whole number of at least 1. "
            "Leave it out for the default."
        )


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low <= value <= high or math.isinf(value):
        upto = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(
            f"{name}={value!r} was given. Expected a number of at least {low:g}{upto}. "
            "Leave it out for the default."
        )
