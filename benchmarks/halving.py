"""Epochs that searches of several fidelities need: `python -m benchmarks.halving --help`."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras_tuner
import numpy as np

from benchmarks.methods import spread
from benchmarks.reporting import positive, print_table, versions
from benchmarks.searches import OBJECTIVE, OracleSearch, Search, Suggestion, suggested
from benchmarks.simulator import Run, simulate
from benchmarks.tables import DataMissing, Table, Values
from benchmarks.tables.lcbench import LCBench

if TYPE_CHECKING:
    import optuna

_MEMORY = Path("/dev/shm")
TARGETS = (20.0, 10.0, 5.0)


class Curves(LCBench):
    """LCBench, whose curves are made once for each configuration: it is asked epoch by epoch."""

    def __init__(self, seed: int):
        super().__init__(seed)
        self._known: dict[Any, np.ndarray] = {}

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        return float(self._curve(values)[int(values.get("tuner/epochs", self.epochs)) - 1])

    def true(self, values: Values) -> float:
        return float(self._curve(values)[-1])

    def regret_of(self, score: float) -> float:
        """How far an accuracy is from the best recorded one, in % of the gap from the median."""
        return 100 * (self.best - score) / (self.best - self._median)

    def _curve(self, values: Values) -> np.ndarray:
        own = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        key = tuple(sorted(own.items()))
        if key not in self._known:
            self._known[key] = self._curves.at(own)
        return self._known[key]


class PrunedStudy:
    """An Optuna study that prunes. Each of its epochs is a suggestion to its worker.

    Args:
        sampler: What proposes.
        pruner: What ends trials.
        space: The hyperparameters.
        epochs: Those of a full training.
    """

    def __init__(self, sampler: Any, pruner: Any, space: keras_tuner.HyperParameters, epochs: int):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(sampler=sampler, pruner=pruner, direction="maximize")
        self.space, self.epochs = space.space, epochs
        self._running: dict[str, tuple[optuna.Trial, dict[str, Any], int]] = {}

    def ask(self, worker: str) -> Suggestion:
        if worker not in self._running:
            trial = self.study.ask()
            self._running[worker] = (trial, suggested(trial, self.space), 0)
        trial, values, epoch = self._running[worker]
        fidelity = {"tuner/initial_epoch": epoch, "tuner/epochs": epoch + 1}
        return Suggestion(values | fidelity, worker)

    def tell(self, suggestion: Suggestion, score: float) -> None:
        import optuna

        worker = suggestion.trial
        trial, values, epoch = self._running.pop(worker)
        trial.report(score, epoch + 1)
        if epoch + 1 == self.epochs:
            self.study.tell(trial, score)
        elif trial.should_prune():
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._running[worker] = (trial, values, epoch + 1)


def of_optuna(
    sampler: str, pruner: str, settings: dict[str, Any], table: Table, seed: int, folder: Path
) -> Search:
    """An Optuna study."""
    import optuna

    made = getattr(optuna.samplers, sampler + "Sampler")(seed=spread(seed))
    if pruner == "Hyperband":
        settings = {"min_resource": 1, "max_resource": table.epochs, **settings}
    pruning = getattr(optuna.pruners, pruner + "Pruner")(**settings)
    return PrunedStudy(made, pruning, table.hyperparameters(), table.epochs)


def of_kt_plus(
    name: str, settings: dict[str, Any], table: Table, seed: int, folder: Path
) -> Search:
    """A search of ours."""
    from kt_plus import oracles

    if name == "SuccessiveHalving":
        settings = {"max_epochs": table.epochs, **settings}
    make = getattr(oracles, name + "Oracle")
    oracle = make(
        objective=OBJECTIVE,
        hyperparameters=table.hyperparameters(),
        seed=spread(seed),
        **settings,
    )
    return OracleSearch(oracle, folder)


def of_keras_tuner(table: Table, seed: int, folder: Path) -> Search:
    """Keras Tuner's Hyperband, again and again."""
    oracle = keras_tuner.oracles.HyperbandOracle(
        objective=OBJECTIVE,
        max_epochs=table.epochs,
        factor=3,
        hyperband_iterations=1000,
        seed=spread(seed),
        hyperparameters=table.hyperparameters(),
    )
    return OracleSearch(oracle, folder)


