"""Rules combined by & | and ~."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.learning_curves.forecast import Forecast, Mixture
from kt_plus.performance_estimation.stopping import MedianRule, Stopper
from kt_plus.performance_estimation.stopping.base import is_dry

TRIAL, HISTORY = Record("0", {}, curve=(0.5,)), History()


@dataclass(frozen=True)
class Says(Stopper):
    """Always says the same, and counts how often it was asked."""

    stop: bool
    reason: str = ""
    forecast: Forecast | None = None

    def judge(self, trial: Record, history: History) -> Verdict:
        return Verdict(self.stop, self.reason, self.forecast)


def judged(rule: Stopper) -> tuple[bool, str]:
    verdict = rule.judge(TRIAL, HISTORY)
    return verdict.stop, verdict.reason


@pytest.mark.parametrize(("a", "b"), [*itertools.product((False, True), repeat=2)])
def test_the_operators_are_those_of_logic(a, b):
    first, second = Says(a, "first"), Says(b, "second")
    assert judged(first & second)[0] == (a and b)
    assert judged(first | second)[0] == (a or b)
    assert judged(~first)[0] == (not a)
    assert judged(~(first & second))[0] == judged(~first | ~second)[0]
    assert judged(~(first | second))[0] == judged(~first & ~second)[0]


def test_both_give_both_reasons():
    assert judged(Says(True, "late") & Says(True, "low")) == (True, "late; low")


def test_both_go_on_for_the_reason_of_the_one_that_would():
    assert judged(Says(True, "late") & Says(False, "high")) == (False, "high")
    assert judged(Says(False, "early") & Says(True, "low")) == (False, "early")


def test_either_gives_the_reason_of_the_one_that_stops():
    assert judged(Says(True, "late") | Says(True, "low")) == (True, "late")
    assert judged(Says(False, "early") | Says(True, "low")) == (True, "low")


def test_not_gives_the_reason_that_it_denies():
    stop, reason = judged(~Says(False, "nothing is wrong"))
    assert stop
    assert "nothing is wrong" in reason
    assert "epochs" in judged(~MedianRule())[1]


def test_not_of_a_rule_without_reasons_names_the_rule():
    stop, reason = judged(~Says(False))
    assert stop
    assert reason.startswith("the opposite of: Says(stop=False")
    assert judged(Says(True) & Says(True, "low")) == (True, "low")


def forecast(value: float) -> Forecast:
    future = Mixture(np.ones(1), np.array([value]), np.ones(1))
    return Forecast(future, (future,), 1)


def test_forecasts_are_carried_on():
    first, second = forecast(1.0), forecast(2.0)

    def carried(rule: Stopper) -> Forecast | None:
        return rule.judge(TRIAL, HISTORY).forecast

    for stops in (True, False):
        with_one, with_other = Says(stops, "a", first), Says(True, "b", second)
        assert carried(with_one & Says(True, "c")) is first
        assert carried(Says(True, "c") & with_one) is first
        assert carried(with_one | Says(True, "c")) is first
        assert carried(Says(False, "c") | with_one) is first
        assert carried(~with_one) is first
        assert carried(with_one.dry_run()) is first
        assert carried(with_one & with_other) is first
    assert carried(Says(False, "a", first) | Says(True, "b", second)) is second
    assert carried(Says(False) | Says(False)) is None


def wanted(rule: Stopper) -> tuple[bool, bool]:
    verdict = rule.judge(TRIAL, HISTORY)
    return verdict.stop, verdict.would_stop


STOPS, DRY = (True, False), (False, True)
GOES_ON = (False, False)


@pytest.mark.parametrize(("a", "b"), [*itertools.product((False, True), repeat=2)])
def test_a_dry_run_never_stops_and_tells_what_it_would_have_done(a, b):
    first, second = Says(a, "first"), Says(b, "second")
    dry = first.dry_run()
    assert wanted(dry) == (DRY if a else GOES_ON)
    assert wanted(~dry) == (GOES_ON if a else DRY)
    assert wanted((~first).dry_run()) == wanted(~dry)
    assert wanted(dry & second) == wanted(second & dry) == (DRY if a and b else GOES_ON)
    # Beside a rule that stops, the other stops as it would alone.
    assert wanted(dry | second) == wanted(second | dry) == (STOPS if b else DRY if a else GOES_ON)
    assert wanted(~(dry | second)) == (GOES_ON if a or b else DRY)
    assert wanted((first | second).dry_run()) == wanted(dry | second.dry_run())
    assert wanted(dry.dry_run()) == wanted(dry)


def test_the_reason_of_a_dry_run_is_the_rules():
    assert judged(Says(True, "low").dry_run()) == (False, "low")
    assert judged(Says(True, "low").dry_run() | Says(False, "high")) == (False, "low")
    assert judged(Says(False, "high") | Says(True, "low").dry_run()) == (False, "low")
    assert judged(Says(True, "low").dry_run() | Says(True, "late")) == (True, "late")


def test_a_part_of_a_rule_can_be_dry():
    dry = Says(True).dry_run()
    for rule in (dry, ~dry, dry & Says(True), Says(True) | ~(Says(True) & dry), dry.dry_run()):
        assert is_dry(rule)
    for rule in (Says(True), ~Says(True), Says(True) | MedianRule() & Says(True), None, 5):
        assert not is_dry(rule)


def test_a_dry_run_judges_as_if_its_stops_had_been_real():
    seen: list[History] = []

    class Looking(Stopper):
        def judge(self, trial: Record, history: History) -> Verdict:
            seen.append(history)
            return Verdict(True, "always")

    history = History([TRIAL])
    rule = Looking().dry_run()
    rule.judge(TRIAL, history)
    assert seen == [history]
    history.dry = History([TRIAL])
    rule.judge(TRIAL, history)
    assert seen[1] is history.dry
    history.dry.put(replace(TRIAL, status="completed", verdict=Verdict(True, "too low")))
    verdict = rule.judge(TRIAL, history)
    assert len(seen) == 2
    assert (verdict.stop, verdict.would_stop) == (False, False)
    assert verdict.reason == "would have been stopped before: too low"


def test_operators_nest():
    rule = (Says(True, "a") | Says(False, "b")) & ~Says(False, "c") & Says(True, "d")
    stop, reason = judged(rule)
    assert stop
    assert reason.startswith("a; ")
    assert reason.endswith("; d")


def test_both_ask_the_second_rule_only_where_the_first_would_stop():
    class Expensive(Stopper):
        asked = 0

        def judge(self, trial, history):
            Expensive.asked += 1
            return Verdict(True, "expensive")

    judged(Says(False, "early") & Expensive())
    judged(Says(True, "late") | Expensive())
    assert Expensive.asked == 0
    judged(Says(True, "late") & Expensive())
    assert Expensive.asked == 1


def test_rules_are_told_apart_by_their_settings():
    assert MedianRule(3, 4) == MedianRule(min_trials=3, min_epochs=4)
    assert MedianRule() != MedianRule(3)
    assert MedianRule() & MedianRule(3) == MedianRule() & MedianRule(3)
    assert "MedianRule(min_trials=3, min_epochs=4)" in repr(~MedianRule(3, 4))


def test_a_rule_needs_a_judge():
    class Forgotten(Stopper):
        pass

    with pytest.raises(TypeError, match="judge"):
        Forgotten()
