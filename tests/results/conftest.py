"""The search that several tests of results look at."""

from __future__ import annotations

from typing import Any

import pytest

from tests.invented_search import Foretelling, tuner


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search with stopped and failed trials."""
    searched = tuner(
        tmp_path_factory.mktemp("search"),
        direction="min",
        stopping=Foretelling(),
        fails=("03", "11"),
        max_time=600,
    )
    searched.search(verbose=0)
    return searched
