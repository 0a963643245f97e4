"""An architecture as an immutable graph: measured, hashed, drawn, and built into a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras

from kt_plus.search_spaces import operations
from kt_plus.search_spaces.isomorphism import canonical_hash
from kt_plus.search_spaces.layer_kinds import Shape
from kt_plus.search_spaces.operations import MERGES, OPERATIONS, SOURCES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Setting = int | float | str | bool | tuple[int | None, ...] | None


@dataclass(frozen=True)
class Node:
    """One operation of an architecture.

    Args:
        name: Its name, from which those of its Keras layers follow.
        operation: What it does: one of `kt_plus.search_spaces.OPERATIONS`, or "input".
        settings: Its settings, such as `(("filters", 32), ("kernel", 3))`, sorted by name.
    """

    name: str
    operation: str
    settings: tuple[tuple[str, Setting], ...] = ()

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings)
        return f"{self.name}: {self.operation}({settings})"


@dataclass(frozen=True)
class Graph:
    """The architecture of a network: operations, and which of them feeds which.

    When to use it: a search space returns one for each configuration, `space.graph(hp)`; look at
    it, count its parameters, draw it or compare it before anything is trained.

    Args:
        nodes: The operations, each after those that feed it. The first is the input, the last
            the output.
        edges: Pairs of names, from a node to one that it feeds.

    Raises:
        ValueError: If names repeat, an operation is unknown, an edge leads backwards or from or
            to nowhere, a node has no input, or shapes to be added differ.

    Example:

    ```python
    space = kt_plus.search_spaces.ChainSpace((28, 28, 1), 10)
    graph = space.graph(keras_tuner.HyperParameters())
    graph.parameters                   # 298410, before anything is built
    graph.plot().figure.savefig("network.png")
    model = graph.build()              # a keras.Model, not compiled
    ```
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        places = {node.name: place for place, node in enumerate(self.nodes)}
        if len(places) < len(self.nodes):
            raise ValueError(f"Nodes of one graph need names of their own; got {list(places)}.")
        for source, target in self.edges:
            if not places.get(source, len(places)) < places.get(target, -1):
                raise ValueError(
                    f"The edge from {source!r} to {target!r} was given. Expected an edge from a "
                    "node of the graph to a later one: put each node after those that feed it."
                )
        for place, node in enumerate(self.nodes):
            _check_node(node, len(self.inputs[node.name]), place)

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {self.parameters:,} parameters)"

    def __str__(self) -> str:
        fed_by = (f" <- {', '.join(i)}" if (i := self.inputs[n.name]) else "" for n in self.nodes)
        return "\n".join(
            f"{node!r}{source}" for node, source in zip(self.nodes, fed_by, strict=True)
        )

    @cached_property
    def inputs(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the nodes that feed each node."""
        fed_by: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for source, target in self.edges:
            fed_by[target].append(source)
        return {name: tuple(sources) for name, sources in fed_by.items()}

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The output shape of each node, without the batch, told without Keras."""
        return {name: costs[-1].shape for name, costs in self._costs.items()}

    @property
    def parameters(self) -> int:
        """The number of parameters: what Keras's `count_params` says of the model once built."""
        return sum(cost.parameters for costs in self._costs.values() for cost in costs)

    @property
    def trainable_parameters(self) -> int:
        """The same without the moving averages of batch normalization, as papers count."""
        return self.parameters - sum(c.untrained for costs in self._costs.values() for c in costs)

    @property
    def flops(self) -> int:
        """The multiply-adds of one example's way through the network.

        As in the papers of the field, those of convolutions, dense and recurrent layers are
        counted, a multiplication and its addition as one; what `preprocessing` costs is not.

        Raises:
            ValueError: If the length of a sequence, or the size of an image, is unknown.
        """
        return sum(cost.multiply_adds() for costs in self._costs.values() for cost in costs)

    def hash(self) -> str:
        """A string that isomorphic architectures share, and no two others.

        Names, the order of nodes, of edges and of the terms of a sum or of a concatenation do not
        count; sums of sums are one sum. Two graphs of the same hash are the same network.
        """
        return canonical_hash(
            [(node.operation, node.settings) for node in self.nodes],
            [[self._places[source] for source in self.inputs[node.name]] for node in self.nodes],
        )

    def build(self, preprocessing: Callable[[Any], Any] | None = None) -> keras.Model:
        """The network as a functional Keras model, not compiled.

        Args:
            preprocessing: The function that the space was given, for a graph with such a node.

        Raises:
            ValueError: If the graph has such a node, and there is no function.
        """
        tensors: dict[str, Any] = {}
        for node in self.nodes:
            inputs = [tensors[source] for source in self.inputs[node.name]]
            settings = dict(node.settings)
            if node.operation == "input":
                tensors[node.name] = keras.Input(settings["shape"], name=node.name)
            elif node.operation == "preprocessing":
                if preprocessing is None:
                    raise ValueError(
                        "The graph has preprocessing, which is a function and stands in no graph. "
                        "Give it: graph.build(preprocessing=...)."
                    )
                tensors[node.name] = preprocessing(inputs[0])
            else:
                tensors[node.name] = operations.apply(node.operation, settings, node.name, inputs)
        return keras.Model(tensors[self.nodes[0].name], tensors[self.nodes[-1].name])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the network from its input, at the top, to its output.

        Args:
            ax: Where to draw; a new figure, as large as the network needs, by default.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from kt_plus.search_spaces.drawing import draw

        return draw(self, ax)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {node.name: place for place, node in enumerate(self.nodes)}

    @cached_property
    def _costs(self) -> dict[str, list[operations.Cost]]:
        costs: dict[str, list[operations.Cost]] = {}
        for node in self.nodes:
            settings: dict[str, Any] = dict(node.settings)
            if node.operation in SOURCES:
                count = settings.get("parameters", 0)
                untrained = settings.get("untrained", 0)
                own = [operations.Cost(settings["shape"], count, untrained, lambda: 0)]
            else:
                shapes = [costs[source][-1].shape for source in self.inputs[node.name]]
                _check_shapes(node, shapes)
                own = list(operations.costs(node.operation, settings, shapes))
            costs[node.name] = own
        return costs


class Sketch:
    """A graph in the making, to which a search space adds one node after another.

    Args:
        shape: The shape of the input, without the batch.
    """

    def __init__(self, shape: Shape) -> None:
        self.nodes: list[Node] = []
        self.edges: list[tuple[str, str]] = []
        self.shapes: dict[str, Shape] = {}
        self.reduced: dict[str, int] = {}
        self.input = self.add("input", "input", shape=tuple(shape))

    def add(self, name: str, operation: str, *sources: str, **settings: Any) -> str:
        """Adds a node that `sources` feed, and returns its name."""
        self.nodes.append(Node(name, operation, tuple(sorted(settings.items()))))
        self.edges += [(source, name) for source in sources]
        if operation in SOURCES:
            self.shapes[name] = settings["shape"]
        else:
            shapes = [self.shapes[source] for source in sources]
            *_, last = operations.costs(operation, settings, shapes)
            self.shapes[name] = last.shape
        reduced = max((self.reduced[source] for source in sources), default=1)
        self.reduced[name] = reduced * settings.get("stride", 1)
        return name

    def stride(self, source: str, target: str) -> int:
        """The stride from one node's resolution to another's, known though lengths are not."""
        return self.reduced[target] // self.reduced[source]

    def sum(self, name: str, terms: list[str | None]) -> str | None:
        """The sum of what there is of `terms`: a new node for several, `None` for nothing."""
        there = [term for term in terms if term is not None]
        if len(there) < 2:
            return there[0] if there else None
        return self.add(name, "add", *there)

    def channels(self, name: str) -> int:
        """The channels, or features, that a node gives."""
        return self.shapes[name][-1] or 0

    def graph(self) -> Graph:
        """The graph of what the last node depends on."""
        needed = {self.nodes[-1].name}
        for source, target in reversed(self.edges):
            if target in needed:
                needed.add(source)
        nodes = tuple(node for node in self.nodes if node.name in needed)
        return Graph(nodes, tuple(edge for edge in self.edges if edge[1] in needed))


def _check_node(node: Node, inputs: int, place: int) -> None:
    known = node.operation in OPERATIONS or node.operation in SOURCES
    if not known:
        raise ValueError(
            f"Node {node.name!r} has the operation {node.operation!r}. Expected one of "
            f"{[*SOURCES, *OPERATIONS]}."
        )
    if (node.operation == "input") != (place == 0):
        raise ValueError(
            f"Node {node.name!r}, at place {place}, has the operation {node.operation!r}. A graph "
            "has one input, and it is the first node."
        )
    least = 0 if place == 0 else 1
    if inputs < least or (inputs > 1 and node.operation not in MERGES):
        raise ValueError(
            f"Node {node.name!r}, a {node.operation}, is fed by {inputs} nodes. Expected "
            + ("none." if place == 0 else "one; only 'add' and 'concat' take several.")
        )


def _check_shapes(node: Node, shapes: list[Shape]) -> None:
    alike = {shape if node.operation == "add" else shape[:-1] for shape in shapes}
    if len(alike) > 1:
        raise ValueError(
            f"Node {node.name!r}, of the operation {node.operation!r}, is fed by the shapes "
            f"{shapes}. Expected equal ones"
            + (" but for the channels." if node.operation == "concat" else ".")
        )
