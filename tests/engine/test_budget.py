"""Budgets of time and epochs, over all sessions of a search."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from kt_plus.engine import budget as budget_module
from kt_plus.engine.budget import Budget
from tests.errors import raises_in_three_parts


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to go on."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(budget_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_without_limits_nothing_is_ever_exhausted(clock):
    budget = Budget.of(None, None)
    budget.begin()
    clock.now += 1e9
    budget.epochs += 10**9
    assert budget.exhausted() is None


@pytest.mark.parametrize("max_time", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_time_is_given_in_seconds_or_as_a_timedelta(clock, max_time):
    budget = Budget.of(max_time, None)
    budget.begin()
    clock.now += 89.9
    assert budget.exhausted() is None
    clock.now += 0.1
    assert budget.exhausted() == "the search's 90 seconds are used up"


def test_epochs_are_counted_until_they_are_used_up():
    budget = Budget.of(None, 3)
    for _ in range(2):
        budget.epochs += 1
    assert budget.exhausted() is None
    budget.epochs += 1
    assert budget.exhausted() == "the search's 3 epochs are used up"


def test_the_clock_runs_from_the_first_begin(clock):
    budget = Budget.of(10, None)
    clock.now += 100
    assert budget.seconds == 0
    budget.begin()
    clock.now += 4
    budget.begin()
    clock.now += 4
    assert budget.seconds == 8


def test_a_pause_is_not_counted(clock):
    budget = Budget.of(10, None)
    budget.begin()
    clock.now += 6
    budget.pause()
    budget.pause()
    clock.now += 1000
    assert budget.seconds == 6
    budget.begin()
    clock.now += 4
    assert budget.exhausted()


def test_earlier_sessions_count_and_the_time_between_does_not(clock):
    budget = Budget.of(10, 20)
    budget.resume(seconds=7, epochs=19)
    clock.now += 1000
    assert (budget.seconds, budget.epochs) == (7, 19)
    assert budget.exhausted() is None
    budget.begin()
    clock.now += 3
    assert "10 seconds" in budget.exhausted()
    spent = Budget.of(None, 20)
    spent.resume(seconds=0, epochs=20)
    assert "20 epochs" in spent.exhausted()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), timedelta(0), "1h"])
def test_an_impossible_time_is_refused(limit):
    with raises_in_three_parts(ValueError, happened="max_time=", expected="above 0"):
        Budget.of(limit, None)


@pytest.mark.parametrize("limit", [0, -5, float("nan"), "many"])
def test_an_impossible_number_of_epochs_is_refused(limit):
    with raises_in_three_parts(ValueError, happened="max_epochs_total=", expected="above 0"):
        Budget.of(None, limit)


def test_numbers_of_numpy_are_numbers():
    assert Budget.of(np.float32(10), np.int64(3)) == Budget.of(10, 3)
