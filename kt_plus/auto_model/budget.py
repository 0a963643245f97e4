"""A budget that holds for search and final training together, to the batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from kt_plus.engine.budget import Budget
from kt_plus.errors import BudgetError

FINAL_SHARE = 0.3
"""How much of the budget is kept for the final training, at most."""

MINUTES = 10.0
"""How long it takes if nothing else is said."""


SLOWER = 0.8
"""What took long may again: of an earlier, longer time so much is remembered."""


class Allowance:
    """What may be spent altogether, in all sessions.

    Args:
        minutes: How many minutes, if limited.
        max_epochs: How many epochs, if limited.
        max_trials: How many trials, if limited. Without any limit there are 10 minutes.

    Raises:
        ValueError: If a limit is not a number above 0.
    """

    def __init__(
        self,
        minutes: float | None = None,
        max_epochs: int | None = None,
        max_trials: int | None = None,
    ) -> None:
        if minutes is None and max_epochs is None and max_trials is None:
            minutes = MINUTES
        for name, limit in (
            ("minutes", minutes),
            ("max_epochs", max_epochs),
            ("max_trials", max_trials),
        ):
            _check_limit(name, limit, whole=name != "minutes")
        self.minutes, self.max_trials = minutes, max_trials
        self.budget = Budget.of(None if minutes is None else 60.0 * minutes, max_epochs)

    def __str__(self) -> str:
        limits = (
            (self.max_trials, "trial"),
            (self.budget.max_epochs, "epoch"),
            (self.minutes, "minute"),
        )
        return ", ".join(f"{n:,g} {unit}{'s' * (n != 1)}" for n, unit in limits if n is not None)

    @property
    def seconds_left(self) -> float:
        """How many seconds are left; infinity without a limit."""
        limit = self.budget.max_seconds
        return math.inf if limit is None else limit - self.budget.seconds

    @property
    def epochs_left(self) -> float:
        """How many epochs are left; infinity without a limit."""
        limit = self.budget.max_epochs
        return math.inf if limit is None else limit - self.budget.epochs

    @property
    def search_epochs(self) -> int | None:
        """How many epochs the search may train; the others are for the final training."""
        limit = self.budget.max_epochs
        return None if limit is None else limit - math.floor(FINAL_SHARE * limit)

    def reserved_seconds(self, needed: float | None) -> float:
        """What the search leaves for the final training.

        Args:
            needed: How long that will take as far as is known.
        """
        if self.budget.max_seconds is None:
            return 0.0
        most = FINAL_SHARE * self.budget.max_seconds
        return most if needed is None else min(needed, most)


@dataclass
class Pace:
    """How long things take here, as seen in the trainings so far, in seconds.

    Args:
        starting: From the end of one training to the end of the first batch of the next.
        batch: One batch.
        validation: One validation, once there was one.
        batches: The number of batches of an epoch.
        validation_batches: The number of batches of a validation.
    """

    batches: int
    validation_batches: int
    starting: float = 0.0
    batch: float = 0.0
    validation: float | None = None

    @property
    def validating(self) -> float:
        """What a validation takes; before the first one, a guess that includes its start."""
        if self.validation is not None:
            return self.validation
        return self.batch * self.validation_batches + self.starting / 3

    @property
    def epoch(self) -> float:
        """What an epoch takes with its validation."""
        return self.batch * self.batches + self.validating


class Limit(keras.callbacks.Callback):
    """Ends a training while there is time to validate it, in the middle of an epoch if need be.

    Args:
        left: How many seconds are left, validation included.
        pace: Where to note how long things take.
        on_pause: What to do at the end of each epoch and of each training; it is told how many
            seconds the next step takes.
        on_cut: What to do when an epoch is cut short.
    """

    def __init__(
        self,
        left: Callable[[], float],
        pace: Pace,
        on_pause: Callable[[float], None] = lambda seconds: None,
        on_cut: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.left, self.pace, self.on_pause, self.on_cut = left, pace, on_pause, on_cut
        self.is_cut = False
        self._mark = self._epoch_began = self._validation_began = time.monotonic()
        self._started = False
        self._batches = 0  # of this epoch, but for the first of a training

    def __deepcopy__(self, memo: Any) -> Limit:
        return self  # one for all trials, although Keras Tuner copies callbacks

    def on_train_begin(self, logs: Any = None) -> None:
        self.is_cut = self._started = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_began, self._batches = time.monotonic(), 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if self._started:
            self._batches += 1
            self.pace.batch = (now - self._epoch_began) / self._batches
        else:
            self._started, self._epoch_began = True, now
            self.pace.starting = max(now - self._mark, SLOWER * self.pace.starting)
        # Until a batch was timed nothing can be told: one more.
        if self.pace.batch and not self.is_cut and self.left() < self.pace.validating:
            self.is_cut = self.model.stop_training = True
            if batch + 1 < self.pace.batches:
                self.on_cut()

    def on_test_begin(self, logs: Any = None) -> None:
        self._validation_began = time.monotonic()

    def on_test_end(self, logs: Any = None) -> None:
        seconds = time.monotonic() - self._validation_began
        self.pace.validation = max(seconds, SLOWER * (self.pace.validation or 0.0))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.on_pause(0.0)

    def on_train_end(self, logs: Any = None) -> None:
        self._mark = time.monotonic()
        self.on_pause(self.pace.starting + self.pace.epoch)


def too_small(allowance: Allowance, pace: Pace) -> BudgetError:
    """The error that says how long one trial takes."""
    trial = pace.starting + pace.epoch
    least = trial / (1 - FINAL_SHARE) / 60
    return BudgetError(
        f"minutes={allowance.minutes:g} was given, and is over before the end of the first epoch: "
        f"the first network needs {pace.starting:.1f} s to start, and then {pace.epoch:.1f} s for "
        f"an epoch of {pace.batches} batches. Expected at least {_rounded_up(least)} minutes for a "
        "single trial, and several times that for a search. Give more minutes, or fewer examples."
    )


def _rounded_up(number: float) -> str:
    digits = 1 - math.floor(math.log10(max(number, 1e-3)))
    return f"{math.ceil(1.1 * number * 10**digits) / 10**digits:g}"


def _check_limit(name: str, limit: Any, whole: bool) -> None:
    if limit is None:
        return
    number = isinstance(limit, int if whole else (int, float)) and not isinstance(limit, bool)
    if not number or not limit > 0 or (whole and limit < 1):
        kind = "a whole number of at least 1" if whole else "a number above 0"
        raise ValueError(f"{name}={limit!r} was given. Expected {kind}. Leave it out for no limit.")
