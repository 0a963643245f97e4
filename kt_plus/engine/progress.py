"""What a person sees of a running search: one bar, or Keras Tuner's tables."""

from __future__ import annotations

import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from kt_plus.engine.callers import level_of_caller

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle

FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {elapsed}{postfix}"


class Progress:
    """Shows a search: nothing with `verbose=0`, one bar with 1, Keras Tuner's tables with 2.

    Args:
        oracle: The search to show.
        tables: Keras Tuner's own display of it.
    """

    def __init__(self, oracle: Oracle, tables: Any) -> None:
        self.oracle = oracle
        self.verbose = 1
        self._tables = tables
        self._bar: Any = None
        self._epochs_saved = 0

    @property
    def trial_number(self) -> dict[str, int]:
        """The number of each trial, from 1, under the name that Keras Tuner's display has."""
        return {trial_id: i for i, trial_id in enumerate(self.oracle.start_order, 1)}

    def get_state(self) -> dict[str, Any]:
        return self._tables.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._tables.set_state(state)

    def on_trial_begin(self, trial: Any) -> None:
        """Shows that a trial has begun."""
        if self.verbose == 1:
            self._show()
        elif self.verbose:
            self._tables.on_trial_begin(trial)

    def on_epoch_end(self, trial: Any) -> None:
        """Shows that a trial has trained an epoch."""
        if self.verbose == 1:
            self._show()

    def on_trial_end(self, trial: Any) -> None:
        """Shows how a trial has ended."""
        self._count_saved(trial)
        if self.verbose == 1:
            if trial.status in ("FAILED", "INVALID"):
                self._open().write(f"Trial {trial.trial_id} has failed: {_reason(trial.message)}")
            self._show()
        elif self.verbose and trial.trial_id in self._tables.trial_start:
            self._tables.on_trial_end(trial)

    def say(self, line: str) -> None:
        """Prints a line, unless `verbose=0`."""
        if self.verbose:
            print(line)

    def warn(self, text: str) -> None:
        """Warns of the end of the search, also with `verbose=0`."""
        warnings.warn(text, stacklevel=level_of_caller())

    def clear(self) -> None:
        """Takes the bar off the screen until it is next shown: something will be printed."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Ends the bar, and leaves it on the screen."""
        if self._bar is not None:
            self._show()
            self._bar.close()
            self._bar = None

    def _count_saved(self, trial: Any) -> None:
        note = self.oracle.notes[trial.trial_id]
        # Epochs that a budget cuts are not saved: the search could not have trained them.
        if note.stop and note.stop.cause == "rule" and note.horizon and note.curves:
            last = note.curves[-1]
            self._epochs_saved += max(note.horizon - last.first_epoch - len(last.values), 0)

    def _open(self) -> Any:
        if self._bar is None:
            self._bar = open_bar(self.oracle.max_trials, len(self.oracle.end_order))
        return self._bar

    def _show(self) -> None:
        bar = self._open()
        bar.set_postfix_str(", ".join(self._facts()), refresh=False)
        bar.update(len(self.oracle.end_order) - bar.n)
        bar.refresh() if bar.n == bar.total else None

    def _facts(self) -> list[str]:
        facts = [f"{_clock(left)} left"] if (left := self._seconds_left()) is not None else []
        best = self.oracle.history.best
        if best is not None:
            score = self.oracle.sign * best.fitness
            facts.append(f"best {self.oracle.objective.name} {score:.4g} (trial {best.trial_id})")
        budget = self.oracle.budget
        if budget.epochs:
            of = f" of {budget.max_epochs}" if budget.max_epochs else ""
            facts.append(f"{budget.epochs}{of} epochs")
        if self._epochs_saved or (budget.epochs and self.oracle.stopping is not None):
            facts.append(f"{self._epochs_saved} saved")
        return facts

    def _seconds_left(self) -> float | None:
        """By the limit that is nearest: trials, epochs or time."""
        ended = len(self.oracle.end_order)
        trials = ended / self.oracle.max_trials if self.oracle.max_trials else 0.0
        share = max(trials, self.oracle.budget.share())
        return self.oracle.budget.seconds * (1 - share) / share if ended and share else None


def open_bar(total: int | None, ended: int = 0) -> Any:
    """A bar for trials, in a terminal or a notebook."""
    with warnings.catch_warnings():
        # Without ipywidgets tqdm warns, and draws its bar as text, which will do.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        return tqdm(total=total, initial=ended, desc="Trials", bar_format=FORMAT, mininterval=0.2)


def _reason(message: str | None) -> str:
    """What was raised, in one line, from a traceback or a message of one or several lines."""
    lines = (message or "no reason given").strip().splitlines()
    frames = [i for i, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[frames[-1] + 1 :] if frames else lines
    while frames and len(after) > 1 and after[0][:1].isspace():
        after = after[1:]  # the source, and the marks below it
    return textwrap.shorten(" ".join(after), 200, placeholder=" ...")


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
