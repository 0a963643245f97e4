"""Compares search strategies by normalized regret: `python -m benchmarks.strategies --help`."""

from __future__ import annotations

# isort: off
import benchmarks.process  # noqa: F401

# isort: on
import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.methods import parse
from benchmarks.reporting import positive, print_table, versions
from benchmarks.runs import Outcome, Results, Task, complete
from benchmarks.tables import TABLES, DataMissing

METHODS = (
    "kt.RandomSearch",
    "kt.BayesianOptimization",
    "optuna.TPE",
    "optuna.GP",
    "smac.HyperparameterOptimization",
    "kt_plus.RandomSearch",
    "kt_plus.EvolutionarySearch(surrogate=None)",
    "kt_plus.EvolutionarySearch",
    "kt_plus.ReinforcementLearning",
    "kt_plus.BayesianOptimization",
    "prototype",
)
CHECKPOINTS = (10, 20, 30, 50, 100, 200)
SLOW_SEEDS, SLOW_TRIALS = 8, 30
MEAN = "mean"


@dataclass(frozen=True)
class Figure:
    """A mean over runs and its standard error, or a mean of such figures."""

    mean: float
    error: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Summarizes independent runs. The error of a single run is NaN."""
        error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        return cls(float(np.mean(values)), float(error), len(values))

    @classmethod
    def average(cls, figures: Sequence[Figure]) -> Figure:
        """Averages independent figures, one of each family."""
        error = np.sqrt(np.sum([f.error**2 for f in figures])) / len(figures)
        mean = float(np.mean([f.mean for f in figures]))
        return cls(mean, float(error), min(f.runs for f in figures))


# Values of the runs of one method on one family after so many trials.
Measure = Callable[[str, str, int], Sequence[float]]
# (method, family or MEAN, checkpoint) -> figure
Figures = Mapping[tuple[str, str, int], Figure]


class Comparison:
    """The outcomes of all methods, and what is computed from them.

    Args:
        outcomes: Of each task.
        families: The families that were run.
        checkpoints: Numbers of full trainings.
    """

    def __init__(
        self,
        outcomes: Mapping[Task, Outcome],
        families: Sequence[str],
        checkpoints: Sequence[int],
    ) -> None:
        self.families, self.checkpoints = families, checkpoints
        self.methods = list(dict.fromkeys(task.method for task in outcomes))
        self.budgets = {task.method: task.trials for task in outcomes}
        self._runs: dict[tuple[str, str], dict[int, Outcome]] = {}
        for task, found in outcomes.items():
            self._runs.setdefault((task.method, task.family), {})[task.seed] = found

    def regrets(self) -> Figures:
        """Normalized regrets."""
        return self._figures(
            lambda method, family, budget: [
                run.after(budget) for run in self._runs[method, family].values()
            ]
        )

    def differences(self, reference: str) -> Figures:
        """Differences from `reference` on the same seeds; negative is better."""

        def paired(method: str, family: str, budget: int) -> list[float]:
            ours, theirs = self._runs[method, family], self._runs[reference, family]
            return [
                ours[seed].after(budget) - theirs[seed].after(budget)
                for seed in ours.keys() & theirs
            ]

        return self._figures(paired, self.budgets[reference])

    def ratio(self, method: str, reference: str, budget: int) -> float:
        """Mean regret over families as a share of that of `reference`, on the same seeds."""
        sums = np.zeros(2)
        for family in self.families:
            ours, theirs = self._runs[method, family], self._runs[reference, family]
            shared = ours.keys() & theirs
            sums += [np.mean([runs[s].after(budget) for s in shared]) for runs in (ours, theirs)]
        return float(sums[0] / sums[1])

    def milliseconds(self, method: str) -> float:
        """Mean processor time of the search itself a trial, in milliseconds."""
        runs = [run for family in self.families for run in self._runs[method, family].values()]
        return 1000 * sum(run.seconds for run in runs) / sum(run.trials for run in runs)

    def _figures(self, measure: Measure, limit: float = np.inf) -> Figures:
        figures = {}
        for method in self.methods:
            for budget in self.checkpoints:
                if budget > min(limit, self.budgets[method]):
                    continue
                each = [Figure.of(measure(method, family, budget)) for family in self.families]
                for family, figure in zip(self.families, each, strict=True):
                    figures[method, family, budget] = figure
                figures[method, MEAN, budget] = Figure.average(each)
        return figures


def regret_tables(comparison: Comparison) -> Iterator[tuple[str, list[list[str]]]]:
    """One table of all families together, then one for each."""
    figures = comparison.regrets()
    for family in _headings(comparison):
        lines = [["method", "runs", *_heads(comparison), "ms a trial"]]
        for method in comparison.methods:
            known = [figures.get((method, family, n)) for n in comparison.checkpoints]
            cells = [f"{f.mean:.3f} ± {f.error:.3f}" if f else "" for f in known]
            runs = str(known[0].runs if known[0] else "")
            lines.append([method, runs, *cells, f"{comparison.milliseconds(method):.1f}"])
        yield family, lines


def pair_tables(comparison: Comparison, reference: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Tables of paired differences; a star marks those beyond two standard errors."""
    figures = comparison.differences(reference)
    for family in _headings(comparison):
        lines = [["method", "runs", *_heads(comparison)]]
        for method in comparison.methods:
            if method == reference:
                continue
            cells, runs = [], ""
            for budget in comparison.checkpoints:
                figure = figures.get((method, family, budget))
                cells.append(_difference(figure) if figure else "")
                runs = runs or (str(figure.runs) if figure else "")
                if figure and family == MEAN:
                    cells[-1] += f", x {comparison.ratio(method, reference, budget):.2f}"
            lines.append([method, runs, *cells])
        yield family, lines


