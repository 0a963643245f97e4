"""Compares search strategies on a table: `python -m benchmarks.strategies --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.methods import QUICK, SLOW, Method, Unavailable, parse
from benchmarks.reporting import positive, print_table, versions
from benchmarks.simulator import Run, simulate
from benchmarks.tables import TABLES, DataMissing

_MEMORY = Path("/dev/shm")


def run_method(
    method: Method, table_name: str, seeds: Sequence[int], trials: int, workers: int
) -> list[Run]:
    """Runs one method once per seed, each time from an empty project that is removed after.

    Args:
        method: What to run.
        table_name: One of `TABLES`.
        seeds: Number of each run; it draws the run's noise as well as its proposals.
        trials: Budget, in full trainings.
        workers: Number of virtual workers.

    Raises:
        Unavailable: If the method is not installed or does not fit the table.
    """
    runs = []
    for seed in seeds:
        table = TABLES[table_name](seed)
        with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
            search = method.start(table, trials, seed, Path(folder))
            runs.append(simulate(search, table, trials, workers, seed))
    return runs


def regrets(runs: Sequence[Run], budget: float) -> np.ndarray:
    """Regret of each run after `budget` full trainings."""
    return np.array([run.regret_after(budget) for run in runs])


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error; the latter is NaN for a single run."""
    if len(values) < 2:
        return float(values.mean()), float("nan")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def row(label: str, runs: Sequence[Run], checkpoints: Sequence[int]) -> list[str]:
    """The cells of one line: mean regrets with standard errors, then costs."""
    marks = [mean_and_error(regrets(runs, budget)) for budget in checkpoints]
    trials = np.mean([len(run.completed) for run in runs])
    seconds = np.mean([run.seconds for run in runs])
    makespan = np.mean([run.makespan for run in runs])
    busy = np.mean([run.utilisation for run in runs])
    costs = [f"{trials:.0f}", f"{1000 * seconds / trials:.1f}", f"{makespan:.1f}", f"{busy:.0%}"]
    return [label, str(runs[0].workers), *(f"{m:.3f} ± {e:.3f}" for m, e in marks), *costs]


def tried_row(runs: Sequence[Run], checkpoints: Sequence[int]) -> list[str]:
    """The cells of a line with the mean regrets of the best configurations tried."""
    tried = [np.array([run.best_tried_after(budget) for run in runs]) for budget in checkpoints]
    marks = [f"{mean:.3f} ± {error:.3f}" for mean, error in map(mean_and_error, tried)]
    return ["  best tried", str(runs[0].workers), *marks, "", "", "", ""]


def ratio_row(one: Sequence[Run], many: Sequence[Run], checkpoints: Sequence[int]) -> list[str]:
    """The cells of a line that says how much worse many workers are than one."""
    cells = [f"  {many[0].workers} workers / 1 worker", ""]
    for budget in checkpoints:
        below, above = (mean_and_error(regrets(runs, budget)) for runs in (one, many))
        ratio = above[0] / below[0] if below[0] else float("nan")
        # Propagated as if the two were independent: on the safe side, they share their noise.
        relative = np.hypot(below[1] / below[0], above[1] / above[0]) if ratio else float("nan")
        cells.append(f"{ratio:.2f} ± {ratio * relative:.2f}")
    return [*cells, "", "", "", ""]


def rows_of(method: Method, options: argparse.Namespace) -> Iterator[list[str]]:
    """All lines of one method, one per number of workers."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    alone: list[Run] = []
    for workers in sorted({1, options.workers}):
        begun = time.perf_counter()
        runs = run_method(method, options.table, seeds, options.trials, workers)
        took = time.perf_counter() - begun
        print(f"{method.label}, {workers} worker(s): {took:.0f} s", file=sys.stderr)
        yield row(method.label, runs, options.checkpoints)
        if options.tried:
            yield tried_row(runs, options.checkpoints)
        if workers > 1:
            yield ratio_row(alone, runs, options.checkpoints)
        alone = runs


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    parser.add_argument("--table", choices=sorted(TABLES), default="nas-bench-macro")
    parser.add_argument("--methods", nargs="+", type=parse, help=f"default: {' '.join(QUICK)}")
    parser.add_argument("--slow", action="store_true", help=f"also {' '.join(SLOW)}")
    parser.add_argument("--seeds", type=positive, default=20, help="number of runs")
    parser.add_argument("--first-seed", type=int, default=0, help="number of the first run")
    parser.add_argument("--trials", type=positive, default=200, help="full trainings per run")
    parser.add_argument("--workers", type=positive, default=1, help="N > 1: both 1 and N")
    parser.add_argument("--tried", action="store_true", help="also the best tried, known or not")
    parser.add_argument("--checkpoints", nargs="+", type=positive, help="default: 50 100 200")
    options = parser.parse_args(arguments)
    options.methods = options.methods or [parse(name) for name in QUICK]
    options.methods += [parse(name) for name in SLOW] if options.slow else []
    if options.checkpoints and max(options.checkpoints) > options.trials:
        parser.error(f"a checkpoint lies beyond the {options.trials} of --trials: raise --trials")
    usual = {n for n in (50, 100, 200, options.trials) if n <= options.trials}
    options.checkpoints = sorted(options.checkpoints or usual)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the methods and prints one table."""
    options = _options(arguments)
    try:
        table = TABLES[options.table](options.first_seed)
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    marks = [f"regret after {n}" for n in options.checkpoints]
    lines = [["method", "workers", *marks, "trials", "ms a trial", "virtual time", "busy"]]
    left_out = []
    for method in options.methods:
        try:
            lines.extend(rows_of(method, options))
        except Unavailable as error:
            left_out.append(f"Left out: {method.label} ({error})")
    print(f"{options.table}: mean regret in {table.unit} ± standard error, {options.seeds} runs")
    print(f"{versions()}, numbers of the runs from {options.first_seed} on\n")
    print_table(lines)
    if (floor := table.exhausted_regret()) is not None:
        print(f"\nEvery configuration tried once: {floor:.3f}, the regret that noise alone leaves.")
    print("\n".join(left_out))


if __name__ == "__main__":
    main()
