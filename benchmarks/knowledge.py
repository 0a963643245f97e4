"""What a prior or an earlier project gains, and what a wrong one costs.

Run `python -m benchmarks.knowledge --help`.
"""

from __future__ import annotations

# isort: off
import benchmarks.process  # noqa: F401

# isort: on
import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kt_plus
from benchmarks.methods import spread
from benchmarks.reporting import positive, print_table, versions
from benchmarks.runs import MEMORY, normalized
from benchmarks.searches import OBJECTIVE, OracleSearch
from benchmarks.simulator import simulate
from benchmarks.tables import TABLES, DataMissing, Table
from benchmarks.tables.base import draw

EARLIER_TRIALS = 30
CHECKPOINTS = (10, 20, 30, 36)
KNOWN = (
    "nothing",
    "good prior",
    "wrong prior",
    "project of the same table",
    "project of another table",
    "project of the opposite table",
)


class Opposite(Table):
    """A table whose best configurations are the worst of another one.

    Args:
        table: The other one.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self.name, self.unit, self.best = f"opposite of {table.name}", table.unit, 0.0

    def hyperparameters(self) -> Any:
        return self._table.hyperparameters()

    def true(self, values: Mapping[str, Any]) -> float:
        return -self._table.true(values)

    def evaluate(self, values: Mapping[str, Any], rng: np.random.Generator) -> float:
        return -self._table.evaluate(values, rng)


def options(known: str, family: str, seed: int, folder: Path) -> dict[str, Any]:
    """The arguments of a search that knows something.

    Args:
        known: One of `KNOWN`.
        family: One of `benchmarks.tables.TABLES`.
        seed: Number of the run.
        folder: Where earlier projects are written.
    """
    table = TABLES[family](seed)
    if "prior" in known:
        values = _believed(table, seed, good=known.startswith("good"))
        return {"prior": {name: kt_plus.Prior(value) for name, value in values.items()}}
    if "project" not in known:
        return {}
    if "another" in known:
        table = TABLES[family](seed + 1)
    elif "opposite" in known:
        table = Opposite(table)
    oracle = kt_plus.oracles.RandomSearchOracle(
        OBJECTIVE, EARLIER_TRIALS, spread(seed + 5000), table.hyperparameters()
    )
    simulate(OracleSearch(oracle, folder), table, EARLIER_TRIALS, seed=seed + 5000)
    return {"history": str(folder / "project")}


def _believed(table: Table, seed: int, good: bool) -> dict[str, Any]:
    """The best of 1,000 random configurations, or one of the worse half."""
    rng = np.random.default_rng([seed, 4])
    drawn = [draw(table.hyperparameters(), rng) for _ in range(1000)]
    ranked = sorted(drawn, key=table.true, reverse=True)
    return ranked[0] if good else ranked[int(rng.integers(500, 1000))]


def regrets(known: str, family: str, seed: int) -> list[float]:
    """Normalized regret of one search at each of `CHECKPOINTS`."""
    trials = CHECKPOINTS[-1]
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder, table = Path(name), TABLES[family](seed)
        oracle = kt_plus.oracles.EvolutionarySearchOracle(
            OBJECTIVE,
            trials,
            spread(seed),
            table.hyperparameters(),
            **options(known, family, seed, folder / "earlier"),
        )
        run = simulate(OracleSearch(oracle, folder / "later"), table, trials, seed=seed)
    outcome = normalized(run, family, seed)
    return [outcome.after(budget) for budget in CHECKPOINTS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge", description=__doc__)
    parser.add_argument("--family", nargs="+", choices=TABLES, default=[*TABLES], dest="families")
    parser.add_argument("--known", nargs="+", choices=KNOWN, default=[*KNOWN])
    parser.add_argument("--seeds", type=positive, default=32)
    given = parser.parse_args(arguments)
    try:
        found = {
            known: np.array(
                [[regrets(known, f, seed) for seed in range(given.seeds)] for f in given.families]
            )
            for known in given.known
        }
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    print(f"{versions()}; {', '.join(given.families)}; {given.seeds} runs each\n")
    lines = [["what is known", *(f"regret after {n}" for n in CHECKPOINTS)]]
    for known, values in found.items():
        errors = np.sqrt((values.var(1, ddof=1) / given.seeds).sum(0)) / len(given.families)
        cells = zip(values.mean((0, 1)), errors, strict=True)
        lines.append([known, *(f"{mean:.3f} ± {error:.3f}" for mean, error in cells)])
    print_table(lines)


if __name__ == "__main__":
    main()
