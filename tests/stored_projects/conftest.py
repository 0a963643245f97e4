"""Keras trains step by step here too."""

from __future__ import annotations

from tests.integration.conftest import eager

__all__ = ["eager"]
