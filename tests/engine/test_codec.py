"""Dimensions against Keras Tuner's own hyperparameters: the same values at the same places."""

from __future__ import annotations

from dataclasses import replace

import keras_tuner
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kt_plus.engine.dimensions import Condition, Dimension, Discrete, Numeric, dimension_from
from kt_plus.engine.space import Space
from kt_plus.testing import SPACES, hyperparameters_of
from tests.engine.generators import dimensions, numerics, rngs, spaces
from tests.errors import raises_in_three_parts

pytestmark = pytest.mark.versions


def in_keras_tuner(dimension: Dimension):
    (hyperparameter,) = hyperparameters_of(Space([replace(dimension, conditions=())])).space
    return hyperparameter


def told(dimension: Dimension):
    """All that a dimension is, however its default was given."""
    return replace(dimension, initial=None), dimension.default


@given(dimensions())
def test_a_dimension_is_read_as_it_was_written(dimension):
    assert told(dimension_from(in_keras_tuner(dimension))) == told(dimension)


@given(spaces())
def test_a_space_is_read_as_it_was_written(space):
    found = Space.from_hyperparameters(hyperparameters_of(space).space)
    assert list(map(told, found.dimensions)) == list(map(told, space.dimensions))


@given(dimensions(), st.floats(0, 1, exclude_max=True))
def test_from_unit_is_prob_to_value(dimension, u):
    place = u * dimension.size
    # At the edge of two values, u * n and u / (1 / n) may be rounded to either side.
    assume(not dimension.size < 1e4 or u == 0 or abs(place - round(place)) > 1e-6)
    expected, found = in_keras_tuner(dimension).prob_to_value(u), dimension.from_unit(u)
    if isinstance(dimension, Numeric) and dimension.step is None:
        # Keras Tuner's may lie outside of the range by a rounding error.
        expected = min(max(expected, dimension.low), dimension.high)
    assert found == expected
    assert type(found) is type(expected)


@given(dimensions(), st.floats(0, 1, exclude_max=True))
def test_to_unit_is_value_to_prob(dimension, u):
    value, hyperparameter = dimension.from_unit(u), in_keras_tuner(dimension)
    expected = hyperparameter.value_to_prob(value)
    # Keras Tuner's own place of a value may be that of its neighbour: 0.3 // 0.1 is 2.
    assume(hyperparameter.prob_to_value(min(max(expected, 0.0), 1 - 1e-12)) == value)
    assert dimension.to_unit(value) == pytest.approx(expected, abs=1e-6)


@given(numerics().filter(lambda dimension: dimension.step is not None))
def test_a_step_leads_to_the_values_that_keras_tuner_has(dimension):
    expected = in_keras_tuner(dimension).values
    found = [int(v) for v in expected] if dimension.integer else list(expected)
    assert list(dimension.samples()) == found


@pytest.mark.parametrize("sampling", ["log", "reverse_log"])
@pytest.mark.parametrize("integer", [False, True])
def test_without_a_step_the_ten_values_of_keras_tuner_stand_for_all(integer, sampling):
    dimension = Numeric("x", 3, 3000, None, sampling, integer)
    expected = sorted(in_keras_tuner(dimension).values)
    assert dimension.samples(10) == pytest.approx(expected, rel=1e-12)


def test_every_kind_is_read_from_what_a_model_declares():
    hp = keras_tuner.HyperParameters()
    hp.Choice("op", ["conv", "pool"], default="pool")
    hp.Choice("size", [1, 3, 5])
    hp.Choice("plain", [1, 3, 5], ordered=False)
    hp.Boolean("bias", default=True)
    hp.Fixed("units", 7)
    hp.Int("layers", 1, 5, default=2)
    hp.Int("width", 8, 64, step=2, sampling="log")
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    with hp.conditional_scope("op", ["conv"]):
        hp.Float("drop", 0, 0.5, step=0.1)
    assert [dimension_from(entry) for entry in hp.space] == [
        Discrete("op", ("conv", "pool"), False, "pool"),
        Discrete("size", (1, 3, 5), True, 1),
        Discrete("plain", (1, 3, 5), False, 1),
        Discrete("bias", (False, True), False, True),
        Discrete("units", (7,)),
        Numeric("layers", 1, 5, 1, "linear", True, 2),
        Numeric("width", 8, 64, 2, "log", True, 8),
        Numeric("rate", 1e-4, 1e-1, None, "log", False, 1e-4),
        Numeric("drop", 0, 0.5, 0.1, initial=0, conditions=(Condition("op", ("conv",)),)),
    ]


def test_a_choice_that_is_listed_twice_counts_once():
    hp = keras_tuner.HyperParameters()
    hp.Choice("x", [1, 2, 2, 3, 1])
    assert dimension_from(hp.space[0]).samples() == (1, 2, 3)


def test_a_hyperparameter_of_another_kind_is_refused():
    class Vector(keras_tuner.engine.hyperparameters.HyperParameter):
        pass

    with raises_in_three_parts(TypeError, happened="'x' is a Vector", expected="Choice, Int"):
        dimension_from(Vector("x"))


@given(spaces(), rngs())
def test_what_is_drawn_is_what_keras_tuner_holds_active(space, rng):
    hyperparameters = hyperparameters_of(space)
    hyperparameters.values = space.draw(rng)
    active = {hp.name for hp in hyperparameters.space if hyperparameters.is_active(hp)}
    assert hyperparameters.values.keys() == active


def test_the_order_of_types_that_grpc_brings_loses_no_branch():
    hp = keras_tuner.HyperParameters()
    hp.Choice("op", ["conv", "pool"])
    with hp.conditional_scope("op", ["conv"]):
        hp.Boolean("norm")
        with hp.conditional_scope("norm", [True]):
            hp.Float("epsilon", 0.0, 1.0)
    arrived = keras_tuner.HyperParameters.from_proto(hp.to_proto()).space
    assert [entry.name for entry in arrived] == ["epsilon", "op", "norm"]
    assert Space.from_hyperparameters(arrived).decode([0.0, 0.9, 0.5]) == {
        "op": "conv",
        "norm": True,
        "epsilon": 0.5,
    }


@pytest.mark.parametrize("kind", SPACES)
def test_the_public_spaces_are_spaces_of_keras_tuner(kind):
    found = Space.from_hyperparameters(hyperparameters_of(SPACES[kind]).space)
    assert list(map(told, found.dimensions)) == list(map(told, SPACES[kind].dimensions))
