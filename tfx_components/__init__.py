"""Components for TFX pipelines.

`tfx_components.Tuner` stands where `tfx.components.Tuner` stood, and brings the pipeline
the searches of kt_plus: parallel, resumable, stopped early where hopeless.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_components.tuner.artifacts import SearchReport
    from tfx_components.tuner.component import Tuner
    from tfx_components.tuner.search_config import SearchConfig

_HOMES = {
    "SearchConfig": "tfx_components.tuner.search_config",
    "SearchReport": "tfx_components.tuner.artifacts",
    "Tuner": "tfx_components.tuner.component",
}

__all__ = ["SearchConfig", "SearchReport", "Tuner"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tfx_components' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tfx":
            raise
        raise ImportError(
            'tfx_components needs TFX, which is not installed. Run: pip install "kt_plus[tfx]"'
        ) from error


def __dir__() -> list[str]:
    return sorted(__all__)
