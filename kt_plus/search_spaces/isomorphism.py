"""A hash that isomorphic graphs of operations share: canonical labelling by refinement.

Source: colour refinement, and individualization of one node where it leaves several alike; McKay
and Piperno, "Practical graph isomorphism, II", J. Symbolic Computation 60 (2014). Which of several
nodes that refinement cannot tell apart comes first is not searched: they are images of each other
in all but contrived graphs, where isomorphic ones might get two hashes. The other way there is no
doubt: the hash is that of the whole graph, labelled, so that equal hashes mean equal graphs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence

Colours = list[int]


def canonical_hash(labels: Sequence[Hashable], inputs: Sequence[Sequence[int]]) -> str:
    """The hash of a graph whose nodes have labels, each after the nodes that feed it.

    Args:
        labels: The operation of each node, with its settings.
        inputs: The places of the nodes that feed each node, in any order, and as often as they do.
    """
    labels, inputs = _flat_sums(labels, inputs)
    order = _canonical_order(labels, inputs)
    place = {node: rank for rank, node in enumerate(order)}
    told = [(repr(labels[n]), sorted(place[i] for i in inputs[n])) for n in order]
    return hashlib.sha256(repr((told, place[len(labels) - 1])).encode()).hexdigest()


def _flat_sums(
    labels: Sequence[Hashable], inputs: Sequence[Sequence[int]]
) -> tuple[list[Hashable], list[list[int]]]:
    """The same graph with the terms of its sums in place of sums among them, without the rest."""
    terms: list[list[int]] = []
    for node, sources in enumerate(inputs):
        flat = [
            i
            for source in sources
            for i in (terms[source] if _is_sum(labels, source) else [source])
        ]
        terms.append(flat if _is_sum(labels, node) else list(sources))
    needed = {len(labels) - 1}
    for node in reversed(range(len(labels))):
        if node in needed:
            needed.update(terms[node])
    place = {node: rank for rank, node in enumerate(sorted(needed))}
    return [labels[n] for n in place], [[place[i] for i in terms[n]] for n in place]


def _is_sum(labels: Sequence[Hashable], node: int) -> bool:
    label = labels[node]
    return isinstance(label, tuple) and label[0] == "add"


def _canonical_order(labels: Sequence[Hashable], inputs: Sequence[Sequence[int]]) -> list[int]:
    outputs: list[list[int]] = [[] for _ in labels]
    for node, sources in enumerate(inputs):
        for source in sources:
            outputs[source].append(node)
    colours = _ranked([repr(label) for label in labels])
    # One pass either way tells most; the rounds of refinement then tell the rest.
    for nodes, neighbours in (
        (range(len(labels)), inputs),
        (reversed(range(len(labels))), outputs),
    ):
        told: list[Hashable] = [None] * len(labels)
        for node in nodes:
            key = (colours[node], tuple(sorted(hash_of(told[i]) for i in neighbours[node])))
            told[node] = hash_of(key)
        colours = _ranked(list(zip(colours, told, strict=True)))
    while True:
        colours = _refined(colours, inputs, outputs)
        count = Counter(colours)
        if len(count) == len(labels):
            return sorted(range(len(labels)), key=colours.__getitem__)
        alike = min(colour for colour, number in count.items() if number > 1)
        chosen = colours.index(alike)
        colours = [2 * c + (c == alike and n != chosen) for n, c in enumerate(colours)]


def hash_of(value: Hashable) -> str:
    """A hash of anything with a faithful `repr`, the same in every process."""
    return hashlib.blake2b(repr(value).encode(), digest_size=12).hexdigest()


def _refined(
    colours: Colours, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]]
) -> Colours:
    """Colours by which nodes of one colour have neighbours of the same colours either way."""
    number = len(set(colours))
    while True:
        colours = _ranked(
            [
                (c, *(tuple(sorted(colours[i] for i in near[n])) for near in (inputs, outputs)))
                for n, c in enumerate(colours)
            ]
        )
        if len(set(colours)) == number:
            return colours
        number = len(set(colours))


def _ranked(keys: Sequence[Hashable]) -> Colours:
    rank = {key: place for place, key in enumerate(sorted(set(keys)))}  # type: ignore[type-var]
    return [rank[key] for key in keys]
