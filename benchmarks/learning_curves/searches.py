"""A search replayed under a stopping rule: ours through `replay`, Optuna's through a study."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import kt_plus
from benchmarks.learning_curves.rules import is_pruner, make
from benchmarks.learning_curves.tasks import Array, best


@dataclass(frozen=True)
class Search:
    """What a search under a rule was.

    Args:
        lengths: How many epochs each trial ran, in the order of the trials.
        share: Of all epochs, how many were trained.
        kept: Whether a trial as good as the best of all ran up to its best value.
        regret: By how much the best value found is below that of all trials.
    """

    lengths: tuple[int, ...]
    share: float
    kept: bool
    regret: float


def outcome(curves: Array, lengths: Sequence[int]) -> Search:
    """The outcome of a search whose trials ran for that many epochs."""
    found = max(best(curve[:length]) for curve, length in zip(curves, lengths, strict=True))
    there = best(curves.ravel())
    regret = there - found if there > found else 0.0
    return Search(tuple(lengths), sum(lengths) / curves.size, regret == 0, float(regret))


def run(rule: str, curves: Array) -> Search:
    """Replays the trials one after the other, from no finished trial on.

    Args:
        rule: Its text, see `benchmarks.learning_curves.rules`.
        curves: The whole curves in the order of the trials.

    Raises:
        Unavailable: If there is no such rule here.
    """
    stopper = make(rule)
    lengths = _pruned(stopper, curves) if is_pruner(rule) else _stopped(stopper, curves)
    return outcome(curves, list(lengths))


def records(curves: Array) -> list[kt_plus.Record]:
    """The trials as a search without stopping would have recorded them."""
    return [_record(str(number), curve) for number, curve in enumerate(curves)]


def _record(trial_id: str, curve: Array) -> kt_plus.Record:
    # Keras Tuner scores by the best epoch; a trial whose first value is NaN fails.
    failed = math.isnan(curve[0])
    return kt_plus.Record(
        trial_id,
        {"trial": int(trial_id)},
        score=None if failed else best(curve),
        status="failed" if failed else "completed",
        curve=tuple(curve.tolist()),
        horizon=len(curve),
    )


def _stopped(stopper: Any, curves: Array) -> Iterator[int]:
    stops = kt_plus.stopping.replay(records(curves), stopper).stops
    for number, curve in enumerate(curves):
        stop = stops.get(str(number))
        yield len(curve) if stop is None else stop.epoch


def _pruned(pruner: Any, curves: Array) -> Iterator[int]:
    """Ask, report, should_prune and tell, as a user of Optuna's would."""
    import optuna

    study = optuna.create_study(direction="maximize", pruner=pruner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of curves that have diverged
        for curve in curves:
            trial = study.ask()
            length, pruned = _train(trial, curve)
            state = optuna.trial.TrialState.PRUNED if pruned else None
            score = best(curve[:length])
            if not pruned and not math.isfinite(score):
                state, score = optuna.trial.TrialState.FAIL, None
            study.tell(trial, None if pruned else score, state=state)
            yield length


def _train(trial: Any, curve: Array) -> tuple[int, bool]:
    for epoch, value in enumerate(curve.tolist(), start=1):
        trial.report(value, step=epoch - 1)
        # After the last epoch there is nothing left to save.
        if epoch < len(curve) and trial.should_prune():
            return epoch, True
    return len(curve), False


def incumbents(curves: Array, lengths: Sequence[int]) -> Array:
    """For each trial, the best value of those before it; minus infinity for the first."""
    seen = [best(curve[:length]) for curve, length in zip(curves, lengths, strict=True)]
    return np.concatenate([[-np.inf], np.maximum.accumulate(seen)[:-1]])
