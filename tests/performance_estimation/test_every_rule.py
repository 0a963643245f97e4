"""The conformance suite, run over every stopping rule and the operators."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping import MedianRule, Stopper
from kt_plus.testing import StopperSuite


@dataclass(frozen=True)
class Threshold(Stopper):
    """Stops what is below a value of its own after some epochs."""

    least: float = 0.3
    epochs: int = 5

    def judge(self, trial: Record, history: History) -> Verdict:
        best = max((v for v in trial.curve if not math.isnan(v)), default=math.inf)
        hopeless = len(trial.curve) >= self.epochs and best < self.least
        return Verdict(hopeless, f"{best:.4g} after {len(trial.curve)} epochs")


class TestMedianRule(StopperSuite):
    def make_stopper(self):
        return MedianRule()


class TestMedianRuleThatStopsEarly(StopperSuite):
    def make_stopper(self):
        return MedianRule(min_trials=1, min_epochs=1)


class TestBoth(StopperSuite):
    scale_free = False

    def make_stopper(self):
        return MedianRule() & Threshold(0.8)


class TestEither(StopperSuite):
    scale_free = False

    def make_stopper(self):
        return MedianRule() | Threshold()


class TestNot(StopperSuite):
    def make_stopper(self):
        return ~MedianRule()
