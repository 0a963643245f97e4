"""What a person sees of a parallel search: told by the chief, shown in the caller's process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from kt_plus.distribute.messages import Ready, Said, Shown, Tell, Warned


class Display:
    """Shows what the chief tells: one bar, or the lines of Keras Tuner's tables."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, ready: Ready) -> None:
        """Draws the bar, unless another display is asked for or it is drawn already."""
        if ready.verbose == 1 and self._bar is None:
            from kt_plus.engine.progress import open_bar

            self._bar = open_bar(ready.total)

    def show(self, shown: Shown) -> None:
        """Brings the bar up to date."""
        if self._bar is not None:
            self._bar.set_postfix_str(shown.facts, refresh=False)
            self._bar.update(shown.ended - self._bar.n)
            if self._bar.n == self._bar.total:
                self._bar.refresh()

    def write(self, line: str) -> None:
        """Shows lines, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(line)
        else:
            print(line, flush=True)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
            self._bar = None


def told_progress(oracle: Any, tell: Tell, verbose: int) -> Any:
    """The chief's display of its search, shown by the supervisor.

    Args:
        oracle: The chief's search.
        tell: Tells the supervisor.
        verbose: 0 for nothing, 1 for one bar, 2 for Keras Tuner's tables.
    """
    from kt_plus.engine.progress import Progress

    class Bar:
        """Has what `Progress` uses of a tqdm bar."""

        def __init__(self) -> None:
            self.total, self.n, self.facts = oracle.max_trials, 0, ""

        def set_postfix_str(self, facts: str, refresh: bool) -> None:
            self.facts = facts

        def update(self, count: int) -> None:
            self.n += count
            tell(Shown(self.n, self.facts))

        def write(self, line: str) -> None:
            tell(Said(line))

        def refresh(self) -> None:
            pass

        def close(self) -> None:
            pass

    class Told(Progress):
        def on_trial_begin(self, trial: Any) -> None:
            with _printed(tell):
                super().on_trial_begin(trial)

        def on_trial_end(self, trial: Any) -> None:
            with _printed(tell):
                super().on_trial_end(trial)

        def say(self, line: str) -> None:
            if self.verbose:
                tell(Said(line))

        def warn(self, text: str) -> None:
            tell(Warned(text))

        def _open(self) -> Any:
            if self._bar is None:
                self._bar = Bar()
            return self._bar

    progress = Told(oracle, oracle._display._tables)
    progress.verbose = verbose
    return progress


@contextlib.contextmanager
def _printed(tell: Tell) -> Iterator[None]:
    """Tells the supervisor what is printed within it."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        yield
    if printed.getvalue():
        tell(Said(printed.getvalue().rstrip("\n")))
