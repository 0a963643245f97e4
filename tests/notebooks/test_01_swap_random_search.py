"""In a file of its own, so that the notebooks are run beside each other."""

from __future__ import annotations

import pytest

from tests.notebooks.running import run


@pytest.mark.full
@pytest.mark.slow
def test_it_runs() -> None:
    run("01_swap_random_search")
