"""What a trial of a Bayesian search costs beside its training: `python -m benchmarks.bayesian`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.methods import parse
from benchmarks.overhead import open_oracle, run_trial, space
from benchmarks.reporting import positive, print_table, versions


def seconds(name: str, trials: int, timed: int) -> list[float]:
    """Processor seconds of each of the trials after the first ones.

    Args:
        name: The method, as `benchmarks.methods` writes it.
        trials: How many trials run before.
        timed: How many are timed.
    """
    rng, found = np.random.default_rng(0), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        oracle = open_oracle(parse(name), Path(folder), trials + timed)
        for _ in range(trials + timed):
            begun = time.process_time()
            run_trial(oracle, float(rng.random()))
            found.append(time.process_time() - begun)
    return found[trials:]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both searches one after the other and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bayesian", description=__doc__)
    parser.add_argument("--trials", type=positive, default=100, help="trials before the first")
    parser.add_argument("--timed", type=positive, default=5, help="trials that are timed")
    options = parser.parse_args(arguments)
    # Drawn at random before: what is timed is the same, and nobody waits for the rest.
    slow = f"kt.BayesianOptimization(num_initial_points={options.trials})"
    costs = {
        name: float(np.median(seconds(name, options.trials, options.timed)))
        for name in ("kt_plus.OptunaSearch", slow)
    }
    lines = [["method", "ms a trial", "of Keras Tuner's"]]
    lines += [[n, f"{1000 * s:.1f}", f"{s / costs[slow]:.4f}"] for n, s in costs.items()]
    count = len(space().space)
    print(f"After {options.trials} trials, {count} hyperparameters; {versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
