"""Time of one proposal as a search grows: `python -m benchmarks.proposals --help`."""

from __future__ import annotations

# isort: off
import benchmarks.process  # noqa: F401

# isort: on
import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.methods import Method, Unavailable, parse
from benchmarks.reporting import positive, print_table, versions
from benchmarks.runs import MEMORY
from benchmarks.searches import OptunaSearch, OracleSearch, Search, Suggestion
from benchmarks.tables import Synthetic, Table

METHODS = (
    "optuna.TPE",
    "optuna.GP",
    "prototype",
    "kt_plus.EvolutionarySearch(surrogate=None)",
    "kt_plus.EvolutionarySearch",
    "kt_plus.BayesianOptimization",
    "kt_plus.ReinforcementLearning",
    "kt_plus.ReinforcementLearning(algorithm='reinforce')",
    "kt_plus.ReinforcementLearning(controller='independent')",
)
SIZES = (10, 30, 100, 300, 1000)
# Layers of `Synthetic` that make so many hyperparameters.
DIMENSIONS = {20: 6, 34: 13}


@dataclass(frozen=True)
class Cost:
    """Seconds of one core that proposals took, whatever else ran on the machine.

    Attributes:
        first: The first one, which reads the whole history, as after a restart.
        later: Each of those after it, in order.
    """

    first: float
    later: Sequence[float]


def measure(
    method: Method, table: Table, sizes: Sequence[int], proposals: int
) -> Iterator[tuple[int, Cost]]:
    """Times proposals each time that so many trials have finished.

    The trials between are proposed at random, so that every method has the same number of
    them to learn from, and none waits for proposals that are not timed.

    Args:
        method: Proposes.
        table: Scores the trials.
        sizes: Numbers of finished trials, increasing.
        proposals: How many to time at each size, after the first one.

    Raises:
        Unavailable: If the method is not installed or cannot be measured in this way.
    """
    rng, finished = np.random.default_rng(0), 0
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        search = method.start(table, sizes[-1] + proposals + 1, 0, Path(folder))
        for size in sizes:
            with random_proposals(search):
                for _ in range(size - finished):
                    _run_trial(search, table, rng)
            seconds = [_run_trial(search, table, rng) for _ in range(proposals + 1)]
            finished = size + len(seconds)
            yield size, Cost(seconds[0], seconds[1:])


def _run_trial(search: Search, table: Table, rng: np.random.Generator) -> float:
    """Runs a trial and returns the seconds that its proposal took."""
    begun = time.process_time()
    suggestion = search.ask("worker0")
    seconds = time.process_time() - begun
    assert isinstance(suggestion, Suggestion), suggestion
    search.tell(suggestion, table.evaluate(suggestion.values, rng))
    return seconds


@contextmanager
def random_proposals(search: Search) -> Iterator[None]:
    """Replaces a search's proposals by random ones.

    Raises:
        Unavailable: If this search cannot be made to.
    """
    if isinstance(search, OptunaSearch):
        from optuna.samplers import RandomSampler

        owner, name, stand_in = search.study, "sampler", RandomSampler(seed=0)
    elif isinstance(search, OracleSearch) and getattr(search.oracle, "strategy", None):
        from kt_plus.search_strategies.exhaustive import RandomSampling

        owner, name, stand_in = search.oracle, "strategy", RandomSampling()
    else:
        raise Unavailable("its first trials cannot be replaced by random ones")
    usual = getattr(owner, name)
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, usual)


def line(method: Method, table: Table, options: argparse.Namespace) -> list[str]:
    """The cells of one method: median milliseconds at each size, then the last first one."""
    cells = []
    for size, cost in measure(method, table, options.trials, options.proposals):
        print(f"{method.label}, {size} trials", file=sys.stderr)
        cells.append(f"{1000 * np.median(cost.later):.1f}")
        first = cost.first
    return [method.label, *cells, f"{1000 * first:.1f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one method after another and prints one table for each space."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proposals", description=__doc__)
    default = [parse(name) for name in METHODS]
    parser.add_argument("--methods", nargs="+", type=parse, default=default)
    parser.add_argument("--trials", nargs="+", type=positive, default=[*SIZES])
    spaces = parser.add_argument("--dimensions", nargs="+", type=int, choices=DIMENSIONS)
    spaces.default = [*DIMENSIONS]
    parser.add_argument("--proposals", type=positive, default=5, help="timed at each size")
    options = parser.parse_args(arguments)
    options.trials = sorted(options.trials)
    heads = [f"{size:,} trials (ms)" for size in options.trials]
    print(f"Median of {options.proposals} proposals, processor time of one thread; {versions()}")
    for dimensions in options.dimensions:
        lines, left_out = [["method", *heads, "the last, after a restart (ms)"]], []
        for method in options.methods:
            try:
                lines.append(line(method, Synthetic(0, DIMENSIONS[dimensions]), options))
            except Unavailable as error:
                left_out.append(f"\nLeft out: {method.label} ({error})")
        print(f"\n{dimensions} hyperparameters\n")
        print_table(lines)
        print("".join(left_out))


if __name__ == "__main__":
    main()
