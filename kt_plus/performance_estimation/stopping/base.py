"""The interface of a stopping rule, and the operators that combine rules."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from kt_plus.engine.history import History, Record, Verdict


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

    def __and__(self, other: Stopper) -> Stopper:
        return _Both(self, other)

    def __or__(self, other: Stopper) -> Stopper:
        return _Either(self, other)

    def __invert__(self) -> Stopper:
        return _Not(self)


@dataclass(frozen=True)
class _Both(Stopper):
    first: Stopper
    second: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        verdict = self.first.judge(trial, history)
        if not verdict.stop:
            return verdict
        other = self.second.judge(trial, history)
        return Verdict(True, f"{verdict.reason}; {other.reason}") if other.stop else other


@dataclass(frozen=True)
class _Either(Stopper):
    first: Stopper
    second: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        verdict = self.first.judge(trial, history)
        return verdict if verdict.stop else self.second.judge(trial, history)


@dataclass(frozen=True)
class _Not(Stopper):
    rule: Stopper

    def judge(self, trial: Record, history: History) -> Verdict:
        verdict = self.rule.judge(trial, history)
        return Verdict(not verdict.stop, f"the opposite of: {verdict.reason}")
