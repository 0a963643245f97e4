"""Random and grid search, and the rule that nothing is tried twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import Strategy, draw_untried, exhausted, untried
from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.exhaustive import Grid, RandomSampling
from kt_plus.testing import SPACES, simulate


def proposed(strategy, space, trials=1000, **settings):
    return [dict(proposal.values) for _, proposal in simulate(strategy, space, trials, **settings)]


# Grid


def test_the_grid_begins_with_the_defaults_and_runs_through_the_last_first():
    space = Space(
        [
            Discrete("op", ("conv", "pool"), initial="pool"),
            Discrete("units", (8, 16, 32), ordered=True, initial=16),
        ]
    )
    assert [tuple(values.values()) for values in proposed(Grid(), space)] == [
        ("pool", 16),
        ("pool", 8),
        ("pool", 32),
        ("conv", 16),
        ("conv", 8),
        ("conv", 32),
    ]


def test_the_grid_without_special_defaults_is_the_enumeration():
    for kind in ("flat", "one name, several conditions", "fixed", "empty"):
        assert proposed(Grid(), SPACES[kind]) == list(SPACES[kind].enumerate())
    nested = SPACES["nested, children first"]
    found, expected = (
        {tuple(sorted(values.items())) for values in configurations}
        for configurations in (proposed(Grid(samples=4), nested), nested.enumerate(samples=4))
    )
    assert found > expected  # the grid has the default of "a_rate" as well


def test_a_continuous_hyperparameter_has_as_many_values_as_asked_and_its_default():
    space = Space([Numeric("rate", 1e-4, 1.0, None, "log", initial=1e-3)])
    rates = [values["rate"] for values in proposed(Grid(samples=4), space)]
    assert rates == pytest.approx([1e-3, 10**-3.5, 10**-2.5, 10**-1.5, 10**-0.5])


def test_children_of_a_new_branch_begin_with_their_defaults():
    space = Space(
        [
            Discrete("op", ("conv", "pool")),
            Discrete("size", (3, 5), initial=5, conditions=(Condition("op", ("pool",)),)),
        ]
    )
    assert proposed(Grid(), space) == [
        {"op": "conv"},
        {"op": "pool", "size": 5},
        {"op": "pool", "size": 3},
    ]


def test_a_branch_whose_child_was_declared_before_another_parent_of_its_name():
    space = Space(
        [
            Discrete("op", ("a", "b")),
            Discrete("n", (1, 2), conditions=(Condition("op", ("a",)),)),
            Discrete("child", (5, 6), conditions=(Condition("n", (1,)),)),
            Discrete("n", (1, 2), conditions=(Condition("op", ("b",)),)),
        ]
    )
    assert len(proposed(Grid(), space)) == 6


def test_the_grid_fills_what_others_have_left_out():
    space = SPACES["flat"]
    everything = list(space.enumerate())
    given = [everything[i] for i in (23, 5, 11)]
    history = History(Record(f"old/{i}", v, 0.5, "completed") for i, v in enumerate(given))
    rest = []
    while isinstance(answer := Grid().propose(space, history, np.random.default_rng()), Proposal):
        rest.append(answer.values)
        history.put(Record(str(len(rest)), answer.values, 0.5, "completed"))
    assert answer is DONE
    assert len(rest) == 21
    assert all(values in rest or values in given for values in everything)


def test_the_grid_takes_up_hyperparameters_that_are_found_on_the_way():
    large = Space([Discrete("op", ("conv", "pool")), Discrete("norm", (False, True))])
    history = History(
        [
            Record("0", {"op": "conv", "norm": False}, 0.5, "completed"),
            Record("1", {"op": "pool"}, None, "running"),
        ]
    )
    found = []
    while isinstance(answer := Grid().propose(large, history, np.random.default_rng()), Proposal):
        found.append(answer.values)
        history.put(Record(f"new{len(found)}", answer.values, 0.5, "completed"))
    assert answer is WAIT  # trial 1 is still running
    assert {"op": "conv", "norm": True} in found
    assert {"op": "pool", "norm": True} in found


def test_a_default_outside_of_the_range_does_not_end_the_grid():
    space = Space([Numeric("n", 1, 3, 1, integer=True, initial=9), Discrete("norm", (False, True))])
    found = {tuple(values.values()) for values in proposed(Grid(), space)}
    assert {(n, norm) for n in (1, 2, 3) for norm in (False, True)} <= found


# Random search


def test_random_search_is_uniform_over_configurations_of_a_flat_space():
    counts = Counter(
        tuple(RandomSampling().propose(SPACES["flat"], History(), rng).values.values())
        for rng in map(np.random.default_rng, range(4800))
    )
    assert len(counts) == 24
    assert min(counts.values()) > 140
    assert max(counts.values()) < 260


def test_random_search_finds_the_last_of_many_configurations():
    space = Space([Numeric("n", 1, 3000, 1, integer=True)])
    history = History(Record(str(n), {"n": n}, status="failed") for n in range(1, 3001) if n != 77)
    assert RandomSampling().propose(space, history, np.random.default_rng(0)).values == {"n": 77}


def test_what_is_left_is_drawn_with_equal_chances():
    space = Space([Numeric("n", 1, 2000, 1, integer=True)])
    left = {5, 900, 1999}
    history = History(Record(str(n), {"n": n}) for n in range(1, 2001) if n not in left)
    counts = Counter(
        draw_untried(space, history, np.random.default_rng(seed)).values["n"] for seed in range(90)
    )
    assert counts.keys() == left
    assert min(counts.values()) > 15


# The end


@pytest.mark.parametrize(
    "strategy", [evolution(30, random_trials=3), RandomSampling(), Grid()], ids=type
)
def test_twenty_four_combinations_are_twenty_four_trials(strategy):
    for workers in (1, 5, 24, 30):
        tried = proposed(strategy, SPACES["flat"], 100, workers=workers)
        assert len(tried) == 24
        assert len({tuple(sorted(values.items())) for values in tried}) == 24


@pytest.mark.parametrize(
    "strategy", [evolution(30, random_trials=3), RandomSampling(), Grid()], ids=type
)
def test_the_end_waits_for_running_trials_which_may_find_more(strategy):
    space, rng = Space([Discrete("norm", (False, True))]), np.random.default_rng(0)
    history = History([Record("0", {"norm": False}, 0.5, "completed"), Record("1", {"norm": True})])
    assert strategy.propose(space, history, rng) is WAIT
    history.put(Record("1", {"norm": True}, status="failed"))
    assert strategy.propose(space, history, rng) is DONE


def test_exhausted_waits_for_running_trials_only():
    assert exhausted(History()) is DONE
    assert exhausted(History([Record("0", {}, 0.5, "completed")])) is DONE
    assert exhausted(History([Record("0", {})])) is WAIT


def test_an_empty_space_is_one_trial():
    for strategy in (evolution(10), RandomSampling(), Grid()):
        assert proposed(strategy, Space()) == [{}]


def test_a_proposal_that_was_tried_is_made_again():
    space, rng = SPACES["flat"], np.random.default_rng(0)
    answers = [{"norm": True}, {"norm": True}, {"norm": False}]
    history = History([Record("0", {"norm": True})])
    made = iter(Proposal(space.check(values)) for values in answers)
    history.put(Record("1", space.check({"norm": True})))
    assert untried(space, history, rng, lambda: next(made)).values == space.check({})
    assert list(made) == []


def test_where_every_proposal_was_tried_a_random_one_is_made():
    space, rng = SPACES["flat"], np.random.default_rng(0)
    tried = space.defaults()
    history = History([Record("0", tried, 0.5, "completed")])
    answer = untried(space, history, rng, lambda: Proposal(tried, parent="0"))
    assert answer.values != tried
    assert answer.parent is None


def test_every_strategy_is_one():
    for strategy in (evolution(10), RandomSampling(), Grid()):
        assert isinstance(strategy, Strategy)
    assert not isinstance(object(), Strategy)
