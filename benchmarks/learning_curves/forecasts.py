"""How well a curve's future is told from its beginning: `python -m ... --help`.

Each model sees a part of a curve, after 20 finished curves of the same task. It is asked
for the last value and for the best within the horizon. All models see the same curves.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from benchmarks.learning_curves.pool import Pool
from benchmarks.learning_curves.tasks import SETS, TITLES, Array, Task, best, read
from benchmarks.recorded import DataMissing
from benchmarks.reporting import positive, print_table, versions

LAST_VALUE = "last value repeated"
LEAST_LOG_DENSITY = -10.0  # a single value that was held impossible does not decide a mean


def _ours(task: Task, options: argparse.Namespace) -> Any:
    from kt_plus.performance_estimation.learning_curves import LearningCurveModel

    return LearningCurveModel(task.horizon)


def _weighted_families(task: Task, options: argparse.Namespace) -> Any:
    from kt_plus.performance_estimation.learning_curves import WeightedFamilies

    return WeightedFamilies(task.horizon, steps=options.steps, bounds=task.bounds)


def _lc_pfn_prior(task: Task, options: argparse.Namespace) -> Any:
    from kt_plus.performance_estimation.learning_curves import LCPFNPrior

    return LCPFNPrior(task.horizon, draws=options.draws, bounds=task.bounds)


MODELS: dict[str, Callable[[Task, argparse.Namespace], Any]] = {
    "Domhan et al., MCMC": _weighted_families,
    "LC-PFN's prior": _lc_pfn_prior,
    "LearningCurveModel": _ours,
}


@dataclass(frozen=True)
class Score:
    """How good one forecast was; NaN where the question did not arise.

    `covered` is the share of the value's probability integral transform within the middle
    90 %. It is 0 or 1 but where the best value stays what it was: there the distribution
    has a mass, and an interval that holds it would hold more than it says.
    """

    error_last: float
    error_best: float
    log_density_last: float = math.nan
    log_density_best: float = math.nan
    covered_last: float = math.nan
    covered_best: float = math.nan
    milliseconds: float = math.nan


def score_last_value(curve: Array, seen: int, ends: bool) -> Score:
    """The score of expecting that nothing changes any more."""
    last = abs(curve[seen - 1] - curve[-1]) if ends else math.nan
    return Score(last, abs(best(curve[:seen]) - best(curve)))


def score_forecast(model: Any, curve: Array, seen: int, ends: bool) -> Score:
    """The score of a model that has been fitted. It is timed up to one probability.

    Args:
        model: Has `forecast`.
        curve: The whole curve.
        seen: How many of its epochs the model may see.
        ends: Whether the last value is asked for, too.
    """
    prefix, incumbent = curve[:seen].tolist(), best(curve)
    begun = time.perf_counter()
    forecast = model.forecast(prefix)
    forecast.probability_above(incumbent)
    took = 1_000 * (time.perf_counter() - begun)
    of_best = _scores(forecast.best, incumbent, floor=best(prefix))
    of_last = (math.nan,) * 3
    if ends:
        of_last = _scores(forecast.at(len(curve)), float(curve[-1]), floor=-math.inf)
    return Score(*(value for pair in zip(of_last, of_best, strict=True) for value in pair), took)


def _scores(distribution: Any, value: float, floor: float) -> tuple[float, float, float]:
    """Absolute error of the median, log-density and coverage."""
    density = max(distribution.log_density(value), LEAST_LOG_DENSITY)
    upper = 1 - distribution.probability_above(value)
    lower = 0.0 if value <= floor else upper
    covered = float(0.05 <= upper <= 0.95)
    if upper > lower:
        covered = max(min(upper, 0.95) - max(lower, 0.05), 0.0) / (upper - lower)
    return abs(distribution.quantile(0.5) - value), density, covered


def draw(task: Task, finished: int, curves: int, part: float) -> tuple[Array, Array]:
    """Finished curves, and others to be forecast.

    The finished ones are as recorded. Those to be forecast have not diverged in the part
    that is seen at most, since nobody forecasts what has; they may do so later.
    """
    shuffled = task.search(order=0, trials=len(task.curves))
    known, others = shuffled[:finished], shuffled[finished:]
    seen = others[:, : round(part * task.horizon)]
    with np.errstate(invalid="ignore"):
        sound = (np.isfinite(seen) & (seen > task.diverged)).all(axis=1)
    return known, others[sound][:curves]


def run(task: Task, name: str, options: argparse.Namespace) -> dict[float, list[Score]]:
    """The scores of one model on one task, by the part of the curve that it saw."""
    known, curves = draw(task, options.finished, options.curves, max(options.parts))
    model = None
    if name != LAST_VALUE:
        model = MODELS[name](task, options).fit([curve.tolist() for curve in known])
    scores: dict[float, list[Score]] = {}
    for part in options.parts:
        seen = max(1, round(part * task.horizon))
        scores[part] = []
        for curve in curves:
            ends = bool(curve[-1] > task.diverged)  # not so for NaN
            if model is None:
                scores[part].append(score_last_value(curve, seen, ends))
            else:
                scores[part].append(score_forecast(model, curve, seen, ends))
    return scores


def nan_mean(figures: Iterable[Sequence[float] | Array]) -> Array:
    """The mean of each column over the rows that have it; NaN where none has."""
    table = np.array(list(figures), dtype=float)
    counts = np.isfinite(table).sum(axis=0)
    return np.where(counts, np.nansum(table, axis=0) / np.maximum(counts, 1), np.nan)


HEAD = [
    "MAE last",
    "MAE best",
    "log-density last",
    "log-density best",
    "90 % covers last",
    "90 % covers best",
    "ms",
]
_DIGITS = (4, 4, 2, 2, 2, 2, 1)


def cells(means: Array) -> list[str]:
    pairs = zip(means.tolist(), _DIGITS, strict=True)
    return ["" if math.isnan(mean) else f"{mean:.{digits}f}" for mean, digits in pairs]


def rows(set_name: str, options: argparse.Namespace) -> Iterator[list[str]]:
    """The lines of one set of tasks: means over the tasks, and over the parts unless `each`."""
    tasks = read(set_name, options.tasks)
    for name in options.models:
        begun = time.perf_counter()
        with Pool(options.jobs) as pool:
            results = list(pool.map(run, tasks, [name] * len(tasks), [options] * len(tasks)))
        took = time.perf_counter() - begun
        print(f"{TITLES[set_name]}, {name}: {took:.0f} s", file=sys.stderr)
        shown = [[part] for part in options.parts] if options.each else []
        for parts in [options.parts, *shown]:
            # First over the curves, then over the tasks, so that each task counts the same.
            per_task = [
                nan_mean(astuple(score) for part in parts for score in result[part])
                for result in results
            ]
            seen = " ".join(f"{100 * part:g}" for part in parts)
            yield [TITLES[set_name], name, seen, *cells(nan_mean(per_task))]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_curves.forecasts", description=__doc__
    )
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=["taskset", "lcbench"])
    parser.add_argument("--tasks", type=positive, help="of each set; all by default")
    parser.add_argument("--curves", type=positive, default=10, help="to forecast, of each task")
    parser.add_argument("--finished", type=positive, default=20, help="curves to learn from")
    parser.add_argument(
        "--parts", nargs="+", type=float, default=[0.1, 0.2, 0.4], help="of the curve, seen"
    )
    parser.add_argument("--models", nargs="+", choices=[LAST_VALUE, *MODELS], metavar="MODEL")
    parser.add_argument("--steps", type=positive, default=500, help="of Domhan et al.'s MCMC")
    parser.add_argument("--draws", type=positive, default=500_000, help="of LC-PFN's prior")
    parser.add_argument("--each", action="store_true", help="also a line for each of --parts")
    parser.add_argument("--jobs", type=positive, default=1, help="processes")
    options = parser.parse_args(arguments)
    if not all(0 < part < 1 for part in options.parts):
        parser.error(f"--parts {options.parts} were given; numbers between 0 and 1 are expected")
    options.models = options.models or [LAST_VALUE, *MODELS]
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores the models and prints one table."""
    options = _options(arguments)
    lines = [["curves", "model", "% seen", *HEAD]]
    try:
        for set_name in options.sets:
            lines.extend(rows(set_name, options))
    except DataMissing as error:
        raise SystemExit(str(error)) from error
    print(
        f"{options.curves} curves of each task, after {options.finished} finished ones; means over "
        f"the tasks; Domhan et al.: {options.steps} steps; LC-PFN's prior: {options.draws} draws"
    )
    print(f"{versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
