"""What one decision costs, on one core: `python -m benchmarks.learning_curves.cost --help`.

A search with many finished trials goes on: trial after trial is judged at epochs spread
over its horizon, and joins the finished ones when it ends, so that whatever a rule learns
anew from them is measured too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.learning_curves.forecasts import MODELS
from benchmarks.learning_curves.rules import AUTO, Unavailable, checked, make
from benchmarks.learning_curves.searches import records
from benchmarks.learning_curves.tasks import Array, Task
from benchmarks.reporting import positive, print_table, versions
from kt_plus import History, Record

RULES = (AUTO, "MedianRule()")


def curves(count: int, horizon: int, seed: int = 0) -> Array:
    """Made accuracies: power laws with noise."""
    rng = np.random.default_rng([seed, horizon])
    epochs = np.arange(1.0, horizon + 1)
    top, gain = rng.uniform(0.6, 0.95, (count, 1)), rng.uniform(0.1, 0.5, (count, 1))
    return (
        top
        - gain * epochs ** -rng.uniform(0.2, 1.5, (count, 1))
        + rng.normal(0, 0.005, (count, horizon))
    )


def decisions(
    finished: int, horizon: int, count: int
) -> Iterator[tuple[Record, History, list[list[float]]]]:
    """Running trials, each with the history and the finished curves at its time."""
    per_trial = 10
    new = -(-count // per_trial)
    recorded = records(curves(finished + new, horizon))
    history = History(recorded[:finished])
    for record in recorded[finished:]:
        for length in np.linspace(2, horizon - 1, per_trial).astype(int):
            running = Record(
                record.trial_id, record.values, curve=record.curve[:length], horizon=horizon
            )
            history.put(running)
            yield running, history, [list(r.curve) for r in history.completed]
        history.put(record)


def time_rule(rule: str, finished: int, horizon: int, count: int) -> Array:
    """Milliseconds of each verdict."""
    stopper = make(rule)

    def judge(trial: Record, history: History, known: Any) -> None:
        stopper.judge(trial, history)

    return _timed(judge, finished, horizon, count)


def time_model(name: str, finished: int, options: argparse.Namespace, count: int) -> Array:
    """Milliseconds of each probability, the fit to the finished curves included."""
    task = Task("made", np.empty((0, options.horizon)))

    def forecast(trial: Record, history: History, known: list[list[float]]) -> None:
        model = MODELS[name](task, options).fit(known)
        model.forecast(trial.curve).probability_above(history.best.score)

    return _timed(forecast, finished, options.horizon, count)


def _timed(decide: Callable[..., None], finished: int, horizon: int, count: int) -> Array:
    took = []
    for trial, history, known in decisions(finished, horizon, count):
        begun = time.perf_counter()
        decide(trial, history, known)
        took.append(1_000 * (time.perf_counter() - begun))
    return np.array(took[:count])


def cells(took: Array) -> list[str]:
    """The median and the 95th percentile; the first decision, which may prepare things, apart."""
    later = took[1:] if len(took) > 1 else took
    return [f"{np.median(later):.2f}", f"{np.quantile(later, 0.95):.2f}", f"{took[0]:.1f}"]


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for horizon in options.horizons:
        options.horizon = horizon
        for rule in options.rules:
            try:
                took = time_rule(rule, options.finished, horizon, options.decisions)
            except Unavailable:
                continue
            yield [str(horizon), rule, *cells(took)]
        for name in options.models:
            # A few will do for what takes seconds.
            count = min(options.decisions, 20)
            try:
                took = time_model(name, options.finished, options, count)
            except ImportError:
                continue
            yield [str(horizon), f"{name}: fit and forecast", *cells(took)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_curves.cost", description=__doc__
    )
    parser.add_argument("--horizons", nargs="+", type=positive, default=[100, 1_000])
    parser.add_argument("--finished", type=positive, default=100, help="trials to begin with")
    parser.add_argument("--decisions", type=positive, default=300, help="that are timed")
    parser.add_argument("--rules", nargs="+", type=checked, default=list(RULES))
    parser.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--steps", type=positive, default=2_500, help="of Domhan et al.'s MCMC")
    parser.add_argument("--draws", type=positive, default=100_000, help="of LC-PFN's prior")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Times the decisions and prints one table."""
    options = _options(arguments)
    lines = list(rows(options))
    print(
        f"{options.finished} finished trials and more; Domhan et al.: {options.steps} steps; "
        f"LC-PFN's prior: {options.draws} draws; {versions()}\n"
    )
    print_table([["horizon", "decision", "median, ms", "95th percentile", "first"], *lines])


if __name__ == "__main__":
    main()
