"""NAS-Bench-201's names for its cells.

Source: Dong and Yang, ICLR 2020 (arXiv:2001.00326), and the benchmark's own code.
"""

from __future__ import annotations

from collections.abc import Mapping

from kt_plus.engine.history import Value

NODES = 4


def architecture_string(values: Mapping[str, Value]) -> str:
    """The name of a cell in the benchmark, to look up its recorded results.

    Args:
        values: The values of a `CellSpace` with `preset="nas_bench_201"`.

    Example:

    ```python
    best = tuner.get_best_hyperparameters()[0]
    kt_plus.search_spaces.nas_bench_201.architecture_string(best.values)
    # '|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|'
    ```
    """
    nodes = (
        "".join(f"|{values[f'edge_{source}_{node}']}~{source}" for source in range(node)) + "|"
        for node in range(1, NODES)
    )
    return "+".join(nodes)


def unique_string(values: Mapping[str, Value]) -> str:
    """What the benchmark's authors tell its 6,466 unique cells by.

    A node is the sorted sum of its edges; "skip_connect" stands for the node that it comes from,
    "none" for zero. As these are strings, in which a sum within a sum is not sorted anew, this is
    not isomorphism: `Graph.hash` finds 5,425 unique networks in the same cells, since it leaves
    zeros out of sums and takes sums of sums for one, but tells a state that is used twice from
    two that are computed alike.

    Args:
        values: The values of a `CellSpace` with `preset="nas_bench_201"`.
    """
    told = ["0"]
    for node in range(1, NODES):
        terms = (_term(str(values[f"edge_{s}_{node}"]), told[s]) for s in range(node))
        told.append("+".join(sorted(terms)))
    return told[-1]


def _term(operation: str, source: str) -> str:
    if operation == "none" or source == "#":
        return "#"
    return source if operation == "skip_connect" else f"({source})@{operation}"