Start = Callable[[Table, int, Path], Search]
HALVING: dict[str, Any] = {"factor": 3, "configurations": 27, "iterations": None}
ASHA: dict[str, Any] = {"factor": 3, "configurations": None, "asynchronous": True}
HYPERBAND = {"reduction_factor": 3}
METHODS: dict[str, Start] = {
    "kt_plus.RandomSearch": functools.partial(of_kt_plus, "RandomSearch", {"max_trials": None}),
    "kt.Hyperband": of_keras_tuner,
    "Optuna TPE, Hyperband": functools.partial(of_optuna, "TPE", "Hyperband", HYPERBAND),
    "Optuna TPE, SuccessiveHalving": functools.partial(of_optuna, "TPE", "SuccessiveHalving", {}),
    "Optuna random, Hyperband": functools.partial(of_optuna, "Random", "Hyperband", HYPERBAND),
    "Optuna random, SuccessiveHalving": functools.partial(
        of_optuna, "Random", "SuccessiveHalving", {}
    ),
    "kt_plus.SuccessiveHalving": functools.partial(of_kt_plus, "SuccessiveHalving", HALVING),
    "ASHA": functools.partial(of_kt_plus, "SuccessiveHalving", ASHA),
    "evolution in ASHA": functools.partial(
        of_kt_plus, "SuccessiveHalving", {**ASHA, "source": "evolution"}
    ),
}


def in_hand(name: str, run: Run, table: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Epochs spent, and the regret of the model that the search would return then.

    That is the best of those trained in full; of Keras Tuner's Hyperband, which compares all
    of its trials, the best of all.
    """
    spent = np.cumsum([trial.cost * table.epochs for trial in run.completed])
    scores = [
        trial.score
        if name == "kt.Hyperband" or trial.values.get("tuner/epochs", table.epochs) == table.epochs
        else -np.inf
        for trial in run.completed
    ]
    return spent, table.regret_of(np.maximum.accumulate(scores))


def epochs_to(target: float, spent: np.ndarray, regrets: np.ndarray) -> float:
    """The epochs after which the regret is at most that; infinite if it never was."""
    reached = np.flatnonzero(regrets <= target)
    return float(spent[reached[0]]) if len(reached) else np.inf


def measure(name: str, seed: int, budget: float, workers: int) -> tuple[Run, Curves]:
    """One run of one method."""
    table = Curves(seed)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        search = METHODS[name](table, seed, Path(folder))
        return simulate(search, table, budget, workers, seed), table


def row_of(name: str, options: argparse.Namespace) -> list[str]:
    """The line of one method."""
    reached: dict[float, list[float]] = {target: [] for target in TARGETS}
    final, busy = [], []
    begun = time.perf_counter()
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        run, table = measure(name, seed, options.budget, options.workers)
        spent, regrets = in_hand(name, run, table)
        for target in TARGETS:
            reached[target].append(epochs_to(target, spent, regrets))
        final.append(min(regrets[-1], 1000.0))
        busy.append(run.utilisation)
    line = [
        name,
        *(_median(reached[target]) for target in TARGETS),
        f"{np.mean(final):.1f} ± {np.std(final, ddof=1) / np.sqrt(len(final)):.1f}",
        f"{np.mean(busy):.0%}",
    ]
    print(f"{' | '.join(line)}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return line


def _median(epochs: list[float]) -> str:
    found = sum(np.isfinite(epochs))
    middle = float(np.median(epochs))
    shown = f"{middle:.0f}" if np.isfinite(middle) else "never"
    return f"{shown} ({found} of {len(epochs)})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the methods and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.halving", description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--seeds", type=positive, default=20, help="number of runs")
    parser.add_argument("--first-seed", type=int, default=0, help="number of the first run")
    parser.add_argument("--budget", type=positive, default=15, help="in trainings of 52 epochs")
    parser.add_argument("--workers", type=positive, default=1, help="virtual workers")
    options = parser.parse_args(arguments)
    marks = [f"epochs to a regret of {target:g} %" for target in TARGETS]
    lines = [["method", *marks, f"regret after {options.budget * 52} epochs", "busy"]]
    try:
        for name in options.methods:
            lines.append(row_of(name, options))
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    print(
        "LCBench: medians (and how many of the runs got there); mean regret ± standard error, in % "
        f"of the gap from median to best; {options.seeds} runs, {options.workers} worker(s)"
    )
    print(f"{versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
