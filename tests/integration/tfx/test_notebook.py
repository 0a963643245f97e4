"""The notebook of a TFX pipeline, run from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.tfx, pytest.mark.slow, pytest.mark.full]


def test_it_runs() -> None:
    pytest.importorskip("nbclient", reason="the extra notebooks")
    from tools.notebooks import run

    run(Path(__file__).parents[3] / "notebooks" / "05_tfx_pipeline.ipynb")
