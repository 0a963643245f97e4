"""What 1 to 1,000 virtual workers gain: `python -m benchmarks.scaling --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.methods import Method, Unavailable, parse
from benchmarks.reporting import positive, print_table, versions
from benchmarks.runs import run
from benchmarks.simulator import Run
from benchmarks.tables import TABLES, DataMissing

METHODS = ("kt.RandomSearch", "kt_plus.RandomSearch", "kt_plus.EvolutionarySearch", "optuna.TPE")
WORKERS = (1, 10, 100, 1000)


def time_to(run: Run, regret: float) -> float:
    """The virtual time from which on the search would return a configuration that good.

    That is when the best observed trial first has at most this true regret; infinite if that
    never happens.
    """
    best = -np.inf
    for trial in run.completed:
        if trial.score > best:
            best = trial.score
            if trial.regret <= regret:
                return trial.finished
    return float("inf")


def row(
    method: Method, workers: int, runs: Sequence[Run], regret: float, alone: float
) -> list[str]:
    """The cells of one line; `alone` is the median time of one worker."""
    times = np.array([time_to(run, regret) for run in runs])
    median = float(np.median(times))
    trials = np.mean([len(run.completed) for run in runs])
    seconds = np.mean([run.seconds for run in runs])
    return [
        method.label,
        str(workers),
        f"{np.isfinite(times).mean():.0%}",
        f"{median:.1f}" if np.isfinite(median) else "never",
        f"{alone / median:.1f}" if np.isfinite(alone) and np.isfinite(median) else "",
        f"{np.mean([run.regret_after(np.inf) for run in runs]):.3f}",
        f"{np.mean([run.utilisation for run in runs]):.0%}",
        f"{1000 * seconds / trials:.1f}",
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--table", choices=sorted(TABLES), default="nas-bench-macro")
    parser.add_argument("--methods", nargs="+", type=parse, default=[*map(parse, METHODS)])
    parser.add_argument("--workers", nargs="+", type=positive, default=WORKERS)
    parser.add_argument("--seeds", type=positive, default=10, help="number of runs")
    parser.add_argument("--trials", type=positive, default=2000, help="full trainings per run")
    parser.add_argument("--regret", type=float, default=0.1, help="what is to be reached")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the methods and prints one table."""
    options = _options(arguments)
    try:
        table = TABLES[options.table](0)
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    head = ["method", "workers", "reached", "median time", "speed-up", "regret at the end"]
    lines, left_out = [[*head, "busy", "ms a trial"]], []
    for method in options.methods:
        alone = float("nan")
        for workers in options.workers:
            begun = time.perf_counter()
            try:
                runs = [
                    run(method, options.table, seed, options.trials, workers)
                    for seed in range(options.seeds)
                ]
            except Unavailable as error:
                left_out.append(f"Left out: {method.label} ({error})")
                break
            lines.append(row(method, workers, runs, options.regret, alone))
            if workers == 1:
                alone = float(np.median([time_to(run, options.regret) for run in runs]))
                lines[-1] = row(method, workers, runs, options.regret, alone)
            took = time.perf_counter() - begun
            print(f"{method.label}, {workers} worker(s): {took:.0f} s", file=sys.stderr)
    print(f"{options.table}: virtual time to a regret of {options.regret} {table.unit}")
    print(f"{versions()}, {options.seeds} runs of {options.trials} full trainings\n")
    print_table(lines)
    print("\n".join(left_out))


if __name__ == "__main__":
    main()
