"""What the search itself costs per trial: `python -m benchmarks.overhead --help`."""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import keras_tuner
import numpy as np

from benchmarks.methods import Method, Unavailable, parse
from benchmarks.reporting import positive, print_table, versions
from benchmarks.searches import OBJECTIVE

METHODS = ("kt.RandomSearch", "kt_plus.RandomSearch", "kt_plus.EvolutionarySearch")
MARKS = (100, 1_000, 5_000)
WINDOW = 100  # trials around a mark over which the median is taken


def space() -> keras_tuner.HyperParameters:
    """The five hyperparameters of a small network."""
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Int("layers", 1, 8)
    hyperparameters.Int("units", 16, 1024, sampling="log")
    hyperparameters.Float("learning_rate", 1e-5, 1e-1, sampling="log")
    hyperparameters.Float("dropout", 0.0, 0.6)
    hyperparameters.Choice("activation", ["relu", "gelu", "tanh", "swish"])
    return hyperparameters


@dataclass(frozen=True)
class Cost:
    """What one method was measured to cost.

    Attributes:
        label: The method.
        seconds: Duration of each trial, in order.
        reload_seconds: Duration of building a new oracle and reading the finished project.
    """

    label: str
    seconds: Sequence[float]
    reload_seconds: float

    def around(self, mark: int) -> Sequence[float]:
        """Durations of the trials around number `mark`."""
        return self.seconds[max(0, mark - WINDOW // 2) : mark + WINDOW // 2]


def open_oracle(method: Method, directory: Path, trials: int) -> keras_tuner.Oracle:
    """A fresh oracle on the project directory."""
    settings = {"max_trials": trials, "seed": 1} | method.settings
    oracle = method.implementation()(objective=OBJECTIVE, hyperparameters=space(), **settings)
    oracle.verbose = 0
    oracle._set_project_dir(str(directory), "project")
    return oracle


def run_trial(oracle: keras_tuner.Oracle, score: float) -> float:
    """Creates, reports, ends and saves one trial, as a tuner does; returns the seconds."""
    begun = time.perf_counter()
    trial = oracle.create_trial("tuner0")
    oracle.update_trial(trial.trial_id, {OBJECTIVE.name: score}, step=0)
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    oracle.save()
    return time.perf_counter() - begun


def time_reload(method: Method, directory: Path, trials: int) -> float:
    """Seconds to build a new oracle and to read a finished project.

    Raises:
        RuntimeError: If not every trial came back.
    """
    begun = time.perf_counter()
    oracle = open_oracle(method, directory, trials)
    oracle.reload()
    took = time.perf_counter() - begun
    completed = sum(trial.status == "COMPLETED" for trial in oracle.trials.values())
    if completed != trials:
        raise RuntimeError(
            f"{method.label} reloaded {completed} completed trials; all {trials} were expected. "
            f"Some files of its project in {directory} were not written or not read."
        )
    return took


def measure(method: Method, directory: Path, trials: int) -> Cost:
    """Runs the trials of one method in this process.

    Args:
        method: What to measure.
        directory: An empty folder.
        trials: How many.

    Raises:
        Unavailable: If the method is not installed.
    """
    oracle = open_oracle(method, directory, trials)
    scores = np.random.default_rng(0).random(trials).tolist()
    seconds = [run_trial(oracle, score) for score in scores]
    del oracle
    gc.collect()
    return Cost(method.label, seconds, time_reload(method, directory, trials))


def measure_alone(method: Method, directory: Path, trials: int) -> Cost:
    """The same in a process of its own: no method pays for another's objects in memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, method, directory, trials).result()


def table(costs: Sequence[Cost]) -> list[list[str]]:
    """The lines to print: a figure for each method, and its ratio to the first.

    The median says what a usual trial costs; the mean has the occasional larger write too.
    """
    trials = len(costs[0].seconds)
    marks = [mark for mark in MARKS if mark <= trials] or [trials]
    lines: list[list[str]] = []
    for name, average in (("median", np.median), ("mean", np.mean)):
        figures = {m: [1000 * float(average(c.around(m))) for c in costs] for m in marks}
        lines += [[f"trial {m:,}, {name} (ms)", *_cells(figures[m])] for m in marks]
        first, last = figures[marks[0]], figures[marks[-1]]
        growth = [b / a for a, b in zip(first, last, strict=True)]
        lines += [[f"trial {marks[-1]:,} / {marks[0]:,}, {name}", *_cells(growth)]]
    lines += [[f"all {trials:,} trials (s)", *_cells([sum(c.seconds) for c in costs])]]
    lines += [[f"reload of {trials:,} (s)", *_cells([c.reload_seconds for c in costs])]]
    first_label, *others = [c.label for c in costs]
    ratios = (cell for label in others for cell in (label, f"/ {first_label}"))
    return [["measured", first_label, *ratios], *lines]


def _cells(figures: Sequence[float]) -> list[str]:
    first, *others = figures
    return [f"{first:.2f}", *(c for f in others for c in (f"{f:.2f}", f"{f / first:.3f}"))]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--trials", type=positive, default=5_000)
    parser.add_argument("--methods", nargs="+", type=parse, help=f"default: {' '.join(METHODS)}")
    parser.add_argument(
        "--directory",
        type=Path,
        help="where the projects are written (default: the system's temporary folder); "
        "a folder in memory hides what the files cost",
    )
    options = parser.parse_args(arguments)
    options.methods = options.methods or [parse(name) for name in METHODS]
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the methods one after another and prints one table."""
    options = _options(arguments)
    costs = []
    for method in options.methods:
        with tempfile.TemporaryDirectory(dir=options.directory) as folder:
            try:
                method.implementation()  # before a process is started for it
                costs.append(measure_alone(method, Path(folder), options.trials))
            except Unavailable as error:
                print(f"Left out: {method.label} ({error})")
    if not costs:
        raise SystemExit("None of the methods is available, so there is nothing to measure.")
    print(f"create + report + end + save, 5 hyperparameters, verbose=0; {versions()}\n")
    print_table(table(costs))


if __name__ == "__main__":
    main()
