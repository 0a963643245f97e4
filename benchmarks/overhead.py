"""What the search itself costs per trial: `python -m benchmarks.overhead --help`."""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass
class Contender:
    """One oracle in its own project, and the time of each of its trials.

    Attributes:
        method: What it is.
        directory: Folder of its project.
        trials: How many it is told to run.
        seconds: Duration of each trial so far.
    """

    method: Method
    directory: Path
    trials: int
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.oracle = self.open()

    def open(self) -> keras_tuner.Oracle:
        """A fresh oracle on the project directory."""
        oracle = self.method.implementation()(
            objective=OBJECTIVE,
            max_trials=self.trials,
            hyperparameters=space(),
            seed=1,
            **self.method.settings,
        )
        oracle.verbose = 0
        oracle._set_project_dir(str(self.directory), "project")
        return oracle

    def run_trial(self, score: float) -> None:
        """Creates, reports, ends and saves one trial, as a tuner does."""
        begun = time.perf_counter()
        trial = self.oracle.create_trial("tuner0")
        self.oracle.update_trial(trial.trial_id, {OBJECTIVE.name: score}, step=0)
        trial.status = "COMPLETED"
        self.oracle.end_trial(trial)
        self.oracle.save()
        self.seconds.append(time.perf_counter() - begun)

    def at(self, mark: int) -> float:
        """Median duration of the trials around number `mark`, in seconds."""
        return float(np.median(self.seconds[max(0, mark - WINDOW // 2) : mark + WINDOW // 2]))

    def reload_seconds(self) -> float:
        """Time to build a new oracle and to read the finished project, in seconds."""
        gc.collect()
        begun = time.perf_counter()
        oracle = self.open()
        oracle.reload()
        took = time.perf_counter() - begun
        completed = sum(trial.status == "COMPLETED" for trial in oracle.trials.values())
        if completed != self.trials:
            raise RuntimeError(
                f"{self.method.label} reloaded {completed} completed trials of {self.trials}. "
                f"All were expected. Its files in {self.directory} are incomplete."
            )
        return took


def race(contenders: Sequence[Contender]) -> None:
    """Runs all trials, the contenders taking turns, so that each meets the same machine."""
    rng = np.random.default_rng(0)
    for number in range(contenders[0].trials):
        score = float(rng.random())
        for contender in contenders:
            contender.run_trial(score)
        if (number + 1) % 500 == 0:
            print(f"{number + 1} trials", file=sys.stderr)


def table(contenders: Sequence[Contender]) -> list[list[str]]:
    """The lines to print: a figure for each contender, and its ratio to the first."""
    trials = contenders[0].trials
    marks = [mark for mark in MARKS if mark <= trials] or [trials]
    measured = [(f"trial {mark:,} (ms)", [1000 * c.at(mark) for c in contenders]) for mark in marks]
    growth = [c.at(marks[-1]) / c.at(marks[0]) for c in contenders]
    measured += [
        (f"trial {marks[-1]:,} / trial {marks[0]:,}", growth),
        (f"all {trials:,} trials (s)", [sum(c.seconds) for c in contenders]),
        (f"reload of {trials:,} (s)", [c.reload_seconds() for c in contenders]),
    ]
    first, *others = [c.method.label for c in contenders]
    head = ["measured", first, *(cell for name in others for cell in (name, f"/ {first}"))]
    return [head, *([name, *_cells(figures)] for name, figures in measured)]


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
    """Runs the contenders side by side and prints one table."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        contenders: list[Contender] = []
        for number, method in enumerate(options.methods):
            try:
                contenders.append(Contender(method, Path(folder) / str(number), options.trials))
            except Unavailable as error:
                print(f"Left out: {method.label} ({error})")
        if not contenders:
            raise SystemExit("None of the methods is available, so there is nothing to measure.")
        race(contenders)
        print(f"create + report + end + save, 5 hyperparameters, verbose=0; {versions()}")
        print_table(table(contenders))


if __name__ == "__main__":
    main()
