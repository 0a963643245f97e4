"""What is asked of every error: what happened, what was expected, how to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

REMEDY = re.compile(
    r"\b(add|call|choose|declare|give|install|leave|mend|omit|pass|remove|run|set|use|write)\b",
    re.IGNORECASE,
)


@contextmanager
def raises_in_three_parts(
    kind: type[Exception], *, happened: str, expected: str
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Expects an error that quotes `happened` and `expected`, and has a remedy besides."""
    with pytest.raises(kind) as caught:
        yield caught
    message = str(caught.value)
    assert happened in message
    assert expected in message
    rest = message.replace(happened, "").replace(expected, "")
    assert REMEDY.search(rest), f"This error says nothing of a remedy: {message}"
