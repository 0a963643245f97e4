"""Reinforcement learning by name: defaults that follow the budget, and bad input."""

from __future__ import annotations

import math
import warnings

import pytest

from kt_plus.engine.space import Space
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
from kt_plus.search_strategies.reinforcement_learning.algorithms import PPO, Reinforce
from kt_plus.testing import SPACES, simulate
from tests.errors import raises_in_three_parts


@pytest.mark.parametrize("max_trials", [10, 100, 10_000, None])
def test_defaults_make_no_noise(max_trials):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = reinforcement_learning(max_trials).settings
    assert settings.algorithm == PPO()
    assert settings.units == 32
    assert settings.network_rate == pytest.approx(settings.learning_rate / 15)


def test_the_shorter_the_search_the_faster_it_learns():
    budgets = (1000, 500, 200, 100)
    rates = [reinforcement_learning(n).settings.learning_rate for n in budgets]
    assert rates == sorted(rates)
    assert reinforcement_learning(50).settings.learning_rate == 0.1
    assert reinforcement_learning(10**6).settings.learning_rate == 0.01


def test_arguments_are_obeyed():
    settings = reinforcement_learning(
        100,
        algorithm="reinforce",
        controller="independent",
        reward="cubed",
        learning_rate=0.5,
        entropy=0.3,
        batch_size=7,
        smoothness=0.0,
    ).settings
    assert settings.algorithm == Reinforce(7, 0.3)
    assert settings.units == 0
    assert (settings.reward, settings.learning_rate, settings.smoothness) == ("cubed", 0.5, 0.0)


@pytest.mark.parametrize(("batch", "window"), [(1, 20), (20, 20), (50, 50)])
def test_a_batch_fits_into_the_window(batch, window):
    algorithm = reinforcement_learning(100, batch_size=batch).settings.algorithm
    assert (algorithm.batch_size, algorithm.window) == (batch, window)


@pytest.mark.parametrize("max_trials", [1, 3, 5])
def test_a_budget_no_larger_than_a_batch_is_warned_of(max_trials):
    with pytest.warns(UserWarning, match=r"batch_size=5 .*random search. Choose") as caught:
        strategy = reinforcement_learning(max_trials)
    assert len(caught) == 1
    assert len(list(simulate(strategy, SPACES["flat"], max_trials))) == max_trials


@pytest.mark.parametrize("kind", ["empty", "fixed"])
def test_a_space_with_nothing_to_choose_is_warned_of(kind):
    space = SPACES[kind]
    with pytest.warns(UserWarning, match=r"nothing to choose.*one trial.*Declare") as caught:
        search = list(simulate(reinforcement_learning(20), space, 20))
    assert len(caught) == len(search) == 1
    assert not list(simulate(reinforcement_learning(20), Space(), 20))[1:]


@pytest.mark.parametrize(
    ("name", "known"),
    [("algorithm", "'reinforce', 'ppo'"), ("controller", "'lstm'"), ("reward", "'ranks'")],
)
@pytest.mark.parametrize("value", ["no such", None, 3])
def test_an_unknown_name_is_refused(name, known, value):
    with raises_in_three_parts(ValueError, happened=f"{name}={value!r}", expected=known):
        reinforcement_learning(100, **{name: value})


@pytest.mark.parametrize("name", ["batch_size", "units"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "many", True, math.nan])
def test_a_count_that_is_no_whole_number_is_refused(name, value):
    with raises_in_three_parts(
        ValueError, happened=f"{name}={value!r}", expected="Expected a whole number of at least 1"
    ):
        reinforcement_learning(100, **{name: value})


@pytest.mark.parametrize("name", ["learning_rate", "entropy", "smoothness"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "much", True])
def test_a_number_that_is_impossible_is_refused(name, value):
    with raises_in_three_parts(
        ValueError, happened=f"{name}={value!r}", expected="Expected a number of at least 0"
    ):
        reinforcement_learning(100, **{name: value})
