"""Stopping by what a learning curve is going to become."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kt_plus.engine.history import History, Record, Verdict, best_value
from kt_plus.performance_estimation.learning_curves.forecast import Forecast
from kt_plus.performance_estimation.learning_curves.model import LearningCurveModel
from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.performance_estimation.stopping.rank import best_until
from kt_plus.performance_estimation.stopping.settings import check_number, check_whole

LEARNT_FROM = 200
"""From how many of the newest trials the model learns: more tell it nothing new."""

Curves = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LearningCurveExtrapolation(Stopper):
    """Stops a trial that will hardly beat the best one, by a forecast of its learning curve.

    When to use it: to spend some quarter of the epochs, at some risk to the best
    trial (`benchmarks/learning_curves` says how large). It needs a horizon: Keras's own
    training tells it, by `epochs`. `stopping="auto"` is this rule or `Divergence`.

    A trial ends when the probability that its best value within the horizon exceeds that of
    the best completed trial is below the threshold, unless it is among the best at its
    epoch: where forecasts err, on plateaus that end, a good rank protects, and where a rank
    is hasty the forecast does.

    Source: Domhan, Springenberg and Hutter, IJCAI 2015, section 3 (the threshold, 0.05, is
    theirs); the forecast is `LearningCurveModel`'s, the protection is ours.

    Args:
        threshold: The probability, between 0 and 1, below which a trial ends. The lower,
            the more cautious.
        protected: The share of the trials, from 0 to less than 1, that may go on whatever
            the forecast: those with the best values so far among all that reached the
            epoch. 0 protects none.
        min_trials: How many other trials must have completed, unstopped, before any is.
        min_epochs: How many epochs every trial may run.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    rule = kt_plus.stopping.LearningCurveExtrapolation(threshold=0.01)  # more cautious
    tuner = kt_plus.RandomSearch(build_model, "val_accuracy", max_trials=50, stopping=rule)
    ```
    """

    threshold: float = 0.05
    protected: float = 0.35
    min_trials: int = 3
    min_epochs: int = 3

    def __post_init__(self) -> None:
        remedy = "Choose 0.05, or less to be more cautious."
        check_number("threshold", self.threshold, remedy, above=0, below=1)
        if self.protected != 0:
            remedy = "Choose 0.35 for the best third, or 0 to protect none."
            check_number("protected", self.protected, remedy, above=0, below=1)
        check_whole("min_trials", self.min_trials)
        check_whole("min_epochs", self.min_epochs)

    def judge(self, trial: Record, history: History) -> Verdict:
        if (excuse := self._too_early(trial, history)) is not None:
            return Verdict(False, excuse)
        incumbent = history.best
        best = best_value(trial.curve)
        if incumbent is None or best >= incumbent.fitness:
            return Verdict(False, "no completed trial is better")
        others = best_until(history, trial.first_epoch + len(trial.curve), trial)
        rank, rivals = 1 + sum(value > best for value in others), 1 + len(others)
        if self.protected and rank <= max(1.0, self.protected * rivals):
            return Verdict(False, f"number {rank} of {rivals} trials at this epoch")
        forecast = forecast_of(trial, history)
        chance = forecast.probability_above(incumbent.fitness)
        reason = _reason(forecast, chance, incumbent, history)
        return Verdict(chance < self.threshold, reason, forecast)

    def _too_early(self, trial: Record, history: History) -> str | None:
        """Why nothing can be said yet, if so."""
        epochs = len(trial.curve)
        if trial.horizon is None:
            return "the number of epochs that it is to run is not known"
        if epochs < self.min_epochs:
            return f"{epochs} of {self.min_epochs} epochs granted to all"
        if trial.first_epoch + epochs >= trial.horizon:
            return "its last epoch"
        whole = sum(1 for r in history.completed if r.verdict is None and r.curve)
        if whole < self.min_trials:
            return f"{whole} of {self.min_trials} trials have run to their end"
        return None


def forecast_of(trial: Record, history: History) -> Forecast:
    """What the curve of a trial is expected to become, by the others that have ended.

    Args:
        trial: A trial with a horizon, and at least one epoch and fewer than that.
        history: The search.
    """
    horizon = (trial.horizon or 0) - trial.first_epoch
    return _model(horizon, curves_beside(trial, history)).forecast(trial.curve)


def curves_beside(trial: Record, history: History) -> Curves:
    """The curves, over the same epochs, of the newest trials that have ended; the oldest first."""
    horizon = (trial.horizon or 0) - trial.first_epoch
    curves: list[tuple[float, ...]] = []
    for other in reversed(history):
        if len(curves) == LEARNT_FROM:
            break
        if other.status != "running" and other.trial_id != trial.trial_id:
            curves.extend(_aligned(other, trial.first_epoch, horizon))
    return tuple(reversed(curves))


@lru_cache(maxsize=8)
def _model(horizon: int, curves: Curves) -> LearningCurveModel:
    return LearningCurveModel(horizon).fit(curves)


def _aligned(other: Record, first_epoch: int, horizon: int) -> Curves:
    """The curve of another trial over the same epochs, if it has some of them, the first too."""
    begins = first_epoch - other.first_epoch
    curve = other.curve[begins : begins + horizon] if begins >= 0 else ()
    return (curve,) if curve else ()


def _reason(forecast: Forecast, chance: float, incumbent: Record, history: History) -> str:
    # The median, because a long tail may put the mean outside the interval.
    low, median, high = sorted(
        map(forecast.quantile, (0.05, 0.5, 0.95)), key=lambda value: history.sign * value
    )
    return (
        f"P(beating {history.show(incumbent.fitness)}) = {chance:.2g}, predicted best "
        f"{history.show(median)} (median), 90 % interval {history.show(low)} to "
        f"{history.show(high)}"
    )
