"""Rules that compare a trial with the others at the same epoch."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kt_plus.engine.history import History, Record, Verdict, best_value
from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.performance_estimation.stopping.settings import check_number, check_whole


@dataclass(frozen=True)
class MedianRule(Stopper):
    """Stops a trial whose best value is below the median of the others' running averages.

    When to use it: as a safe first rule. It needs no model of learning curves, spends
    about half of the epochs, and rarely loses the best trial.

    Source: Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD
    2017, section 3.2.1.

    Args:
        min_trials: How many other trials must have reached the epoch before any is stopped.
        min_epochs: How many epochs every trial may run.

    Raises:
        ValueError: If an argument is less than 1.

    Example:

    ```python
    tuner = kt_plus.RandomSearch(
        build_model, objective="val_accuracy", stopping=kt_plus.stopping.MedianRule()
    )
    ```
    """

    min_trials: int = 5
    min_epochs: int = 5

    def __post_init__(self) -> None:
        check_whole("min_trials", self.min_trials)
        check_whole("min_epochs", self.min_epochs)

    def judge(self, trial: Record, history: History) -> Verdict:
        return _below(50, "median", self.min_trials, self.min_epochs, trial, history)


@dataclass(frozen=True)
class PercentileRule(Stopper):
    """Stops a trial whose best value is below a percentile of the others' running averages.

    When to use it: to stop fewer trials than the median rule does, or more.

    Source: as `MedianRule`, which is this at 50. Optuna's PercentilePruner counts from the
    other end, and compares with the others' values at that epoch.

    Args:
        percentile: Between 0 and 100: with 25, trials that are worse than three quarters of
            the others end; with 75, those that are worse than one quarter.
        min_trials: How many other trials must have reached the epoch before any is stopped.
        min_epochs: How many epochs every trial may run.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    cautious = kt_plus.stopping.PercentileRule(25)
    ```
    """

    percentile: float = 25.0
    min_trials: int = 5
    min_epochs: int = 5

    def __post_init__(self) -> None:
        remedy = "Choose 25 to stop the worst, 50 for the median, 75 to stop most."
        check_number("percentile", self.percentile, remedy, above=0, below=100)
        check_whole("min_trials", self.min_trials)
        check_whole("min_epochs", self.min_epochs)

    def judge(self, trial: Record, history: History) -> Verdict:
        name = f"percentile {self.percentile:g}"
        return _below(self.percentile, name, self.min_trials, self.min_epochs, trial, history)


@dataclass(frozen=True)
class SuccessiveHalvingRule(Stopper):
    """Lets only the top 1/eta of the trials go on at each rung, the rungs being eta times apart.

    When to use it: where many trials are tried and a few epochs already tell good from bad.
    It is the hastiest of the rules: of late risers it knows nothing.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020
    (arXiv:1810.05934), asynchronous successive halving, in the form that stops trials
    instead of pausing them. Where fewer than eta trials have reached a rung the best goes on.

    Args:
        eta: One trial in so many goes on.
        min_epochs: The epoch of the first rung; the others are at `eta`, `eta` squared, ...
            times that.
        min_trials: How many trials must have reached a rung, the one that is judged
            included, before any is stopped there.

    Raises:
        ValueError: If `eta` is less than 2 or another argument less than 1.

    Example:

    ```python
    rule = kt_plus.stopping.SuccessiveHalvingRule(eta=3, min_epochs=2)  # rungs 2, 6, 18, 54, ...
    ```
    """

    eta: int = 4
    min_epochs: int = 1
    min_trials: int = 1

    def __post_init__(self) -> None:
        check_whole("eta", self.eta, least=2)
        check_whole("min_epochs", self.min_epochs)
        check_whole("min_trials", self.min_trials)

    def judge(self, trial: Record, history: History) -> Verdict:
        epoch = trial.first_epoch + len(trial.curve)
        rung = self.min_epochs
        while rung * self.eta <= epoch:
            rung *= self.eta
        if not _last_report(trial) < rung <= epoch:
            upcoming = rung if epoch < rung else rung * self.eta
            return Verdict(False, f"the next rung is at epoch {upcoming}")
        own = best_value(trial.curve)
        others = best_until(history, rung, trial)
        trials, better = len(others) + 1, sum(value > own for value in others)
        if trials < self.min_trials:
            return Verdict(False, f"{trials} of {self.min_trials} trials at the rung of {rung}")
        kept = max(trials // self.eta, 1)
        return Verdict(
            better >= kept,
            f"{better} of the {trials} trials at the rung of epoch {rung} are better than "
            f"{history.show(own)}; the best {kept} go on",
        )


def _below(
    percentile: float, name: str, min_trials: int, min_epochs: int, trial: Record, history: History
) -> Verdict:
    """Whether the trial's best value is below a percentile of the others' running averages."""
    epoch = trial.first_epoch + len(trial.curve)
    if len(trial.curve) < min_epochs:
        return Verdict(False, f"{len(trial.curve)} of {min_epochs} epochs granted to all")
    averages = sorted(_averages_at(history, epoch))
    if len(averages) < min_trials:
        return Verdict(False, f"{len(averages)} of {min_trials} trials to compare with")
    best = max((v for v in trial.curve if not math.isnan(v)), default=-math.inf)
    limit = _percentile(averages, percentile)
    return Verdict(
        best < limit,
        f"best value so far {history.show(best)} against a {name} of {history.show(limit)} "
        f"for the running averages of {len(averages)} trials at epoch {epoch}",
    )


def _averages_at(history: History, epoch: int) -> Iterator[float]:
    """The mean of each completed trial's curve up to `epoch`, where it got so far."""
    for record in history.completed:
        length = epoch - record.first_epoch
        if 0 < length <= len(record.curve):
            yield float(_running_averages(record.curve)[length - 1])


@functools.lru_cache(maxsize=2**15)
def _running_averages(curve: tuple[float, ...]) -> NDArray[np.float64]:
    """The mean up to each epoch, never above the largest value; -inf from a non-finite one on."""
    values = np.array(curve, dtype=np.float64)
    finite = np.isfinite(values)
    known = np.where(finite, values, 0.0)
    # A power of 2 leaves all digits as they are, and sums of the rest never overflow.
    scale = 2.0 ** min(max(int(np.frexp(np.abs(known).max())[1]), -1000), 1000)
    means = np.cumsum(known / scale) / np.arange(1, len(values) + 1) * scale
    means = np.minimum(means, np.maximum.accumulate(known))
    return np.where(np.logical_and.accumulate(finite), means, -np.inf)


def _percentile(ordered: list[float], percentile: float) -> float:
    """The percentile, linear between neighbours: between equal ones their very value."""
    place = percentile / 100 * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    share = place - math.floor(place)
    if not share or low == high or math.isinf(low):
        return low
    return (1 - share) * low + share * high


def reached(history: History, epoch: int, trial: Record) -> Iterator[Record]:
    """The other trials with a value at the epoch, however they have ended."""
    for record in history:
        if record.trial_id != trial.trial_id and (
            record.first_epoch < epoch <= record.first_epoch + len(record.curve)
        ):
            yield record


def best_until(history: History, epoch: int, trial: Record) -> list[float]:
    """The best value up to the epoch of each other trial that has reached it."""
    others = reached(history, epoch, trial)
    return [best_value(other.curve[: epoch - other.first_epoch]) for other in others]


def _last_report(trial: Record) -> int:
    """The epoch of the report before the last, at the earliest.

    An epoch without a report repeats the value before it: where validation is not done at
    each epoch, a rung is reached by the first report at it or after it.
    """
    epochs = max(len(trial.curve) - 1, 0)
    while epochs > 1 and trial.curve[epochs - 1] == trial.curve[epochs - 2]:
        epochs -= 1
    return trial.first_epoch + epochs
