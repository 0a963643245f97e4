"""The history: which trial is the best, which have ended, what was tried."""

from __future__ import annotations

import time
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record, Verdict
from kt_plus.performance_estimation.learning_curves.forecast import Forecast, Mixture


def completed(trial_id: str, score: float, **fields) -> Record:
    return Record(trial_id, {"x": int(trial_id)}, score, "completed", **fields)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A trial, one of five, at any moment of its life."""
    status = draw(st.sampled_from(("running", "completed", "failed")))
    names = draw(st.sets(st.sampled_from("abc")))
    return Record(
        draw(st.sampled_from("01234")),
        {name: draw(st.integers(0, 1)) for name in sorted(names)},
        score=draw(st.sampled_from((0.0, 0.5, 1.0))) if status == "completed" else None,
        status=status,
        unused=draw(st.none() | st.frozensets(st.sampled_from(sorted(names) or ["z"]))),
    )


def builds_what_was_built_for(record: Record, values) -> bool:
    if record.unused is None:
        return values == record.values
    asked = record.values.keys() - record.unused
    return all(name in values and values[name] == record.values[name] for name in asked)


@given(st.lists(records(), max_size=12))
def test_a_history_knows_the_same_however_it_came_to_be(puts):
    grown = History()
    for record in puts:
        grown.put(record)
    told = History(list(grown))
    assert list(grown) == list(told)
    assert list(grown.completed) == list(told.completed)
    assert grown.best == told.best
    for values in (
        {},
        *({"a": a, "b": b} for a in (0, 1) for b in (0, 1)),
        *(r.values for r in puts),
    ):
        assert grown.tried(values) == told.tried(values)


@given(st.lists(records(), max_size=12))
def test_a_history_agrees_with_plain_search_through_its_records(puts):
    history = History(puts)
    done = [record for record in history if record.status == "completed"]
    assert list(history.completed) == done
    assert history.best == max(done, key=lambda record: record.score, default=None)
    latest = {record.trial_id: record for record in puts}
    assert {record.trial_id: record for record in history} == latest
    for values in [record.values for record in puts]:
        expected = any(builds_what_was_built_for(record, values) for record in history)
        assert history.tried(values) == expected


def test_the_best_of_equals_is_the_oldest():
    history = History([completed("0", 0.1), completed("1", 0.9), completed("2", 0.9)])
    assert history.best.trial_id == "1"
    late = History([Record("0", {}), completed("1", 0.9)])
    late.put(completed("0", 0.9))
    assert late.best.trial_id == "0"


def test_trials_that_end_out_of_order_stand_in_the_order_of_their_starts():
    history = History(Record(str(i), {"x": i}) for i in range(5))
    for trial_id in "31402":
        history.put(completed(trial_id, float(trial_id)))
    assert [record.trial_id for record in history.completed] == list("01234")
    assert history.best.trial_id == "4"


def test_a_replaced_best_trial_gives_way():
    history = History([completed("0", 0.5), completed("1", 0.9)])
    history.put(completed("1", 0.1))
    assert history.best.trial_id == "0"
    history.put(replace(history[0], status="running", score=None))
    assert history.best.trial_id == "1"
    history.put(replace(history[1], status="failed", score=None))
    assert history.best is None
    assert list(history.completed) == []


def test_a_score_that_is_not_a_number_is_never_the_best():
    nan, infinite = float("nan"), float("-inf")
    assert History([completed("0", nan), completed("1", 0.1)]).best.trial_id == "1"
    assert History([completed("0", 0.1), completed("1", nan)]).best.trial_id == "0"
    assert History([completed("0", infinite), completed("1", 0.1)]).best.trial_id == "1"


def test_running_and_failed_trials_were_tried_but_are_not_completed():
    history = History([Record("0", {"x": 0}), Record("1", {"x": 1}, status="failed")])
    assert history.tried({"x": 0})
    assert history.tried({"x": 1})
    assert not history.tried({"x": 2})
    assert history.best is None
    assert list(history.completed) == []


def test_values_that_no_model_asked_for_make_no_difference():
    values = {"layers": 1, "units_0": 8, "units_1": 16}
    history = History([Record("0", values, unused=frozenset({"units_1"}))])
    assert history.tried({"layers": 1, "units_0": 8, "units_1": 32})
    assert history.tried({"layers": 1, "units_0": 8})
    assert not history.tried({"layers": 1, "units_0": 9, "units_1": 16})
    assert not history.tried({"layers": 2, "units_0": 8, "units_1": 16})


def test_values_count_as_unused_only_once_that_is_known():
    running = Record("0", {"a": 1, "b": 1})
    history = History([running])
    assert not history.tried({"a": 1, "b": 2})
    history.put(replace(running, status="completed", score=0.5, unused=frozenset("b")))
    assert history.tried({"a": 1, "b": 2})


def test_values_that_change_at_the_end_are_tried_as_they_are_then():
    running = Record("0", {"a": 1})
    history = History([running])
    history.put(replace(running, values={"a": 1, "found": 7}, status="completed", score=0.5))
    assert history.tried({"a": 1, "found": 7})
    assert not history.tried({"a": 1})


def test_another_trial_with_the_same_values_is_not_forgotten():
    history = History([Record("0", {"a": 1}), Record("1", {"a": 1})])
    history.put(Record("1", {"a": 1, "b": 2}))
    assert history.tried({"a": 1})


def test_unused_values_are_forgotten_with_the_record_that_told_them():
    history = History([Record("0", {"a": 1, "b": 1}, unused=frozenset("b"))])
    history.put(Record("0", {"a": 2, "b": 1}, unused=frozenset("b")))
    assert history.tried({"a": 2, "b": 5})
    assert not history.tried({"a": 1, "b": 5})


def test_a_trial_is_found_by_its_id():
    history = History([completed("0", 0.5), completed("7", 0.6)])
    assert history.get("7") is history[1]
    assert history.get("3") is None
    assert [record.trial_id for record in history[-1:]] == ["7"]
    assert len(history) == 2
    assert repr(history) == "History(2 trials, 2 completed)"


def test_a_long_history_costs_hardly_more_than_a_short_one():
    def seconds_for_ten(history: History) -> float:
        began, start = time.process_time(), len(history)
        for i in range(start, start + 10):
            history.put(Record(str(i), {"x": i}))
            history.put(completed(str(i), 0.5))
            assert history.best.trial_id == "96"
            assert history.tried({"x": i})
            assert not history.tried({"x": -1})
        return time.process_time() - began

    short, long = (
        History(completed(str(i), i % 97 / 97) for i in range(size)) for size in (200, 10_000)
    )
    short_time, long_time = (min(seconds_for_ten(h) for _ in range(20)) for h in (short, long))
    assert long_time < 6 * short_time  # the history is 50 times as long


def test_values_are_shown_in_the_users_sign():
    assert History().show(0.912345) == "0.9123"
    assert History(sign=-1).show(-0.912345) == "0.9123"


def test_a_forecast_neither_tells_verdicts_apart_nor_fills_the_screen():
    forecast = Forecast(Mixture(np.ones(1), np.zeros(1), np.ones(1)), (), 3)
    verdict = Verdict(True, "late", forecast)
    assert verdict == Verdict(True, "late")
    assert hash(verdict) == hash(Verdict(True, "late"))
    assert repr(verdict) == "Verdict(stop=True, reason='late', would_stop=False)"


@pytest.mark.parametrize("thing", [Record("0", {}), Proposal({}), Verdict(True, "late")])
def test_what_a_search_knows_and_says_is_frozen(thing):
    name = next(iter(thing.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(thing, name, None)


def test_signals_are_told_by_their_names():
    assert (repr(WAIT), repr(DONE)) == ("WAIT", "DONE")
    assert WAIT is not DONE


def test_configurations_of_one_fingerprint_count_as_tried():
    def fingerprint(values):
        return str(sorted(values["layers"].split(",")))

    history = History([Record("0", {"layers": "a,b"}), Record("1", {"other": "space"})])
    assert not history.tried({"layers": "b,a"})
    history.identify_by(fingerprint)
    assert history.tried({"layers": "b,a"})
    assert history.tried({"other": "space"})  # as before, though it has no fingerprint
    assert not history.tried({"layers": "a"})
    history.put(Record("2", {"layers": "a"}))
    history.put(Record("2", {"layers": "c"}))
    assert history.tried({"layers": "c"})
    assert not history.tried({"layers": "a"})
