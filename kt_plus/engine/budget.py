"""How much a search may spend, and what it has spent."""

from __future__ import annotations

import numbers
import time
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass
class Budget:
    """Limits on time and epochs, over all sessions of a search.

    Args:
        max_seconds: How long the search may run, interruptions not counted.
        max_epochs: How many epochs all its trials together may train.
    """

    max_seconds: float | None = None
    max_epochs: int | None = None
    epochs: int = 0
    _before: float = 0.0
    _began: float | None = field(default=None, repr=False)

    @classmethod
    def of(cls, max_time: float | timedelta | None, max_epochs_total: int | None) -> Budget:
        """The budget that the user gave.

        Raises:
            ValueError: If a limit is not positive.
        """
        seconds = max_time.total_seconds() if isinstance(max_time, timedelta) else max_time
        for name, limit in (("max_time", seconds), ("max_epochs_total", max_epochs_total)):
            number = isinstance(limit, numbers.Real) and not isinstance(limit, bool)
            if limit is not None and not (number and limit > 0):
                raise ValueError(
                    f"{name}={limit!r} was given. Expected a number above 0. "
                    "Leave it out for no limit."
                )
        return cls(seconds, max_epochs_total)

    def begin(self) -> None:
        """Starts the clock, unless it is running."""
        if self._began is None:
            self._began = time.monotonic()

    def pause(self) -> None:
        """Stops the clock."""
        self._before, self._began = self.seconds, None

    def resume(self, seconds: float, epochs: int) -> None:
        """Takes into account what earlier sessions have spent."""
        self._before, self._began, self.epochs = seconds, None, epochs

    @property
    def seconds(self) -> float:
        """How long the search has run, in all sessions."""
        return self._before + (time.monotonic() - self._began if self._began is not None else 0.0)

    def share(self) -> float:
        """How much of the nearest limit is spent, from 0 to 1."""
        seconds = self.seconds / self.max_seconds if self.max_seconds else 0.0
        epochs = self.epochs / self.max_epochs if self.max_epochs else 0.0
        return min(max(seconds, epochs), 1.0)

    def exhausted(self) -> str | None:
        """Which limit is reached, in words; `None` if none is."""
        if self.max_seconds is not None and self.seconds >= self.max_seconds:
            return f"the search's {self.max_seconds:g} seconds are used up"
        if self.max_epochs is not None and self.epochs >= self.max_epochs:
            return f"the search's {self.max_epochs} epochs are used up"
        return None