def _difference(figure: Figure) -> str:
    star = " *" if abs(figure.mean) > 2 * figure.error else ""
    return f"{figure.mean:+.3f} ± {figure.error:.3f}{star}"


def _headings(comparison: Comparison) -> list[str]:
    return [MEAN, *comparison.families] if len(comparison.families) > 1 else [*comparison.families]


def _heads(comparison: Comparison) -> list[str]:
    return [f"after {budget}" for budget in comparison.checkpoints]


def as_json(comparison: Comparison, references: Sequence[str]) -> list[dict[str, object]]:
    """Every figure as a plain record."""
    records: list[dict[str, object]] = []
    for reference in (None, *references):
        figures = comparison.differences(reference) if reference else comparison.regrets()
        records += [
            {"method": method, "family": family, "after": budget, "minus": reference} | vars(figure)
            for (method, family, budget), figure in figures.items()
        ]
    return records


def tasks(options: argparse.Namespace) -> list[Task]:
    """All runs: slow methods make fewer and shorter ones."""
    found = []
    for method in options.methods:
        seeds = min(options.seeds, SLOW_SEEDS) if method.slow else options.seeds
        trials = min(options.trials, SLOW_TRIALS) if method.slow else options.trials
        found += [
            Task(method.label, family, seed, trials, options.workers)
            for family in options.families
            for seed in range(options.first_seed, options.first_seed + seeds)
        ]
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    default = [parse(name) for name in METHODS]
    parser.add_argument("--family", nargs="+", choices=TABLES, default=[*TABLES], dest="families")
    parser.add_argument("--methods", nargs="+", type=parse, default=default)
    slow = f"runs of each method; at most {SLOW_SEEDS} of slow ones, of {SLOW_TRIALS} trials"
    parser.add_argument("--seeds", type=positive, default=16, help=slow)
    parser.add_argument("--first-seed", type=int, default=0, help="number of the first run")
    parser.add_argument("--checkpoints", nargs="+", type=positive, default=[*CHECKPOINTS])
    parser.add_argument("--trials", type=positive, help="default: the last checkpoint")
    parser.add_argument("--workers", type=positive, default=1, help="virtual ones, of each search")
    parser.add_argument("--pairs", nargs="+", default=[], help="methods to subtract from others")
    parser.add_argument("--jobs", type=positive, default=1, help="processes")
    results = Path(__file__).resolve().parents[1] / ".benchmarks" / "strategies.jsonl"
    parser.add_argument("--results", type=Path, default=results, help="where runs are kept")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    options.checkpoints = sorted(options.checkpoints)
    options.trials = options.trials or options.checkpoints[-1]
    if options.checkpoints[-1] > options.trials:
        parser.error(f"a checkpoint lies beyond the {options.trials} of --trials: raise --trials")
    if lacking := set(options.pairs) - {method.label for method in options.methods}:
        parser.error(f"--pairs must name some of --methods, got {', '.join(lacking)}")
    return options


def _print(title: str, tables: Iterator[tuple[str, list[list[str]]]]) -> None:
    for family, lines in tables:
        print(f"\n{title}, {family}\n")
        print_table(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the methods and prints the tables."""
    options = _options(arguments)
    try:
        for family in options.families:
            TABLES[family](options.first_seed)
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    outcomes, reasons = complete(tasks(options), Results(options.results), options.jobs)
    if not outcomes:
        raise SystemExit("\n".join(f"{method}: {reason}" for method, reason in reasons.items()))
    comparison = Comparison(outcomes, options.families, options.checkpoints)
    print(f"{versions()}; {options.workers} worker(s), runs from number {options.first_seed} on")
    _print("Normalized regret ± standard error", regret_tables(comparison))
    pairs = [name for name in options.pairs if name in comparison.methods]
    for reference in pairs:
        _print(f"Paired difference from {reference}", pair_tables(comparison, reference))
    print("".join(f"\nLeft out: {method} ({reason})" for method, reason in reasons.items()))
    if options.json:
        options.json.write_text(json.dumps(as_json(comparison, pairs), indent=1) + "\n")


if __name__ == "__main__":
    main()
