"""Graphs: their checks, their hashes and their pictures."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest

from kt_plus.search_spaces import CellSpace, ChainSpace, Graph, Node, Sketch
from kt_plus.search_spaces.base import hyperparameters
from tests.search_spaces.networks import SPACES

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


def sketch(*nodes, swap=False):
    """A graph of `(name, operation, sources, settings)`, between an input and an output."""
    drawn = Sketch((4, 4, 2))
    for name, operation, sources, settings in nodes:
        drawn.add(name, operation, *(reversed(sources) if swap else sources), **settings)
    last = drawn.nodes[-1].name
    drawn.add("head", "output", drawn.add("pool", "global_pool", last), units=3, activation=None)
    return drawn.graph()


def conv(name, source, kernel=3):
    return (name, "conv", [source], {"filters": 2, "kernel": kernel})


def add(name, *sources):
    return (name, "add", list(sources), {})


def test_names_and_orders_do_not_change_the_hash():
    one = sketch(conv("a", "input"), conv("b", "input", 5), conv("c", "a"), add("d", "b", "c"))
    other = sketch(conv("z", "input", 5), conv("y", "input"), conv("x", "y"), add("w", "x", "z"))
    assert one != other
    assert one.hash() == other.hash()
    for operation in ("add", "concat"):
        nodes = [conv("a", "input"), conv("b", "input", 5), ("c", operation, ["a", "b"], {})]
        assert sketch(*nodes).hash() == sketch(*nodes, swap=True).hash()


def test_sums_of_sums_are_sums():
    branches = [conv("a", "input"), conv("b", "input"), conv("c", "input", 1)]
    nested = sketch(*branches, add("d", "a", "b"), add("e", "d", "c"))
    assert nested.hash() == sketch(*branches, add("e", "c", "b", "a")).hash()


def test_different_networks_have_different_hashes():
    alike = [conv("a", "input"), conv("b", "input")]
    graphs = [
        sketch(conv("a", "input")),
        sketch(conv("a", "input", 5)),
        sketch(conv("a", "input"), conv("b", "a")),
        sketch(*alike, add("c", "a", "b")),
        sketch(conv("a", "input"), add("c", "a", "a")),  # one state twice is not two alike
        sketch(*alike, ("c", "concat", ["a", "b"], {})),
        sketch(*alike, conv("c", "a"), conv("d", "a"), add("e", "b", "c", "d")),
        sketch(*alike, conv("c", "a"), conv("d", "b"), add("e", "b", "c", "d")),
    ]
    assert len({graph.hash() for graph in graphs}) == len(graphs)


def test_equal_hashes_are_equal_structures_as_brute_force_finds():
    space = CellSpace((4, 4, 2), 3, preset="nas_bench_201", cells=1, width=2, reductions=0)
    operations = ("none", "skip_connect", "nor_conv_3x3")
    names = [d.name for d in space.architecture.dimensions if d.name.startswith("edge")]
    classes: dict[str, list[Graph]] = defaultdict(list)
    for chosen in itertools.product(operations, repeat=len(names)):
        graph = space.graph(hyperparameters(dict(zip(names, chosen, strict=True))))
        classes[graph.hash()].append(graph)
    assert sum(map(len, classes.values())) == 3**6
    for first, *others in classes.values():
        assert all(isomorphic(first, other) for other in others)
    for one, other in itertools.combinations([graphs[0] for graphs in classes.values()], 2):
        assert not isomorphic(one, other)


def terms(graph: Graph) -> dict[str, Counter]:
    """What is added up in front of each node that is not a sum."""
    summed: dict[str, Counter] = {}
    operation = {node.name: node.operation for node in graph.nodes}
    for node in graph.nodes:
        total: Counter = Counter()
        for source in graph.inputs[node.name]:
            total += summed[source] if operation[source] == "add" else Counter([source])
        summed[node.name] = total
    return {name: total for name, total in summed.items() if operation[name] != "add"}


def isomorphic(one: Graph, other: Graph) -> bool:
    """Whether some bijection of nodes keeps operations, settings and edges, by trying them all."""
    first, second = terms(one), terms(other)
    kinds = [
        {n.name: (n.operation, n.settings) for n in g.nodes if n.operation != "add"}
        for g in (one, other)
    ]
    if Counter(kinds[0].values()) != Counter(kinds[1].values()):
        return False
    groups = [
        [[n for n, kind in kinds[g].items() if kind == each] for each in set(kinds[0].values())]
        for g in (0, 1)
    ]
    for images in itertools.product(*(itertools.permutations(group) for group in groups[1])):
        image = dict(zip(itertools.chain(*groups[0]), itertools.chain(*images), strict=True))
        if all(
            Counter({image[source]: n for source, n in first[name].items()}) == second[image[name]]
            for name in first
        ):
            return True
    return False


def test_a_graph_cannot_be_changed():
    graph = sketch(conv("a", "input"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.nodes = ()
    assert repr(graph) == f"Graph(4 nodes, {graph.parameters} parameters)"
    assert "a: conv(filters=2, kernel=3) <- input" in str(graph)


INPUT = Node("input", "input", (("shape", (4,)),))
DENSE = Node("a", "dense", (("units", 3),))


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ((INPUT, DENSE, DENSE), (("input", "a"),), "names of their own"),
        ((INPUT, DENSE), (("a", "input"),), "to a later one"),
        ((INPUT, DENSE), (("input", "b"),), "to a later one"),
        ((INPUT, DENSE), (), "is fed by 0 nodes"),
        ((DENSE,), (), "has one input, and it is the first"),
        ((INPUT, DENSE, Node("b", "relu")), (("input", "a"), ("a", "b")), "Expected one of"),
        (
            (INPUT, DENSE, Node("b", "dense", (("units", 3),))),
            (("input", "a"), ("a", "b"), ("input", "b")),
            "only 'add' and 'concat'",
        ),
    ],
)
def test_what_is_no_graph_is_refused(nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        Graph(nodes, edges)


def test_shapes_that_cannot_be_added_are_refused():
    nodes = (INPUT, DENSE, Node("b", "add"))
    graph = Graph(nodes, (("input", "a"), ("a", "b"), ("input", "b")))
    with pytest.raises(ValueError, match=r"fed by the shapes \[\(3,\), \(4,\)\]"):
        _ = graph.parameters


@pytest.mark.parametrize("name", SPACES)
def test_no_label_of_a_picture_covers_another(name):
    space = SPACES[name]()
    values = space.architecture.draw(np.random.default_rng(1))
    graph = space.graph(hyperparameters(values))
    figure = graph.plot().figure
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert len(texts) == len(graph.nodes)
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    width, height = figure.canvas.get_width_height()
    assert all(b.x0 >= 0 and b.x1 <= width and b.y0 >= 0 and b.y1 <= height for b in boxes)
    matplotlib.pyplot.close(figure)


def test_a_picture_can_share_a_figure():
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2)
    size = tuple(figure.get_size_inches())
    graph = ChainSpace((8, 8, 1), 3).graph(hyperparameters({}))
    assert graph.plot(axes[1]) is axes[1]
    assert not axes[0].texts
    assert tuple(figure.get_size_inches()) == size
    pyplot.close(figure)
