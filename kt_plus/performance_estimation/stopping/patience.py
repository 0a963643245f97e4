"""Rules that look at the trial's own curve: it no longer improves, or it has diverged."""

from __future__ import annotations

import functools
import math
import statistics
from dataclasses import dataclass

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.performance_estimation.stopping.settings import check_number, check_whole


@dataclass(frozen=True)
class Patience(Stopper):
    """Stops a trial whose best value has not improved for some epochs.

    When to use it: with a rule that compares trials, `MedianRule() & Patience(5)`, so that
    what still improves goes on; alone, instead of Keras's EarlyStopping, which it equals.

    Source: Prechelt, "Early Stopping - But When?", Neural Networks: Tricks of the Trade,
    1998; `keras.callbacks.EarlyStopping`.

    Args:
        patience: How many epochs without an improvement are allowed.
        min_delta: What an improvement must exceed, in the objective's units.

    Raises:
        ValueError: If `patience` is less than 1 or `min_delta` negative.

    Example:

    ```python
    rule = kt_plus.stopping.Patience(10, min_delta=1e-3)
    ```
    """

    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_whole("patience", self.patience)
        if self.min_delta != 0:
            check_number("min_delta", self.min_delta, "Use 0 for any improvement.", above=0)

    def judge(self, trial: Record, history: History) -> Verdict:
        best, last = -math.inf, 0
        for epoch, value in enumerate(trial.curve, 1):
            if math.isfinite(value) and value - self.min_delta > best:
                best, last = value, epoch
        waited = len(trial.curve) - last
        reason = f"no improvement for {waited} epochs (patience {self.patience})"
        if last:
            reason += f" on {history.show(best)} at epoch {trial.first_epoch + last}"
        return Verdict(waited >= self.patience, reason)


@dataclass(frozen=True)
class Divergence(Stopper):
    """Stops a trial whose training has diverged: NaN, infinite, or far worse than it began.

    When to use it: beside any other rule, `Divergence() | MedianRule()`, wherever learning
    rates are searched. Alone it stops nothing else.

    Far worse is a drop below the curve's first value by `factor` times what is usual: the
    range from worst to best of a completed trial (the median of all), or what the trial
    itself has gained, if that is more. Until a trial has completed, the size of the first
    value stands for the range; if that is 0, no finite drop is far.

    Args:
        factor: By how many such ranges the value must have dropped.

    Raises:
        ValueError: If `factor` is not positive.

    Example:

    ```python
    rule = kt_plus.stopping.Divergence() | kt_plus.stopping.MedianRule()
    ```
    """

    factor: float = 10.0

    def __post_init__(self) -> None:
        check_number("factor", self.factor, "Choose 10, or more to be patient.", above=0)

    def judge(self, trial: Record, history: History) -> Verdict:
        if not trial.curve:
            return Verdict(False, "no epochs yet")
        last, finite = trial.curve[-1], [v for v in trial.curve if math.isfinite(v)]
        if not math.isfinite(last):
            return Verdict(True, f"diverged: the objective is {history.show(last)}")
        first = finite[0]
        if last >= first:
            return Verdict(False, f"no worse than at first, {history.show(first)}")
        usual = max(max(finite) - first, _usual_range(history) or abs(first))
        if not usual:
            return Verdict(False, "no range yet that a drop could be compared with")
        limit = first - self.factor * usual
        return Verdict(
            last < limit,
            f"the objective is {history.show(last)}, having begun at {history.show(first)}; "
            f"diverged is what is beyond {history.show(limit)}",
        )


def _usual_range(history: History) -> float:
    """The median range of the completed trials' curves; 0 without any."""
    ranges = [_range(record.curve) for record in history.completed if record.curve]
    return statistics.median(ranges) if ranges else 0.0


@functools.lru_cache(maxsize=2**15)
def _range(curve: tuple[float, ...]) -> float:
    finite = [value for value in curve if math.isfinite(value)]
    return max(finite) - min(finite) if finite else 0.0
