"""Which layer of the parent each layer of the child goes on from: by name, then by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kt_plus.performance_estimation.inheritance.network import Layer, Network

SAME_NAME = 1000.0
"""What a name counts beside all other likeness."""


def matched(
    child: Network, parent: Network, by_name: bool = True, by_shape: bool = True
) -> Mapping[str, str]:
    """The parent's layer for each of the child's layers with weights that has one.

    Layers of the same kind that their user has given the same name belong together. The rest is
    aligned in order, as two texts are: as many layers of the same kind as possible, preferring
    those alike in shape and settings, and those that take the same input; a layer of the output
    only with one of the same output.

    Args:
        child: The network that inherits.
        parent: The network that it inherits from.
        by_name: Whether names count, which mislead where layers were moved to other places.
        by_shape: Whether shapes and settings count at all; otherwise what is new comes late.

    Returns:
        The names of parent's layers, by those of the child's.
    """
    ours, theirs = _ordered(child), _ordered(parent)
    likeness = np.array(
        [[_likeness(a, b, child, parent, by_name) for b in theirs] for a in ours], dtype=float
    ).reshape(len(ours), len(theirs))
    if not by_shape:
        likeness = np.where(likeness < SAME_NAME, np.sign(likeness), likeness)
    pairs = {ours[i].name: theirs[j].name for i, j in _aligned(likeness)}
    for a in ours if by_name else ():  # names whose order has changed
        if a.name not in pairs and any(_same_name(a, b) for b in theirs):
            pairs = {x: y for x, y in pairs.items() if y != a.name} | {a.name: a.name}
    return pairs


def _ordered(network: Network) -> list[Layer]:
    """The layers with weights in the order of their first calls."""
    names = dict.fromkeys(call.layer for call in network.calls)
    return [network.layers[name] for name in names if network.layers[name].weights]


def _same_name(a: Layer, b: Layer) -> bool:
    return a.named and b.named and a.name == b.name and a.kind == b.kind


def _likeness(a: Layer, b: Layer, child: Network, parent: Network, by_name: bool) -> float:
    """How alike two layers are; 0 if they cannot belong together."""
    if a.kind != b.kind:
        return 0.0
    if by_name and _same_name(a, b):
        return SAME_NAME
    if child.heads.get(a.name) != parent.heads.get(b.name):
        return 0.0
    ours = {name: array.shape for name, array in a.weights.items()}
    theirs = {name: array.shape for name, array in b.weights.items()}
    first = child.starts.get(a.name, -1) == parent.starts.get(b.name, -2)
    like = 0.5 * (ours == theirs) + 0.5 * (a.key == b.key) + 0.5 * _near(ours, theirs)
    return 1.0 + first + like


def _near(ours: Mapping[str, tuple[int, ...]], theirs: Mapping[str, tuple[int, ...]]) -> float:
    """How near the sizes of the weights' axes are, from 0 to 1."""
    shapes = [(ours[name], theirs[name]) for name in ours if name in theirs]
    axes = [zip(a, b, strict=True) for a, b in shapes if len(a) == len(b)]
    sizes = [min(m, n) / max(m, n, 1) for pairs in axes for m, n in pairs]
    return float(np.mean(sizes)) if sizes else 0.0


def _aligned(likeness: np.ndarray) -> Sequence[tuple[int, int]]:
    """The alignment in order with the greatest likeness, the earliest among equals.

    Needleman and Wunsch's, without a penalty for gaps.
    """
    rows, columns = likeness.shape
    best = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        for j in range(columns):
            pair = best[i, j] + likeness[i, j] if likeness[i, j] > 0 else 0.0
            best[i + 1, j + 1] = max(best[i, j + 1], best[i + 1, j], pair)
    pairs, i, j = [], rows, columns
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
