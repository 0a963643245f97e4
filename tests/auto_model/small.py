"""A space whose networks are built and trained in a second or two."""

from __future__ import annotations

from typing import Any

from kt_plus.search_spaces import ChainSpace


def small(*args: Any, **kwargs: Any) -> ChainSpace:
    """Chains of a single slot."""
    if kwargs["data"] != "table":
        kwargs["reductions"] = 0
    return ChainSpace(*args, slots=1, widths=[8], weight_decay=0.0, optimizer="adam", **kwargs)
