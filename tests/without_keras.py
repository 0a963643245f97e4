"""A pytest plugin for `make test-fast`: no deep-learning library can be imported.

Test files that import one at their top are left out. Any other import of one raises, so that a
pure module of kt_plus that begins to import Keras fails its tests.
"""

from __future__ import annotations

import importlib.abc
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

LIBRARIES = ("keras", "keras_tuner", "tensorflow", "jax", "torch")
IMPORTS_ONE = re.compile(rf"^(?:import|from) (?:{'|'.join(LIBRARIES)})\b", re.MULTILINE)

NEED_KERAS_TUNER = ("test_minimise_and_maximise_are_mirrored",)
"""Tests of the suites in `kt_plus.testing` that run a tuner."""


class Block(importlib.abc.MetaPathFinder):
    """Raises where a deep-learning library is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name.partition(".")[0] in LIBRARIES:
            remedy = "Import it at the top of the test file to leave the file out of test-fast."
            raise ModuleNotFoundError(f"{name} is blocked in `make test-fast`. {remedy}", name=name)


def pytest_configure() -> None:
    loaded = sorted(set(LIBRARIES) & set(sys.modules))
    if loaded:
        raise RuntimeError(f"{', '.join(loaded)} had been imported before the tests.")
    sys.meta_path.insert(0, Block())


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if collection_path.suffix == ".py" and IMPORTS_ONE.search(collection_path.read_text()):
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.name in NEED_KERAS_TUNER]
    items[:] = [item for item in items if item.name not in NEED_KERAS_TUNER]
    config.hook.pytest_deselected(items=left_out)
