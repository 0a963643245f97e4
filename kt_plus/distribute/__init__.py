"""Parallel search: processes of one machine, or Ray on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kt_plus.distribute.parallel import search

__all__ = ["search"]


def __getattr__(name: str) -> Any:
    if name == "search":
        from kt_plus.distribute.parallel import search

        return search
    raise AttributeError(f"module 'kt_plus.distribute' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
