"""Single hyperparameters: their values, their scales, their mutations."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from tests.engine.generators import dimensions, numerics, rngs


@given(dimensions(), st.floats(0, 1, exclude_max=True))
def test_every_place_has_a_value_of_the_dimension(dimension, u):
    value = dimension.from_unit(u)
    assert dimension.contains(value)
    assert type(value) is type(dimension.default)
    assert 0.0 <= dimension.to_unit(value) <= 1.0


@given(dimensions(), st.floats(0, 1, exclude_max=True))
def test_a_value_is_found_again_at_its_place(dimension, u):
    value = dimension.from_unit(u)
    again = dimension.from_unit(dimension.to_unit(value))
    if dimension.size == math.inf:
        assert again == pytest.approx(value, rel=1e-9, abs=1e-9)
    else:
        assert again == value


@given(dimensions().filter(lambda dimension: dimension.size < 1e4))
def test_a_countable_dimension_lists_all_of_its_values(dimension):
    values = dimension.samples(None)
    size = len(values)
    assert size == dimension.size == len(set(values))
    assert {dimension.from_unit(dimension.to_unit(value)) for value in values} == set(values)
    assert all(dimension.contains(value) for value in values)


@given(numerics(), st.integers(1, 20))
def test_samples_of_a_continuous_dimension_are_spread_over_it(dimension, count):
    samples = dimension.samples(count)
    if dimension.step is None and dimension.size > count:
        assert len(samples) <= count
        assert list(samples) == sorted(set(samples))
        places = [dimension.to_unit(value) for value in samples]
        if not dimension.integer:
            assert places == pytest.approx([(i + 0.5) / count for i in range(count)], abs=1e-6)


@given(dimensions().filter(lambda dimension: dimension.size > 1), rngs())
def test_a_mutation_really_changes_the_value(dimension, rng):
    value = dimension.from_unit(rng.random())
    for _ in range(5):
        mutant = dimension.mutate(value, rng)
        assert mutant != value
        assert dimension.contains(mutant)
        assert type(mutant) is type(dimension.default)
        value = mutant


@given(dimensions())
def test_the_default_is_one_of_the_values(dimension):
    assert dimension.contains(dimension.default)


def test_a_range_of_one_value_has_one_value():
    for integer, step in ((True, 1), (True, None), (False, None), (False, 0.5)):
        dimension = Numeric("x", 2, 2, step, "log" if step is None else "linear", integer)
        assert dimension.size == 1
        assert list(dimension.samples(None)) == [2]
        assert dimension.from_unit(0.7) == 2


def test_categories_are_mutated_to_any_other_alike():
    operations = Discrete("op", ("conv", "pool", "skip", "none"))
    rng = np.random.default_rng(0)
    counts = Counter(operations.mutate("pool", rng) for _ in range(3000))
    assert counts.keys() == {"conv", "skip", "none"}
    assert min(counts.values()) > 900


def test_ordered_values_are_mutated_to_neighbours_first_and_to_all_at_times():
    sizes = Discrete("size", tuple(range(11)), ordered=True)
    rng = np.random.default_rng(0)
    counts = Counter(sizes.mutate(5, rng) for _ in range(5000))
    assert counts.keys() == set(range(11)) - {5}
    assert counts[4] == pytest.approx(counts[6], rel=0.2)
    assert counts[6] > counts[7] > counts[8] > counts[9] > counts[10] > 0


def test_an_unordered_number_is_a_category():
    sizes = Discrete("size", tuple(range(11)), ordered=False)
    rng = np.random.default_rng(0)
    counts = Counter(sizes.mutate(5, rng) for _ in range(5000))
    assert counts[10] == pytest.approx(counts[6], rel=0.2)


@pytest.mark.parametrize("sampling", ["linear", "log", "reverse_log"])
def test_numbers_are_mutated_on_their_own_scale(sampling):
    dimension = Numeric("x", 1e-5, 1e-1, None, sampling)
    rng, centre = np.random.default_rng(0), dimension.from_unit(0.5)
    moves = [dimension.to_unit(dimension.mutate(centre, rng)) - 0.5 for _ in range(4000)]
    # Normal with a standard deviation of 0.2, folded at the ends, 2.5 deviations away.
    assert np.mean(moves) == pytest.approx(0.0, abs=0.01)
    assert np.std(moves) == pytest.approx(0.2, abs=0.01)


def test_a_mutation_at_the_end_of_the_range_turns_back():
    dimension, rng = Numeric("x", 0.0, 1.0), np.random.default_rng(0)
    mutants = [dimension.mutate(0.0, rng) for _ in range(1000)]
    assert all(0.0 < mutant <= 1.0 for mutant in mutants)
    assert np.mean(mutants) == pytest.approx(0.16, abs=0.02)  # 0.2 * sqrt(2 / pi)


def test_a_fine_grid_is_mutated_without_listing_it():
    dimension = Numeric("x", 0, 10**9, 1, "linear", integer=True)
    rng = np.random.default_rng(0)
    moves = [abs(dimension.mutate(5 * 10**8, rng) - 5 * 10**8) / 10**9 for _ in range(1000)]
    assert np.median(moves) == pytest.approx(0.135, abs=0.02)


def test_a_value_between_two_steps_belongs_to_the_nearer_one():
    dropout = Numeric("x", 0.0, 0.5, 0.1)
    assert dropout.from_unit(dropout.to_unit(0.3)) == pytest.approx(0.3)
    assert dropout.from_unit(dropout.to_unit(0.29)) == pytest.approx(0.3)
    assert dropout.from_unit(dropout.to_unit(0.1 + 0.2)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Numeric("x", 1, 9, 1, integer=True), (0, 10, 1.5, True, "3", math.nan, math.inf)),
        (Numeric("x", 0.0, 1.0), (-0.1, 1.1, "a", False, math.nan, -math.inf)),
        (Discrete("x", ("a", "b")), ("c", 0, True)),
        (Discrete("x", (1, 2, 3)), (0, 4, "1", 1.5)),
    ],
)
def test_other_values_are_not_contained(dimension, values):
    assert [value for value in values if dimension.contains(value)] == []


def test_a_value_that_was_rounded_to_float32_is_still_contained():
    rate = Numeric("x", 1e-4, 0.3, sampling="log")
    assert rate.contains(float(np.float32(0.3)))
    assert rate.contains(float(np.float32(1e-4)))


def test_a_default_is_of_the_type_of_the_values_and_within_them():
    assert type(Numeric("x", 0.0, 1.0, initial=0).default) is float
    assert Numeric("x", 0.0, 1.0, initial=0).default == 0.0
    beyond = Numeric("x", 1, 8, 1, integer=True, initial=20)
    assert beyond.contains(beyond.default)


def test_conditions_hold_when_all_parents_have_such_a_value():
    child = Discrete("x", (1, 2), conditions=(Condition("op", ("a", "b")), Condition("n", (1,))))
    assert child.is_active({"op": "a", "n": 1})
    assert not child.is_active({"op": "c", "n": 1})
    assert not child.is_active({"op": "a"})
