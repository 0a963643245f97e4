"""Rules that compare a trial with the others at the same epoch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping.base import Stopper


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
        for name in ("min_trials", "min_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} was given. Expected at least 1. Choose 1 to "
                    "stop as early as can be."
                )

    def judge(self, trial: Record, history: History) -> Verdict:
        epoch = trial.first_epoch + len(trial.curve)
        if len(trial.curve) < self.min_epochs:
            return Verdict(False, f"{len(trial.curve)} of {self.min_epochs} epochs granted to all")
        averages = list(_running_averages(history, epoch))
        if len(averages) < self.min_trials:
            return Verdict(False, f"{len(averages)} of {self.min_trials} trials to compare with")
        best = max((v for v in trial.curve if not math.isnan(v)), default=-math.inf)
        median = statistics.median(averages)
        return Verdict(
            best < median,
            f"best value so far {history.show(best)} against a median of {history.show(median)} "
            f"for the running averages of {len(averages)} trials at epoch {epoch}",
        )


def _running_averages(history: History, epoch: int) -> Iterator[float]:
    """The mean of each completed trial's curve up to `epoch`, where it got so far."""
    for record in history.completed:
        length = epoch - record.first_epoch
        if 0 < length <= len(record.curve):
            yield _mean(record.curve[:length])


def _mean(values: tuple[float, ...]) -> float:
    """The mean, of any finite values never above the largest; -inf if one is not finite."""
    if not all(map(math.isfinite, values)):
        return -math.inf
    scale = max(map(abs, values)) or 1.0
    mean = scale * statistics.fmean(value / scale for value in values)
    return min(mean, max(values))
