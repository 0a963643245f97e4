"""Pictures of graphs: layers of boxes from top to bottom, and lines that pass between them.

Source: Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures", IEEE Trans. SMC 11 (1981): layers by longest path, places for the lines that pass a
layer, and barycentres to untangle. Colours are Okabe and Ito's, which the colour-blind tell apart.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kt_plus.results.plots import new_axes
from kt_plus.search_spaces.operations import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kt_plus.search_spaces.graph import Graph, Node

COLOURS = {
    "convolution": "#56B4E9",
    "dense or recurrent": "#E69F00",
    "pooling": "#009E73",
    "merge": "#F0E442",
    "other": "#DDDDDD",
}
"""A colour for each group of operations; text on it is black."""

GROUPS = {"dense": 1, "output": 1, "gru": 1, "lstm": 1, "add": 3, "concat": 3}

BOX, GAP = 2.0, 0.3
"""The width of a box, and the least distance between two, in inches of a figure of its own."""

ROW, HEIGHT = 0.62, 0.4
"""The distance from one layer to the next, and the height of a box."""

PASSAGE = 0.35
"""The width that a line needs to pass a layer."""

SWEEPS = 8
"""How often the layers are put in the order of their neighbours, down and up again."""

Place = tuple[str, ...]
"""A node, as `(name,)`, or where an edge passes a layer, as `(source, target, layer)`."""


def draw(graph: Graph, ax: Axes | None = None) -> Axes:
    """Draws a graph. See `Graph.plot`."""
    rows = _rows(graph)
    order = _untangled(rows, _lines(graph, rows))
    x, width = _horizontally(order)
    y = {place: -ROW * row for row, places in enumerate(order) for place in places}
    new = ax is None
    ax = new_axes() if ax is None else ax
    size = (width, ROW * len(order) + 0.5)
    if new:
        ax.figure.set_size_inches(*size)  # type: ignore[union-attr]
    _set_limits(ax, width, len(order))
    scale = _scale(ax, size)
    for edge in graph.edges:
        points = [(x[p], y[p]) for p in _way(edge, rows)]
        _draw_line(ax, points, scale)
    for node in graph.nodes:
        _draw_box(ax, graph, node, x[node.name,], y[node.name,], scale)
    ax.set_title(f"{graph.parameters:,} parameters", fontsize=11 * scale)
    return ax


def _rows(graph: Graph) -> dict[str, int]:
    """The layer of each node: the length of the longest way to it from the input."""
    rows: dict[str, int] = {}
    for node in graph.nodes:
        rows[node.name] = max((rows[source] + 1 for source in graph.inputs[node.name]), default=0)
    return rows


def _way(edge: tuple[str, str], rows: dict[str, int]) -> list[Place]:
    """The places that an edge leads through, one a layer."""
    source, target = edge
    passed = range(rows[source] + 1, rows[target])
    return [(source,), *((source, target, str(row)) for row in passed), (target,)]


def _lines(graph: Graph, rows: dict[str, int]) -> list[tuple[Place, Place]]:
    ways = [_way(edge, rows) for edge in dict.fromkeys(graph.edges)]
    return [pair for way in ways for pair in pairwise(way)]


def _untangled(rows: dict[str, int], lines: list[tuple[Place, Place]]) -> list[list[Place]]:
    """The places of each layer from left to right, such that few lines cross."""
    order: list[list[Place]] = [[] for _ in range(max(rows.values()) + 1)]
    for name, row in rows.items():
        order[row].append((name,))
    for place in dict.fromkeys(target for _, target in lines if len(target) > 1):
        order[int(place[2])].append(place)
    near: dict[bool, dict[Place, list[Place]]] = {True: defaultdict(list), False: defaultdict(list)}
    for source, target in lines:
        near[True][target].append(source)
        near[False][source].append(target)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in range(1, len(order)) if down else range(len(order) - 2, -1, -1):
            other = _fractions(order[row - 1 if down else row + 1])
            here = _fractions(order[row])
            means = {p: _mean([other[q] for q in near[down][p]], here[p]) for p in order[row]}
            order[row].sort(key=means.__getitem__)
    return order


def _fractions(places: list[Place]) -> dict[Place, float]:
    return {place: (i + 0.5) / len(places) for i, place in enumerate(places)}


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _horizontally(order: list[list[Place]]) -> tuple[dict[Place, float], float]:
    """Where each place is, its layer centred, and how wide the widest layer is."""
    x: dict[Place, float] = {}
    widest = 0.0
    for places in order:
        room = [BOX + GAP if len(place) == 1 else PASSAGE for place in places]
        left = -sum(room) / 2
        widest = max(widest, sum(room))
        for place, width in zip(places, room, strict=True):
            x[place] = left + width / 2
            left += width
    return x, widest


def _set_limits(ax: Axes, width: float, rows: int) -> None:
    ax.set_xlim(-width / 2, width / 2)
    ax.set_ylim(-ROW * (rows - 1) - ROW / 2, ROW / 2)
    ax.set_axis_off()


def _scale(ax: Axes, size: tuple[float, float]) -> float:
    """By how much smaller than in a figure of its own everything is."""
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    return max(min(box.width / size[0], box.height / size[1], 1.0), 0.05)


def _draw_line(ax: Axes, points: list[tuple[float, float]], scale: float) -> None:
    """A curve through the points, vertical at each of them."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (x, y), *others = points
    vertices, codes = [(x, y - HEIGHT / 2)], [Path.MOVETO]
    for place, (next_x, next_y) in enumerate(others):
        begin = y - HEIGHT / 2
        end = next_y + HEIGHT / 2
        middle = (begin + end) / 2
        vertices += [(x, middle), (next_x, middle), (next_x, end)]
        codes += [Path.CURVE4] * 3
        if place < len(others) - 1:
            vertices.append((next_x, next_y - HEIGHT / 2))
            codes.append(Path.LINETO)
        x, y = next_x, next_y
    path = Path(vertices, codes)
    style: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 8 * scale,
        "linewidth": 1.0 * scale,
    }
    ax.add_patch(
        FancyArrowPatch(path=path, color="#555555", zorder=1, shrinkA=0, shrinkB=0, **style)
    )


def _draw_box(ax: Axes, graph: Graph, node: Node, x: float, y: float, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    shape = graph.shapes[node.name]
    source = graph.inputs[node.name]
    rank = len(graph.shapes[source[0]] if source else shape)
    corner = (x - BOX / 2 + 0.05, y - HEIGHT / 2 + 0.05)
    size = (BOX - 0.1, HEIGHT - 0.1)
    style: dict[str, Any] = {
        "facecolor": _colour(node.operation),
        "edgecolor": "#333333",
        "zorder": 2,
    }
    ax.add_patch(
        FancyBboxPatch(*(corner, *size), boxstyle="round,pad=0.05", linewidth=0.8 * scale, **style)
    )
    words = label(node.operation, dict(node.settings), rank)
    lines = f"{node.name}\n{words}" if node.name != node.operation else words
    ax.text(x, y, lines, ha="center", va="center", fontsize=_font(lines) * scale, zorder=3)


def _font(text: str) -> float:
    """The size in points at which the longest line fits into a box."""
    longest = max(map(len, text.split("\n")))
    return min(8.5, 72 * (BOX - 0.1) / (0.56 * longest))


def _colour(operation: str) -> str:
    names = list(COLOURS)
    if "conv" in operation:
        return COLOURS[names[0]]
    if "pool" in operation:
        return COLOURS[names[2]]
    return COLOURS[names[GROUPS.get(operation, 4)]]
