"""Fewer epochs: the fidelity in which nothing is lost, since a promoted trial goes on."""

from __future__ import annotations

import math
import numbers
from typing import Any

from kt_plus.engine.history import Value
from kt_plus.performance_estimation.fidelity.base import Fidelity
from kt_plus.performance_estimation.stopping.settings import check_whole


class Epochs(Fidelity):
    """How many epochs a trial has been trained for by the end of each rung.

    When to use it: almost always. A promoted trial goes on from where its parent ended, with
    the state of its optimizer and the counts of Keras's callbacks, so that its training is the
    same as if it had never paused.

    Source: Jamieson and Talwalkar, AISTATS 2016 (arXiv:1502.07943).

    Args:
        *levels: The number of the last epoch of each rung, counted from 1.

    Raises:
        ValueError: If a level is no whole number above 0, or they do not increase.

    Example:

    ```python
    kt_plus.SuccessiveHalving(build_model, "val_loss", ladder=kt_plus.fidelity.Epochs(5, 10, 20))
    ```
    """

    name = "epochs"

    @classmethod
    def geometric(cls, least: int, most: int, factor: float = 2) -> Epochs:
        """Levels that grow by a factor, from `least` or a little above it to `most`.

        Args:
            least: The fewest epochs that a trial may be judged by.
            most: Those of a full training.
            factor: By how much a level is larger than the one before it.

        Example:

        ```python
        kt_plus.fidelity.Epochs.geometric(5, 40)  # Epochs(5, 10, 20, 40)
        ```
        """
        rungs = math.floor(math.log(most / least, factor) + 1e-9) if most > least else 0
        levels = (math.ceil(most / factor**rung - 1e-9) for rung in reversed(range(rungs + 1)))
        return cls(*dict.fromkeys(levels))

    def goes_on(self, level: Value, next_level: Value) -> bool:
        return True

    def describe(self, level: Value) -> str:
        return f"{level} epochs" if level != 1 else "1 epoch"

    def _checked(self, level: Any) -> Value:
        whole = isinstance(level, numbers.Integral) and not isinstance(level, bool)
        if not whole or level < 1:
            raise ValueError(
                f"Epochs was given the level {level!r}. Expected a whole number of epochs from 1 "
                f"on. Give one for each rung, such as {self._few}"
            )
        return int(level)


def halving_epochs(
    configurations: int | None,
    factor: int,
    min_epochs: int | None = None,
    max_epochs: int | None = None,
) -> Epochs:
    """The epochs of successive halving: `factor` times as many at each rung, until one is left.

    Args:
        configurations: How many configurations enter the first rung; `None` for any number.
        factor: By how much the epochs grow, and the trials shrink.
        min_epochs: The epochs of the first rung; by default what `max_epochs` leaves.
        max_epochs: Those of the last one; by default what `min_epochs` grows to, or 100 if
            neither is given.

    Raises:
        ValueError: If a number of epochs is none, or nothing tells where to end.

    Example:

    ```python
    halving_epochs(64, 2, min_epochs=100)  # Epochs(100, 200, 400, 800, 1600, 3200, 6400)
    ```
    """
    for name, given in (("min_epochs", min_epochs), ("max_epochs", max_epochs)):
        if given is not None:
            check_whole(name, given)
    if min_epochs is not None and max_epochs is not None:
        if min_epochs > max_epochs:
            raise ValueError(
                f"min_epochs={min_epochs} is more than max_epochs={max_epochs}. Expected the "
                "epochs of the first rung and those of the last one: give fewer, or more."
            )
        grown = _powers(factor, max_epochs // min_epochs)
        below = [min_epochs * power for power in grown if min_epochs * power < max_epochs]
        return Epochs(*below, max_epochs)
    if min_epochs is not None:
        if configurations is None:
            raise ValueError(
                "configurations=None was given with min_epochs only. Expected max_epochs too, "
                "since nothing else tells where the ladder ends."
            )
        return Epochs(*(min_epochs * power for power in _powers(factor, configurations)))
    most = 100 if max_epochs is None else max_epochs
    powers = _powers(factor, most if configurations is None else min(configurations, most))
    return Epochs(*dict.fromkeys(-(-most // power) for power in reversed(powers)))


def _powers(factor: int, limit: int) -> list[int]:
    """1, factor, factor squared, ... up to `limit`."""
    powers = [1]
    while powers[-1] * factor <= limit:
        powers.append(powers[-1] * factor)
    return powers
