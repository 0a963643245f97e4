"""The interface of a stopping rule, and the operators that combine rules."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kt_plus.engine.history import History, Record, Verdict

if TYPE_CHECKING:
    from kt_plus.performance_estimation.learning_curves.forecast import Forecast


class Stopper(abc.ABC):
    """Judges a running trial by its curve and those of the others, and keeps no state.

    Rules combine: `a & b` stops where both would, `a | b` where either would, `~a`
    where `a` would not. A rule that raises is ignored and warned of once: the trial
    goes on.

    Example:

    ```python
    class Threshold(kt_plus.stopping.Stopper):
        def judge(self, trial, history):
            hopeless = len(trial.curve) >= 5 and trial.curve[-1] < 0.5
            return Verdict(hopeless, f"below 0.5 after {len(trial.curve)} epochs")
    ```
    """

    @abc.abstractmethod
    def judge(self, trial: Record, history: History) -> Verdict:
        """Whether `trial` should end after the last epoch of its curve.

        Args:
            trial: The running trial; larger values of its curve are better.
            history: All trials of the search, oldest first, `trial` among them.
        """

    def dry_run(self) -> Stopper:
        """The same rule, which judges and never stops.

        What it would have done is kept with each trial, and listed with the results. It
        judges as if its earlier stops had been real.

        Example:

        ```python
        tuner = kt_plus.RandomSearch(build_model, "val_loss", stopping=MedianRule().dry_run())
        ```
        """
        return _DryRun(self)

    def __and__(self, other: Stopper) -> Stopper:
        return _Both(self, other)

    def __or__(self, other: Stopper) -> Stopper:
        return _Either(self, other)

    def __invert__(self) -> Stopper:
        return _Not(self)


def is_dry(rule: Any) -> bool:
    """Whether the rule, or a part of it, makes a dry run."""
    parts = (getattr(rule, name, None) for name in ("rule", "first", "second"))
    composed = isinstance(rule, (_Both, _Either, _Not))
    return isinstance(rule, _DryRun) or (composed and any(map(is_dry, parts)))


@dataclass(frozen=True)
class _DryRun(Stopper):
    rule: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        seen = history if history.dry is None else history.dry
        known = seen.get(trial.trial_id)
        if known is not None and known.verdict is not None:
            return Verdict(False, f"would have been stopped before: {known.verdict.reason}")
        verdict = self.rule.judge(trial, seen)
        return replace(verdict, stop=False, would_stop=_wants(verdict))


@dataclass(frozen=True)
class _Both(Stopper):
    first: Stopper
    second: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        verdict = self.first.judge(trial, history)
        if not _wants(verdict):
            return verdict
        other = self.second.judge(trial, history)
        if not _wants(other):
            return other
        stop = verdict.stop and other.stop
        reason = "; ".join(r for r in (verdict.reason, other.reason) if r.strip())
        return Verdict(stop, reason, _forecast(verdict, other), would_stop=not stop)


@dataclass(frozen=True)
class _Either(Stopper):
    first: Stopper
    second: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        verdict = self.first.judge(trial, history)
        if verdict.stop:
            return verdict
        other = self.second.judge(trial, history)
        told = verdict if verdict.would_stop and not other.stop else other
        return replace(told, forecast=_forecast(told, verdict))


@dataclass(frozen=True)
class _Not(Stopper):
    rule: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        verdict = self.rule.judge(trial, history)
        wants = not _wants(verdict)
        stop = wants and not is_dry(self.rule)
        denied = verdict.reason.strip() or f"{self.rule!r}, which gave no reason"
        reason = f"the opposite of: {denied}"
        return Verdict(stop, reason, verdict.forecast, would_stop=wants and not stop)


def _wants(verdict: Verdict) -> bool:
    """Whether the trial should end, were it no dry run."""
    return bool(verdict.stop or verdict.would_stop)


def _forecast(verdict: Verdict, other: Verdict) -> Forecast | None:
    return verdict.forecast if verdict.forecast is not None else other.forecast
