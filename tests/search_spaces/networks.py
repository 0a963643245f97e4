"""Spaces that the tests share, small enough to build in a moment."""

from __future__ import annotations

from functools import partial

import numpy as np

from kt_plus.search_spaces import BranchingSpace, CellSpace, ChainSpace

NARROW = {"widths": (4, 8)}
CELLS = {"cells": 1, "width": 4, "reductions": 1}
SPACES = {
    "chain-image": partial(ChainSpace, (8, 8, 1), 3, slots=4, **NARROW),
    "chain-table": partial(ChainSpace, (5,), 3, data="table", **NARROW),
    "chain-sequence": partial(ChainSpace, (8, 2), 3, data="sequence", **NARROW),
    "branching-image": partial(BranchingSpace, (8, 8, 1), 3, blocks=3, reductions=1, **NARROW),
    "branching-table": partial(BranchingSpace, (5,), 3, data="table", blocks=3, **NARROW),
    "darts-image": partial(CellSpace, (8, 8, 1), 3, preset="darts", **CELLS),
    "darts-table": partial(CellSpace, (5,), 3, data="table", preset="darts", width=4),
    "nasnet-image": partial(CellSpace, (8, 8, 1), 3, preset="nasnet", **CELLS),
    "nasnet-table": partial(CellSpace, (5,), 3, data="table", preset="nasnet", width=4),
    "nas_bench_201-image": partial(CellSpace, (8, 8, 1), 3, preset="nas_bench_201", **CELLS),
    "nas_bench_201-table": partial(CellSpace, (5,), 3, data="table", preset="nas_bench_201"),
}


def data_of(space, number: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Random examples of what a space takes, and of what it gives."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(number, *space.input_shape)).astype("float32")
    if space.task == "classification":
        return x, rng.integers(space.num_outputs, size=number)
    y = rng.normal(size=(number, space.num_outputs))
    return x, y if space.task == "regression" else (y > 0).astype("float32")
