"""Tables of results that a search can be replayed on, by the name used on the command line."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.tables.base import DataMissing, Table, Value, Values, data_file
from benchmarks.tables.interaction import Interaction
from benchmarks.tables.lcbench import LCBench
from benchmarks.tables.nas_bench_macro import NASBenchMacro
from benchmarks.tables.synthetic import Synthetic
from benchmarks.tables.taskset import TaskSet

# Each takes the seed of a run, so that a family of tables can spread its members over the runs.
TABLES: dict[str, Callable[[int], Table]] = {
    "nas-bench-macro": lambda seed: NASBenchMacro(),
    "lcbench": LCBench,
    "taskset": TaskSet,
    "synthetic": Synthetic,
    "interaction": Interaction,
}

__all__ = [
    "TABLES",
    "DataMissing",
    "Interaction",
    "LCBench",
    "NASBenchMacro",
    "Synthetic",
    "Table",
    "TaskSet",
    "Value",
    "Values",
    "data_file",
]
