"""What the tests of parallel search share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kt_plus.distribute.template import shared
from tests.integration.conftest import eager

__all__ = ["eager", "template"]


@pytest.fixture(scope="session", autouse=True)
def template() -> Iterator[None]:
    """One process imports TensorFlow for all searches."""
    with shared():
        yield
