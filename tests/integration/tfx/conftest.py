"""One pipeline up to Transform for all tests of a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """The iris data, transformed; modules are read where they are, which saves minutes of pip."""
    from tests.integration.tfx.pipelines import Iris

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES", "1")
        patch.setattr(sys, "argv", sys.argv[:1])  # which TFX's components read as their own
        made = Iris(tmp_path_factory.mktemp("iris"))
        made.run()
        yield made
