"""Rules combined by & | and ~."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping import MedianRule, Stopper

TRIAL, HISTORY = Record("0", {}, curve=(0.5,)), History()


@dataclass(frozen=True)
class Says(Stopper):
    """Always says the same, and counts how often it was asked."""

    stop: bool
    reason: str = ""

    def judge(self, trial: Record, history: History) -> Verdict:
        return Verdict(self.stop, self.reason)


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
