"""The engine: what a search knows, and the seams through which Keras Tuner runs it."""

from __future__ import annotations

import importlib
from typing import Any

_KERAS_TUNERS = ("base_tuner", "hypermodel", "hyperparameters", "metrics_tracking", "trial")


def __getattr__(name: str) -> Any:
    """Its modules, when first used, and beside them those of `keras_tuner.engine`, as they are."""
    if name in _KERAS_TUNERS:
        return importlib.import_module(f"keras_tuner.engine.{name}")
    if name in ("oracle", "tuner"):
        return importlib.import_module(f"kt_plus.engine.{name}")
    raise AttributeError(f"module 'kt_plus.engine' has no attribute {name!r}")
