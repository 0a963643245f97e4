"""Stopping by learning-curve extrapolation: when it stops, when it must not, and what it says."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping import (
    Divergence,
    LearningCurveExtrapolation,
    stopper_of,
)

HORIZON = 30


def curve(last: float, gain: float = 0.5, pace: float = 4.0, epochs: int = HORIZON) -> tuple:
    rng = np.random.default_rng(round(1e6 * last))
    values = last - gain * np.exp(-np.arange(1, epochs + 1) / pace)
    return tuple((values + rng.normal(0, 0.003, epochs)).tolist())


def finished(name: str, values: tuple, **more) -> Record:
    fields = {"score": max(values), "status": "completed", "curve": values, "horizon": HORIZON}
    return Record(name, {"x": name}, **(fields | more))


def running(values: tuple, **more) -> Record:
    return Record("new", {"x": "new"}, **({"curve": values, "horizon": HORIZON} | more))


ENDED = [finished(str(i), curve(last)) for i, last in enumerate((0.7, 0.9, 0.8, 0.75, 0.85))]
RULE = LearningCurveExtrapolation()


def judge(trial: Record, others=ENDED, rule=RULE, sign: int = 1) -> Verdict:
    return rule.judge(trial, History([*others, trial], sign=sign))


def test_a_hopeless_trial_is_stopped_and_told_why():
    verdict = judge(running(curve(0.6)[:10]))
    assert verdict.stop
    assert verdict.reason.startswith("P(beating 0.9")
    assert "predicted best 0.6" in verdict.reason
    assert "90 % interval 0." in verdict.reason
    assert verdict.forecast.probability_above(0.9) < 0.05


def test_a_loss_is_told_as_a_loss():
    others = [replace(r, curve=tuple(v - 1 for v in r.curve), score=r.score - 1) for r in ENDED]
    verdict = judge(running(tuple(v - 1 for v in curve(0.6)[:10])), others, sign=-1)
    assert verdict.stop
    assert verdict.reason.startswith("P(beating 0.09")
    assert "predicted best 0.3" in verdict.reason


def test_a_promising_trial_goes_on():
    assert not judge(running(curve(0.95)[:10])).stop
    assert not judge(running(curve(0.9, gain=0.6, pace=5.0)[:6])).stop


@settings(deadline=None, max_examples=40)
@given(values=st.lists(st.floats(-1, 2), min_size=1, max_size=HORIZON - 1))
def test_a_curve_above_the_incumbent_is_never_stopped(values):
    incumbent = max(record.score for record in ENDED)
    assert not judge(running((*values[:-1], incumbent + 1e-6))).stop


def test_the_best_at_the_epoch_are_protected():
    slow = [finished(str(i), curve(0.6 + i / 100, pace=6.0)) for i in range(7)]
    quick = finished("quick", curve(0.95, pace=1.0))
    trial = running(curve(0.75, pace=6.0)[:12])
    verdict = judge(trial, [*slow, quick])
    assert not verdict.stop
    assert verdict.reason == "number 2 of 9 trials at this epoch"
    assert judge(trial, [*slow, quick], LearningCurveExtrapolation(protected=0)).stop


def test_nothing_is_stopped_before_enough_trials_have_ended():
    trial = running(curve(0.3)[:10])
    assert not judge(trial, ENDED[:2]).stop
    stopped = replace(ENDED[2], curve=ENDED[2].curve[:5], verdict=Verdict(True, "a rule"))
    assert judge(trial, [*ENDED[:2], stopped]).reason == "2 of 3 trials have run to their end"
    assert judge(trial, ENDED[:3]).stop


def test_without_a_horizon_it_says_so_and_goes_on():
    verdict = judge(running(curve(0.3)[:10], horizon=None))
    assert not verdict.stop
    assert "not known" in verdict.reason


def test_a_trial_that_resumes_is_compared_over_its_own_epochs():
    late = running(curve(0.6)[10:15], first_epoch=10)
    verdict = judge(late)
    assert verdict.stop
    assert verdict.forecast.observed == 5
    assert verdict.forecast.horizon == HORIZON - 10
    unknown = [replace(record, first_epoch=20, curve=record.curve[20:]) for record in ENDED]
    assert not judge(late, unknown).stop or judge(late, unknown).forecast is not None


def test_horizons_may_differ_between_trials():
    short = [finished(f"s{i}", curve(0.7 + i / 50, epochs=12), horizon=12) for i in range(4)]
    verdict = judge(running(curve(0.5, epochs=60)[:15], horizon=60), [*ENDED, *short])
    assert verdict.stop
    assert verdict.forecast.horizon == 60


@pytest.mark.parametrize("value", [math.nan, -math.inf, -1e34])
def test_a_diverged_trial_is_stopped(value):
    assert judge(running((*curve(0.8)[:4], value)), rule=stopper_of("auto")).stop


def test_a_lower_threshold_stops_no_more():
    rules = [LearningCurveExtrapolation(threshold=t, protected=0) for t in (0.2, 0.05, 0.01, 1e-9)]
    for last in np.linspace(0.5, 0.95, 8):
        for epochs in (2, 5, 10):
            trial = running(curve(float(last))[:epochs])
            stops = [judge(trial, rule=rule).stop for rule in rules]
            assert stops == sorted(stops, reverse=True)


def test_auto_is_this_rule_and_divergence():
    assert stopper_of("auto") == LearningCurveExtrapolation() | Divergence()


@pytest.mark.parametrize(
    "settings_",
    [
        {"threshold": 0},
        {"threshold": 1},
        {"threshold": "low"},
        {"protected": -0.1},
        {"protected": 1},
        {"min_trials": 0},
        {"min_epochs": 0},
    ],
)
def test_impossible_settings_are_refused(settings_):
    with pytest.raises(ValueError, match="Expected"):
        LearningCurveExtrapolation(**settings_)
