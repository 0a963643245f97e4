"""What the integration tests share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """Keras trains step by step: the tracing of a graph takes longer than our few steps."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    gc.collect()
    gc.freeze()  # Keras Tuner collects garbage before each build; TensorFlow's million objects stay
    yield
    tf.config.run_functions_eagerly(False)
