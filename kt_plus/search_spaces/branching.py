"""Branching networks: blocks of several branches, and skip connections between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kt_plus.performance_estimation import fidelity
from kt_plus.search_spaces.arguments import checked_count, checked_operations, checked_widths
from kt_plus.search_spaces.base import ArchitectureSpace, Move, Values
from kt_plus.search_spaces.blocks import BLOCKS, IDENTITY, identity, shortcut
from kt_plus.search_spaces.graph import Sketch
from kt_plus.search_spaces.stages import checked_reductions, stages

NONE = "none"

DEFAULTS: dict[str, tuple[tuple[str, ...], int, tuple[int, ...]]] = {
    "image": (("conv_3", "conv_5", "sep_conv_3", "max_pool", IDENTITY), 5, (16, 32, 64)),
    "table": (("dense_relu", "dense_gelu", "dense_tanh", IDENTITY), 4, (32, 64, 128)),
}
"""For each kind of data the operations, the number of blocks and the widths by default."""


class BranchingSpace(ArchitectureSpace):
    """Networks of blocks with parallel branches, and of skip connections between blocks.

    When to use it: where chains are too narrow a family, and the whole network is to be searched
    rather than a cell of it. With one branch it is a chain with skip connections.

    Source: Zoph and Le, ICLR 2017 (arXiv:1611.01578), section 3.3: an anchor point at each
    block says which earlier ones it takes up. Deviations: what is taken up is added, by a 1x1
    convolution where shapes differ, rather than concatenated, so that a new connection leaves the
    width as it is; a block may have several branches, which are added too; each block takes up
    the one before it.

    Args:
        input_shape: The shape of one example.
        num_outputs: The number of classes, of labels or of regressed values; 1 for "binary".
        task: "classification", "binary", "multi_label" or "regression".
        data: "image" or "table".
        operations: What a branch may be, besides "none": those of `ChainSpace` for such data.
            The first is the default of first branches.
        blocks: The number of blocks, all stages together: 5, or 4 for tables, by default. A
            block whose branches are all "none" is not there.
        branches: The number of branches of each block.
        widths: The numbers of filters or units of the first stage to search.
        reductions: How often an image is halved. As often, 4 times at most, as leaves 4 pixels,
            by default.
        **kwargs: `preprocessing`, `optimizer`, `learning_rate`, `dropout`, `weight_decay`,
            `max_parameters` and `max_flops`: see `kt_plus.search_spaces.ArchitectureSpace`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    space = kt_plus.search_spaces.BranchingSpace((28, 28, 1), 10, branches=3)
    tuner = kt_plus.EvolutionarySearch(space, "val_accuracy", max_trials=50)
    ```
    """

    def __init__(
        self,
        input_shape: tuple[int | None, ...],
        num_outputs: int = 1,
        task: str = "classification",
        data: str = "image",
        *,
        operations: Sequence[str] | None = None,
        blocks: int | None = None,
        branches: int = 2,
        widths: Sequence[int] | None = None,
        reductions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, num_outputs, task, data, **kwargs)
        usual = DEFAULTS[data]
        self.operations = checked_operations(
            operations or usual[0], data, (IDENTITY, *BLOCKS[data])
        )
        self.blocks = checked_count("blocks", usual[1] if blocks is None else blocks, 1)
        self.branches = checked_count("branches", branches, 1)
        self.widths = checked_widths(widths or usual[2])
        halved = checked_reductions(reductions, data, self.features_shape)
        self.stages = stages("blocks", self.blocks, halved, reduced_first=False)
        self._check_bounds()

    def body(self, hp: Any, sketch: Sketch, source: str, share: float) -> str:
        width = self._width(hp, self._ask_width(hp, self.widths), share)
        if self.data == "table":
            anchors = [sketch.add("stem", "dense", source, units=width)]
        else:
            anchors = [sketch.add("stem", "conv", source, filters=width, kernel=3)]
        for stage in self.stages:
            shown = fidelity.cells(hp, len(stage.places))
            for place, block in enumerate(stage.places):
                taken = [a for a in range(block - 1) if hp.Boolean(_skip(block, a))]
                held = [self._held(hp, block, b) for b in range(1, self.branches + 1)]
                size = (width * stage.widening, stage.stride if place == 0 else 1)
                end = anchors[-1]
                if place < shown:
                    end = self._add_block(sketch, f"block{block}", anchors, taken, held, *size)
                anchors.append(end)
        return anchors[-1]

    @property
    def moves(self) -> tuple[Move, ...]:
        return (self._change, self._toggle, self._rewire, self._insert, self._remove)

    def _held(self, hp: Any, block: int, branch: int) -> str:
        default = self.operations[0] if branch == 1 else NONE
        return str(hp.Choice(_branch(block, branch), [NONE, *self.operations], default=default))

    def _add_block(
        self, sketch: Sketch, name: str, anchors: list[str], taken: list[int], held: list[str],
        width: int, stride: int,
    ) -> str:  # fmt: skip
        there = [(branch, each) for branch, each in enumerate(held, 1) if each != NONE]
        if not there:
            return identity(sketch, name, anchors[-1], width, stride)
        source = self._take_up(sketch, name, anchors, taken)
        ends: list[str | None] = []
        for branch, operation in there:
            block = BLOCKS[self.data].get(operation, shortcut)
            ends.append(block(sketch, f"{name}_branch{branch}", source, width, stride))
        return str(sketch.sum(name, ends))

    def _take_up(self, sketch: Sketch, name: str, anchors: list[str], taken: list[int]) -> str:
        """The sum of the last anchor and of those taken up, at the shape of the last."""
        *_, last = anchors
        terms: list[str | None] = [last]
        for anchor in taken:
            state = anchors[anchor]
            if state not in (last, *(anchors[earlier] for earlier in taken if earlier < anchor)):
                skip, stride = f"{name}_skip{anchor}", sketch.stride(state, last)
                terms.append(shortcut(sketch, skip, state, sketch.channels(last), stride))
        return str(sketch.sum(f"{name}_input", terms))

    def _change(self, values: Values, rng: np.random.Generator) -> Values:
        """Puts another operation, or none, on a branch of a block that is there."""
        branches = [b for block in self._there(values) for b in self._branches(block)]
        return self._other_value(values, branches, rng)

    def _toggle(self, values: Values, rng: np.random.Generator) -> Values:
        """Connects two blocks, or parts them."""
        return self._other_value(values, self._skips(values), rng)

    def _rewire(self, values: Values, rng: np.random.Generator) -> Values:
        """Lets a block take up another earlier one in place of one that it does."""
        skips = self._skips(values)
        ways = [
            (old, new)
            for old in skips
            for new in skips
            if values[old] and not values[new] and old.split("_")[0] == new.split("_")[0]
        ]
        if not ways:
            return values
        old, new = ways[rng.integers(len(ways))]
        return values | {old: False, new: True}

    def _insert(self, values: Values, rng: np.random.Generator) -> Values:
        """Puts a block of one branch where none is; the others keep their layers."""
        there = self._there(values)
        missing = [block for block in range(1, self.blocks + 1) if block not in there]
        if not missing:
            return values
        block = missing[rng.integers(len(missing))]
        return values | {_branch(block, 1): self.operations[rng.integers(len(self.operations))]}

    def _remove(self, values: Values, rng: np.random.Generator) -> Values:
        """Takes a block out; the others keep their layers."""
        there = self._there(values)
        if not there:
            return values
        return values | dict.fromkeys(self._branches(there[rng.integers(len(there))]), NONE)

    def _branches(self, block: int) -> list[str]:
        return [_branch(block, branch) for branch in range(1, self.branches + 1)]

    def _there(self, values: Values) -> list[int]:
        """The blocks that have a branch."""
        blocks = range(1, self.blocks + 1)
        return [b for b in blocks if any(values[name] != NONE for name in self._branches(b))]

    def _skips(self, values: Values) -> list[str]:
        """The possible connections to blocks that are there."""
        return [_skip(b, anchor) for b in self._there(values) for anchor in range(b - 1)]


def _branch(block: int, branch: int) -> str:
    return f"block{block}_branch{branch}"


def _skip(block: int, anchor: int) -> str:
    """The connection to a block from an earlier one, 0 being the stem."""
    return f"block{block}_skip{anchor}"
