"""What the scripts share: the printed table, the versions in use, checked numbers."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints a Markdown table.

    Args:
        rows: Lines of equally many cells; the first is the head.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, cells in enumerate(rows):
        print("| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def versions() -> str:
    """Python and the packages whose version decides what was measured."""
    found = [f"Python {platform.python_version()}"]
    for package in ("keras-tuner", "optuna"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def positive(text: str) -> int:
    """Reads a command-line number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} was given; a whole number from 1 on is expected")
    return int(text)
