"""Spaces that the tests share, small enough to train in a second."""

from __future__ import annotations

import numpy as np

from kt_plus.search_spaces import ChainSpace

SPACES = {
    "chain-image": lambda **options: ChainSpace((8, 8, 1), 3, widths=(4, 8), slots=4, **options),
    "chain-table": lambda **options: ChainSpace((5,), 3, data="table", widths=(4, 8), **options),
    "chain-sequence": lambda **options: ChainSpace(
        (8, 2), 3, data="sequence", widths=(4, 8), **options
    ),
}


def data_of(space, number: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Random examples of what a space takes, and of what it gives."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(number, *space.input_shape)).astype("float32")
    if space.task == "classification":
        return x, rng.integers(space.num_outputs, size=number)
    y = rng.normal(size=(number, space.num_outputs))
    return x, y if space.task == "regression" else (y > 0).astype("float32")
