"""The one bar of a parallel search, drawn in the caller's process."""

from __future__ import annotations

from typing import Any

from kt_plus.distribute.messages import Ready, Shown


class Bar:
    """Shows what the chief tells, once it has told whether to show anything."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, ready: Ready) -> None:
        """Draws the bar, unless the search is to be silent or it is drawn already."""
        if ready.verbose and self._bar is None:
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
        """Shows a line above the bar."""
        if self._bar is not None:
            self._bar.write(line)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
            self._bar = None
