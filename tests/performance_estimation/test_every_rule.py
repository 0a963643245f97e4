"""The conformance suite, run over every stopping rule and the operators."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping import (
    Divergence,
    LearningCurveExtrapolation,
    MedianRule,
    Patience,
    PercentileRule,
    Stopper,
    SuccessiveHalvingRule,
)
from kt_plus.testing import StopperSuite, invented_history


@dataclass(frozen=True)
class Threshold(Stopper):
    """Stops what is below a value of its own after some epochs."""

    least: float = 0.3
    epochs: int = 5

    def judge(self, trial: Record, history: History) -> Verdict:
        best = max((v for v in trial.curve if not math.isnan(v)), default=math.inf)
        hopeless = len(trial.curve) >= self.epochs and best < self.least
        return Verdict(hopeless, f"{best:.4g} after {len(trial.curve)} epochs")


@pytest.mark.versions
class TestLearningCurveExtrapolation(StopperSuite):
    def make_stopper(self):
        return LearningCurveExtrapolation()


class TestBoldLearningCurveExtrapolation(StopperSuite):
    def make_stopper(self):
        return LearningCurveExtrapolation(0.2, protected=0, min_trials=1, min_epochs=1)


class TestMedianRule(StopperSuite):
    def make_stopper(self):
        return MedianRule()


class TestMedianRuleThatStopsEarly(StopperSuite):
    def make_stopper(self):
        return MedianRule(min_trials=1, min_epochs=1)


class TestPercentileRule(StopperSuite):
    def make_stopper(self):
        return PercentileRule(70)


class TestSuccessiveHalvingRule(StopperSuite):
    def make_stopper(self):
        return SuccessiveHalvingRule()


class TestSuccessiveHalvingRuleThatStartsLate(StopperSuite):
    def make_stopper(self):
        return SuccessiveHalvingRule(eta=2, min_epochs=3, min_trials=4)


class TestPatience(StopperSuite):
    def make_stopper(self):
        return Patience(3)


class TestPatienceWithAThreshold(StopperSuite):
    scale_free = False

    def make_stopper(self):
        return Patience(3, min_delta=0.01)


class TestDivergence(StopperSuite):
    def make_stopper(self):
        return Divergence()

    def histories(self):
        """Usual searches whose running trials explode, become NaN or go on."""
        return [_with_divergence(invented_history(seed)) for seed in range(5)]


def _with_divergence(history: History) -> History:
    *others, a, b, c = history
    exploded = (*a.curve[:5], *(a.curve[0] - 64.0 * 4**i for i in range(5)))
    return History(
        [*others, replace(a, curve=exploded), replace(b, curve=(*b.curve[:3], math.nan)), c]
    )


class TestBothOfSeveral(StopperSuite):
    def make_stopper(self):
        return MedianRule(1, 1) & Patience(1)


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


class TestDryRun(StopperSuite):
    """Beside a rule that stops: alone it stops nothing."""

    scale_free = False

    def make_stopper(self):
        return MedianRule().dry_run() | Threshold()
