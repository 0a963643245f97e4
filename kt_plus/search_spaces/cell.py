"""Cells: a small graph of operations, repeated in a skeleton that is given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from itertools import combinations, combinations_with_replacement, product
from typing import Any, NamedTuple

from kt_plus.engine.history import Value
from kt_plus.performance_estimation import fidelity
from kt_plus.search_spaces.arguments import checked_count
from kt_plus.search_spaces.base import ArchitectureSpace, Values, hyperparameters
from kt_plus.search_spaces.blocks import dense
from kt_plus.search_spaces.graph import Sketch
from kt_plus.search_spaces.stages import checked_reductions

MOST_REDUCTIONS = 2
"""How many reductions there are at most by default, as in the papers on images of 32 pixels."""

Operation = Callable[[Sketch, str, str, int, int], str | None]
"""Adds an operation on an edge of a cell; `None` where nothing passes the edge."""


def _none(sketch: Sketch, name: str, source: str, width: int, stride: int) -> None:
    """Nothing passes."""


def _skip(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """What comes in goes out; a reduction halves it by a 1x1 convolution."""
    if stride == 1:
        return source
    return sketch.add(name, "relu_conv", source, filters=width, kernel=1, stride=stride)


def _conv(operation: str, kernel: int) -> Operation:
    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        return sketch.add(name, operation, source, filters=width, kernel=kernel, stride=stride)

    return add


def _pool(operation: str, kernel: int) -> Operation:
    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        return sketch.add(name, operation, source, kernel=kernel, stride=stride)

    return add


EDGES: dict[str, Operation] = {
    "none": _none,
    "skip_connect": _skip,
    "nor_conv_1x1": _conv("relu_conv", 1),
    "nor_conv_3x3": _conv("relu_conv", 3),
    "sep_conv_3x3": _conv("relu_separable_conv", 3),
    "sep_conv_5x5": _conv("relu_separable_conv", 5),
    "sep_conv_7x7": _conv("relu_separable_conv", 7),
    "dil_conv_3x3": _conv("relu_dilated_conv", 3),
    "dil_conv_5x5": _conv("relu_dilated_conv", 5),
    "conv_1x3_3x1": _conv("relu_factorized_conv", 3),
    "conv_1x7_7x1": _conv("relu_factorized_conv", 7),
    "avg_pool_3x3": _pool("avg_pool", 3),
    "max_pool_3x3": _pool("max_pool", 3),
    "max_pool_5x5": _pool("max_pool", 5),
    "max_pool_7x7": _pool("max_pool", 7),
    "dense_relu": dense("relu"),
    "dense_gelu": dense("gelu"),
    "dense_tanh": dense("tanh"),
}
"""The operations on the edges of cells, by the names that the benchmarks give them."""

NASNET = (
    "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3",
    "conv_1x3_3x1", "conv_1x7_7x1", "nor_conv_1x1", "nor_conv_3x3",
    "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7",
)  # fmt: skip
DARTS = (
    "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
    "max_pool_3x3", "avg_pool_3x3",
)  # fmt: skip
NAS_BENCH_201 = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
TABLE = ("skip_connect", "dense_relu", "dense_gelu", "dense_tanh")


class Preset(NamedTuple):
    """A kind of cell.

    Args:
        operations: What an edge may do, for images.
        tables: The same for tables.
        nodes: How many sums of edges a cell has.
        pairs: The pairs of earlier states that a node may add; `None` if it adds all of them.
        output: The nodes that make the cell's output: "all", "unused" (by others) or "last".
    """

    operations: tuple[str, ...]
    tables: tuple[str, ...]
    nodes: int
    pairs: Callable[..., Any] | None
    output: str


PRESETS = {
    "nasnet": Preset(NASNET, TABLE, 5, combinations_with_replacement, "unused"),
    "darts": Preset(DARTS, TABLE, 4, combinations, "all"),
    "nas_bench_201": Preset(NAS_BENCH_201, ("none", *TABLE), 3, None, "last"),
}


class CellSpace(ArchitectureSpace):
    """Cells: a small graph of operations that is searched, and repeated in a fixed skeleton.

    When to use it: to find something that transfers: cells found in a network of few and narrow
    ones (`kt_plus.fidelity.Cells`, `Width`) are stacked higher afterwards.

    Source, and deviations: `"nasnet"`: Zoph et al., CVPR 2018 (arXiv:1707.07012), a normal and a
    reduction cell of five sums of two operations each, out of 13; states are added, not
    concatenated, and no path is dropped. `"darts"`: Liu, Simonyan and Yang, ICLR 2019
    (arXiv:1806.09055), four sums of two operations, out of 7, on different states: what its search
    ends in, without "none". `"nas_bench_201"`: Dong and Yang, ICLR 2020 (arXiv:2001.00326), one
    cell of six edges, each with one of 5 operations: 15,625 cells; with `cells=5` and images of
    32 pixels, parameters and FLOPs are those of the benchmark. In each a 1x1 convolution with a
    stride stands for what DARTS calls factorized reduction.

    Args:
        input_shape: The shape of one example.
        num_outputs: The number of classes, of labels or of regressed values; 1 for "binary".
        task: "classification", "binary", "multi_label" or "regression".
        data: "image", or "table", whose edges are dense layers or skip.
        preset: "darts", "nasnet" or "nas_bench_201".
        cells: The number of normal cells of each stage. Papers have 2 where they search, and
            5 or 6 in the end.
        width: The number of filters, or of units, of each edge in the first stage.
        reductions: How often an image is halved, the width being doubled. Twice, or as often as
            leaves 4 pixels, by default.
        **kwargs: `preprocessing`, `optimizer`, `learning_rate`, `dropout`, `weight_decay`,
            `max_parameters` and `max_flops`: see `kt_plus.search_spaces.ArchitectureSpace`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    space = kt_plus.search_spaces.CellSpace((32, 32, 3), 10, preset="nas_bench_201", cells=5)
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
        preset: str = "darts",
        cells: int = 2,
        width: int = 16,
        reductions: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, num_outputs, task, data, **kwargs)
        if preset not in PRESETS:
            raise ValueError(
                f"preset={preset!r} was given. Expected one of {', '.join(map(repr, PRESETS))}."
            )
        self.preset = preset
        self._cell = PRESETS[preset]
        self.operations = self._cell.tables if data == "table" else self._cell.operations
        self.cells = checked_count("cells", cells, 1)
        self.width = checked_count("width", width, 1)
        number = checked_reductions(reductions, data, self.features_shape)
        self.reductions = min(number, MOST_REDUCTIONS) if reductions is None else number
        self._check_bounds()

    def body(self, hp: Any, sketch: Sketch, source: str, share: float) -> str:
        width = self._width(hp, self.width, share)
        states = [self._stem(sketch, source, width)] * 2
        for stage in range(self.reductions + 1):
            here = width * 2**stage
            if stage > 0:
                states = self._reduce(hp, sketch, f"reduction{stage}", states, here)
            for cell in range(1, fidelity.cells(hp, self.cells) + 1):
                name = f"stage{stage + 1}_cell{cell}"
                states = self._add_cell(hp, sketch, name, "normal", states, here, 1)
        if self._cell.pairs is None and self.data == "image":
            return sketch.add("last", "bn_relu", states[-1])
        return states[-1]

    def smallest(self) -> Values:
        values = self.architecture.defaults()
        for name, value in values.items():
            if value in self.operations:  # a stride is free in pooling only
                reduced = name.startswith("reduction") and self.data == "image"
                values[name] = "max_pool_3x3" if reduced else self.operations[0]
            elif name.endswith("inputs"):  # a chain of states leaves one output
                latest = int(name.split("_")[1]) - 1
                values[name] = self._pairs(latest + 1)[-1]
        # Where a state may be taken twice, a cell without one of its inputs is smaller.
        firsts = [name for name in values if name.endswith("_2_inputs")]
        ways = product(self._pairs(2), repeat=len(firsts)) if firsts else [()]
        return min((values | dict(zip(firsts, way, strict=True)) for way in ways), key=self._size)

    def _hash(self, values: Mapping[str, Value]) -> str:
        """That of the smallest network in which each kind of cell has the inputs that it has."""
        small = copy.copy(self)
        small.reductions = min(self.reductions, 1)
        small.cells = min(self.cells, 1 if small.reductions else 2)
        return small._network(hyperparameters(values), 1.0).hash()

    def _stem(self, sketch: Sketch, source: str, width: int) -> str:
        if self.data == "table":
            return sketch.add("stem", "dense", source, units=width, activation=None)
        width = width if self._cell.pairs is None else 3 * width
        return sketch.add("stem", "conv", source, filters=width, kernel=3, activation=None)

    def _reduce(
        self, hp: Any, sketch: Sketch, name: str, states: list[str], width: int
    ) -> list[str]:
        """A cell that halves the image; that of NAS-Bench-201 is a fixed residual block."""
        if self._cell.pairs is not None:
            return self._add_cell(hp, sketch, name, "reduction", states, width, 2)
        settings: dict[str, Any] = {"filters": width, "kernel": 3}
        first = sketch.add(f"{name}_first", "relu_conv", states[-1], stride=2, **settings)
        second = sketch.add(f"{name}_second", "relu_conv", first, stride=1, **settings)
        halved = sketch.add(f"{name}_pool", "avg_pool", states[-1], kernel=2, stride=2)
        short = sketch.add(f"{name}_shortcut", "bare_conv", halved, filters=width, kernel=1)
        return [states[-1], sketch.add(f"{name}_add", "add", short, second)]

    def _add_cell(
        self, hp: Any, sketch: Sketch, name: str, kind: str, states: list[str], width: int,
        stride: int,
    ) -> list[str]:  # fmt: skip
        if self._cell.pairs is None:
            return [states[-1], self._complete_cell(hp, sketch, name, states[-1], width)]
        inner = [
            self._prepare(sketch, f"{name}_input{place}", state, states[-1], width)
            for place, state in enumerate(states)
        ]
        used: set[int] = set()
        for node in range(len(states), len(states) + self._cell.nodes):
            terms = []
            for end, (earlier, operation) in zip("ab", self._pair(hp, kind, node), strict=True):
                used.add(earlier)
                step = stride if earlier < len(states) else 1
                edge = f"{name}_node{node}{end}"
                terms.append(EDGES[operation](sketch, edge, inner[earlier], width, step))
            inner.append(str(sketch.sum(f"{name}_node{node}", terms)))
        unused = self._cell.output == "unused"
        own = range(len(states), len(inner))
        ends = [inner[n] for n in own if not (unused and n in used)]
        joined = sketch.add(name, "concat", *ends) if len(ends) > 1 else ends[0]
        return [states[-1], joined]

    def _complete_cell(self, hp: Any, sketch: Sketch, name: str, source: str, width: int) -> str:
        """A cell in which each node adds an edge from every earlier one."""
        inner: list[str | None] = [source]
        for node in range(1, self._cell.nodes + 1):
            terms = []
            for earlier, state in enumerate(inner):
                operation = hp.Choice(f"edge_{earlier}_{node}", list(self.operations))
                if state is not None:
                    edge = f"{name}_edge{earlier}{node}"
                    state = EDGES[operation](sketch, edge, state, width, 1)
                terms.append(state)
            inner.append(sketch.sum(f"{name}_node{node}", terms))
        return inner[-1] or sketch.add(f"{name}_zero", "zero", source)

    def _pair(self, hp: Any, kind: str, node: int) -> list[tuple[int, str]]:
        """The two states that a node adds, and the operations on the way."""
        chosen = str(hp.Choice(f"{kind}_{node}_inputs", self._pairs(node))).split(",")
        operations = [hp.Choice(f"{kind}_{node}{end}", list(self.operations)) for end in "ab"]
        return [(int(state), str(each)) for state, each in zip(chosen, operations, strict=True)]

    def _pairs(self, states: int) -> list[str]:
        """The pairs of so many states that a node may add."""
        return [f"{a},{b}" for a, b in self._cell.pairs(range(states), 2)]  # type: ignore[misc]

    def _prepare(self, sketch: Sketch, name: str, state: str, latest: str, width: int) -> str:
        """An input of a cell, at the cell's width and at the resolution of the latest one."""
        if self.data == "table":
            return sketch.add(name, "dense", state, units=width, activation=None)
        stride = sketch.stride(state, latest)
        return sketch.add(name, "relu_conv", state, filters=width, kernel=1, stride=stride)
