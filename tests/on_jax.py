"""Programs that run with Keras on JAX, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def printed(*arguments: str) -> str:
    """What Python prints, run with these arguments and Keras on JAX; skips where JAX is not."""
    pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
