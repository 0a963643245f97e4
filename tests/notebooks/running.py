"""Runs a notebook from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"


def run(stem: str) -> None:
    """Raises what a cell raises; skips where the extra `notebooks` is not installed."""
    pytest.importorskip("nbclient", reason="the extra notebooks")
    pytest.importorskip("ipykernel", reason="the extra notebooks")
    from tools import notebooks

    notebooks.run(FOLDER / f"{stem}.ipynb")
