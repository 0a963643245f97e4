"""The search space: draw, mutate, cross, encode, decode, enumerate, check."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.space import Hooks, Space
from kt_plus.testing import SPACES
from tests.engine.generators import discretes, rngs, spaces
from tests.errors import raises_in_three_parts


def assert_whole(space, values):
    """Checks that just the active hyperparameters have a value, a legal one."""
    active = [d for d in space.dimensions if all(c.holds(values) for c in d.conditions)]
    assert values.keys() == {d.name for d in active}
    for name, value in values.items():
        assert any(d.contains(value) for d in active if d.name == name)


def stable(seed):
    return np.random.default_rng(seed)


@given(spaces(), rngs())
def test_every_operation_gives_a_whole_configuration(space, rng):
    mother, father = space.draw(rng), space.draw(rng)
    point = rng.random(len(space.dimensions))
    for values in (
        mother,
        space.defaults(),
        space.mutate(mother, rng).values,
        space.cross(mother, father, rng).values,
        space.decode(point),
        *itertools.islice(space.enumerate(samples=3), 5),
    ):
        assert_whole(space, values)
        assert space.check(values) == values


@given(spaces(), st.data(), st.integers(0, 2**32))
def test_the_order_of_arrival_changes_nothing_of_what_is_drawn(space, data, seed):
    other = Space(data.draw(st.permutations(space.dimensions)))
    mother, father = space.draw(stable(seed)), space.draw(stable(seed + 1))
    assert other.draw(stable(seed)) == mother
    for change in (
        lambda s: s.mutate(mother, stable(seed)),
        lambda s: s.cross(mother, father, stable(seed)),
    ):
        assert change(other).values == change(space).values
        assert set(change(other).changed) == set(change(space).changed)


@given(spaces())
def test_parents_come_before_their_children(space):
    for i, dimension in enumerate(space.dimensions):
        later = {d.name for d in space.dimensions[i:]}
        assert later.isdisjoint(condition.name for condition in dimension.conditions)


def test_an_order_with_parents_first_is_kept():
    dimensions = SPACES["nested"].dimensions
    assert [d.name for d in dimensions] == ["op", "depth", "average", "bottleneck", "a_rate"]
    assert Space(dimensions).dimensions == dimensions


def test_conditions_in_a_circle_are_never_active_and_end():
    chicken = Discrete("chicken", (0, 1), conditions=(Condition("egg", (1,)),))
    egg = Discrete("egg", (0, 1), conditions=(Condition("chicken", (1,)),))
    space = Space([chicken, egg, Discrete("farm", (0, 1))])
    assert space.defaults() == {"farm": 0}
    assert list(space.enumerate()) == [{"farm": 0}, {"farm": 1}]


def test_a_deep_space_is_sorted_at_once():
    deep = [Discrete("h0", (0, 1))]
    for i in range(1, 60):
        above = tuple(Condition(d.name, (1,)) for d in deep)
        deep.append(Discrete(f"h{i}", (0, 1), conditions=above))
    assert len(list(Space(reversed(deep)).enumerate())) == 61


@given(spaces(), rngs())
def test_a_mutation_changes_one_gene_and_draws_what_it_activates(space, rng):
    before = space.draw(rng)
    change = space.mutate(before, rng)
    old, new = space.active(before), space.active(change.values)
    mutated = [d for d in new if d in old and new[d] != old[d]]
    assert len(mutated) == any(d.size > 1 for d in old)
    for dimension in new.keys() - old.keys():
        assert not dimension.is_active(before)  # it was activated
    for dimension in old.keys() - new.keys():
        assert not dimension.is_active(change.values)  # it was deactivated
    assert change.changed == tuple(
        name for name, value in change.values.items() if value != before.get(name)
    )


@given(spaces(), rngs(), st.data())
def test_frozen_names_are_left_alone_while_others_can_change(space, rng, data):
    before = space.draw(rng)
    frozen = {name for name in before if data.draw(st.booleans())}
    free = {d.name for d in space.active(before) if d.size > 1}
    assume(free)
    old, new = (space.active(v) for v in (before, space.mutate(before, rng, frozen).values))
    (mutated,) = (d.name for d in new if d in old and new[d] != old[d])
    assert mutated in (free - frozen or free)


def test_every_gene_is_mutated_equally_often():
    space = SPACES["flat"]
    rng, before = np.random.default_rng(0), SPACES["flat"].defaults()
    counts = Counter(space.mutate(before, rng).changed for _ in range(3000))
    assert counts.keys() == {("activation",), ("norm",), ("units",)}
    assert min(counts.values()) > 900


def test_children_of_a_flipped_condition_are_fresh_and_others_are_kept():
    space, rng = SPACES["nested"], np.random.default_rng(0)
    pooling = {"op": "pool", "average": True}
    flipped = [space.mutate(pooling, rng).values for _ in range(600)]
    convolutions = [values for values in flipped if values["op"] != "pool"]
    assert {values["depth"] for values in convolutions} == {1, 2, 3}
    assert len({values.get("a_rate") for values in convolutions}) > 50
    deep = {"op": "conv", "depth": 2, "bottleneck": True, "a_rate": 0.125}
    for values in (space.mutate(deep, rng).values for _ in range(600)):
        if values["op"] == "sepconv":  # the condition on it holds as before
            assert values == {**deep, "op": "sepconv"}
        if values.get("depth") == 3:
            assert values == {**deep, "depth": 3}


def test_a_name_under_another_condition_is_another_gene():
    space, rng = SPACES["one name, several conditions"], np.random.default_rng(0)
    children = [space.mutate({"op": "pool", "size": 3}, rng).values for _ in range(300)]
    convolutions = [values for values in children if values["op"] == "conv"]
    # 3 is legal for both, but it was the pool's: the convolution's is drawn afresh.
    assert {values["size"] for values in convolutions} == {3, 5}


def test_a_parent_that_knew_fewer_hyperparameters_has_whole_children():
    space = Space([Discrete("old", (1,)), Discrete("new", (1, 2)), Numeric("rate", 0.0, 1.0)])
    for values in ({}, {"old": 1}, {"gone": 3}, {"old": 99}, {"old": 1, "new": 2}):
        rng = np.random.default_rng(0)
        assert_whole(space, space.mutate(values, rng).values)
        assert_whole(space, space.cross(values, {"new": 1}, rng).values)


@given(spaces(), rngs())
def test_crossover_takes_every_gene_from_a_parent_that_has_it(space, rng):
    mother, father = space.draw(rng), space.draw(rng)
    change = space.cross(mother, father, rng)
    first, second = space.active(mother), space.active(father)
    for dimension, value in space.active(change.values).items():
        sources = [genes[dimension] for genes in (first, second) if dimension in genes]
        assert not sources or value in sources
    assert space.cross(mother, mother, rng).values == mother
    assert change.changed == tuple(
        name for name, value in change.values.items() if value != mother.get(name)
    )


def test_crossover_takes_from_both_parents_equally():
    space, rng = SPACES["flat"], np.random.default_rng(0)
    mother = {"activation": "relu", "norm": False, "units": 16}
    father = {"activation": "tanh", "norm": True, "units": 64}
    children = Counter(tuple(space.cross(mother, father, rng).values.items()) for _ in range(4000))
    assert len(children) == 8
    assert min(children.values()) > 400


@given(spaces(), rngs())
def test_a_configuration_survives_encoding(space, rng):
    values = space.draw(rng)
    point, genes = space.encode(values), space.active(values)
    assert [not math.isnan(x) for x in point] == [d in genes for d in space.dimensions]
    assert np.nanmin([*point, 0.5]) >= 0.0
    assert np.nanmax([*point, 0.5]) <= 1.0
    again = space.decode(point)
    assert again.keys() == values.keys()
    for dimension, value in genes.items():
        exact = dimension.size != math.inf
        assert again[dimension.name] == (value if exact else pytest.approx(value, 1e-8, 1e-8))


def test_decoding_uses_the_default_where_nothing_is_known():
    nothing = [math.nan] * 5
    assert SPACES["nested"].decode(nothing) == SPACES["nested"].defaults()
    with pytest.raises(ValueError, match=r"shorter|longer"):
        SPACES["nested"].decode([0.5])


@given(spaces(largest=4, kinds=discretes), rngs())
def test_enumeration_has_every_configuration_once(space, rng):
    everything = list(space.enumerate())
    distinct = {frozenset(values.items()) for values in everything}
    assert len(distinct) == len(everything)
    for values in everything:
        assert_whole(space, values)
    for _ in range(20):
        assert frozenset(space.draw(rng).items()) in distinct
    assert space.is_finite


def test_enumeration_runs_through_the_last_dimension_first():
    found = [tuple(values.values()) for values in SPACES["flat"].enumerate()]
    activations, units = ("relu", "tanh", "gelu", "silu"), (16, 32, 64)
    assert found == list(itertools.product(activations, (False, True), units))
    assert len(found) == 24


def test_enumeration_of_a_nested_space_is_what_one_writes_by_hand():
    found = [tuple(v.values()) for v in SPACES["one name, several conditions"].enumerate()]
    assert found == [
        ("conv", 3, False),
        ("conv", 3, True),
        ("conv", 5),
        ("pool", 2),
        ("pool", 3, False),
        ("pool", 3, True),
        ("skip",),
    ]


def test_a_continuous_space_is_enumerated_by_samples_and_is_not_finite():
    space = Space([Numeric("rate", 0.0, 1.0), Discrete("norm", (False, True))])
    assert not space.is_finite
    assert len(list(space.enumerate(samples=5))) == 10
    whole = Space([Numeric("width", 1, 300, None, "log", integer=True)])
    assert whole.is_finite
    assert len(list(whole.enumerate(samples=None))) == 300
    assert len(list(whole.enumerate(samples=10))) == 10


def test_an_empty_space_has_one_configuration():
    space, rng = Space(), np.random.default_rng(0)
    assert list(space.enumerate()) == [{}]
    assert space.draw(rng) == space.defaults() == space.mutate({}, rng).values == {}
    assert space.encode({}).shape == (0,)
    assert space.is_finite


def test_dimensions_given_twice_count_once():
    norm = Discrete("norm", (False, True))
    assert Space([norm, norm]).dimensions == (norm,)


def test_check_completes_with_defaults():
    assert SPACES["flat"].check({"units": 64}) == {"activation": "relu", "norm": False, "units": 64}
    assert SPACES["nested"].check({"op": "pool"}) == {"op": "pool", "average": False}


def test_check_gives_values_the_type_of_their_dimension():
    space = Space(
        [
            Numeric("layers", 1, 5, 1, integer=True),
            Numeric("rate", 0.0, 1.0),
            Discrete("norm", (False, True)),
            Discrete("size", (1, 2, 3)),
        ]
    )
    found = space.check({"layers": 3.0, "rate": 1, "norm": 1, "size": np.int64(2)})
    assert {name: (type(v), v) for name, v in found.items()} == {
        "layers": (int, 3),
        "rate": (float, 1.0),
        "norm": (bool, True),
        "size": (int, 2),
    }


def test_check_refuses_a_name_that_does_not_exist():
    with raises_in_three_parts(
        ValueError, happened="'unit'", expected="['activation', 'norm', 'units']"
    ):
        SPACES["flat"].check({"unit": 32})


def test_check_refuses_a_name_that_is_not_active():
    with raises_in_three_parts(ValueError, happened="'average'", expected="not active"):
        SPACES["nested"].check({"op": "conv", "average": True})


def test_check_refuses_a_value_that_is_not_allowed():
    with raises_in_three_parts(ValueError, happened="24 is not a value of 'units'", expected="16"):
        SPACES["flat"].check({"units": 24})
    with raises_in_three_parts(
        ValueError, happened="0.7 is not a value of 'a_rate'", expected="0.5"
    ):
        SPACES["nested"].check({"depth": 2, "bottleneck": True, "a_rate": 0.7})


FLAT = Space([Discrete("a", tuple(range(10))), Discrete("b", tuple(range(10)))])


def hooked(**hooks):
    return Space(FLAT.dimensions, Hooks(**hooks))


@given(rngs())
def test_whatever_a_space_makes_is_valid(rng):
    space = hooked(valid=lambda values: values["a"] + values["b"] <= 3)
    mother, father = space.draw(rng), space.draw(rng)
    for values in (
        mother,
        space.mutate(mother, rng).values,
        space.cross(mother, father, rng).values,
        *space.enumerate(),
    ):
        assert space.admits(values)
        assert values["a"] + values["b"] <= 3
    assert len(list(space.enumerate())) == 10


def test_a_space_in_which_nothing_is_valid_says_so():
    space = hooked(valid=lambda values: False)
    with raises_in_three_parts(
        ValueError, happened="Of 1000 configurations", expected="Expected a bound"
    ):
        space.draw(stable(0))


def test_half_of_the_mutations_are_the_hypermodels_own():
    space = hooked(mutate=lambda values, rng: {"a": 9 - values["a"], "b": 9 - values["b"]})
    start = {"a": 1, "b": 2}
    children = [space.mutate(start, stable(seed)) for seed in range(200)]
    own = [child for child in children if child.values == {"a": 8, "b": 7}]
    assert 70 < len(own) < 130
    assert all(set(child.changed) == {"a", "b"} for child in own)
    assert all(child.values != start for child in children)


def test_a_hypermodel_that_changes_nothing_leaves_mutation_to_the_space():
    space = hooked(mutate=lambda values, rng: values)
    start = {"a": 1, "b": 2}
    assert all(len(space.mutate(start, stable(seed)).changed) == 1 for seed in range(50))


def test_what_a_hypermodel_changes_outside_of_the_space_stays_as_it_was():
    space = hooked(mutate=lambda values, rng: {"a": 10, "b": 9 - values["b"], "c": 1})
    start = {"a": 1, "b": 2}
    children = [space.mutate(start, stable(seed)).values for seed in range(50)]
    assert {"a": 1, "b": 7} in children
    assert all(FLAT.check(child) == child != start for child in children)


def test_hooks_are_the_methods_of_a_hypermodel_that_has_them():
    class Hypermodel:
        valid = True  # of somebody else's, and no method

        def mutate(self, values, rng):
            return values

    model = Hypermodel()
    assert Hooks.of(model) == Hooks(mutate=model.mutate)
    assert Hooks.of(lambda hp: None) == Hooks.of(None) == Hooks()
