"""Search spaces of architectures, which any tuner can search.

Each is a `keras_tuner.HyperModel`: `build(hp)` gives a compiled model, `graph(hp)` its architecture
as an immutable `Graph`, which can be counted, hashed and drawn before anything is trained.
"""

from kt_plus.search_spaces import nas_bench_201
from kt_plus.search_spaces.base import ArchitectureSpace
from kt_plus.search_spaces.branching import BranchingSpace
from kt_plus.search_spaces.cell import CellSpace
from kt_plus.search_spaces.chain import ChainSpace
from kt_plus.search_spaces.graph import Graph, Node, Sketch
from kt_plus.search_spaces.operations import OPERATIONS

__all__ = [
    "OPERATIONS",
    "ArchitectureSpace",
    "BranchingSpace",
    "CellSpace",
    "ChainSpace",
    "Graph",
    "Node",
    "Sketch",
    "nas_bench_201",
]
