"""Where a warning points."""

from __future__ import annotations

import sys


def level_of_caller() -> int:
    """The `stacklevel` of a warning that points at the user's line, such as a call of `search`."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _is_internal(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    return level


def _is_internal(module: str) -> bool:
    return module.partition(".")[0] in ("kt_plus", "keras_tuner", "contextlib")
