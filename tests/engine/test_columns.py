"""The vectorized view of a space agrees with `Space`, which handles one configuration at a time."""

from __future__ import annotations

import numpy as np
import pytest

from kt_plus.engine.columns import Columns, from_unit, to_unit
from kt_plus.engine.dimensions import Discrete, Numeric
from kt_plus.engine.space import Space
from kt_plus.testing import SPACES

KINDS = pytest.mark.parametrize("kind", sorted(SPACES))


def drawn(space: Space, count: int = 200) -> list[dict]:
    rng = np.random.default_rng(0)
    return [space.draw(rng) for _ in range(count)]


@KINDS
def test_encoding_and_decoding_restores_each_configuration_exactly(kind):
    columns = Columns(SPACES[kind])
    configurations = drawn(SPACES[kind])
    decoded = columns.decode(columns.encode(configurations))
    assert [list(values.items()) for values in decoded] == [
        list(values.items()) for values in configurations
    ]
    assert [[type(v) for v in values.values()] for values in decoded] == [
        [type(v) for v in values.values()] for values in configurations
    ]


def test_a_default_between_two_steps_survives():
    space = Space([Numeric("rate", 0.0, 1.0, 0.4, initial=0.5)])
    columns = Columns(space)
    assert columns.decode(columns.encode([{"rate": 0.5}])) == [{"rate": 0.5}]


@KINDS
def test_drawn_mutated_and_crossed_rows_are_legal_and_complete(kind):
    space, rng = SPACES[kind], np.random.default_rng(1)
    columns = Columns(space)
    first, second = columns.draw(300, rng), columns.draw(300, rng)
    varied = [first, columns.mutate(first, rng, more=0.5), columns.cross(first, second, rng)]
    for rows in varied:
        for values in columns.decode(rows):
            assert space.check(values) == values


@KINDS
def test_a_mutation_changes_something_where_something_can_change(kind):
    space, rng = SPACES[kind], np.random.default_rng(2)
    columns = Columns(space)
    rows = columns.draw(300, rng)
    pairs = zip(columns.decode(rows), columns.decode(columns.mutate(rows, rng)), strict=True)
    can_change = any(d.size > 1 for d in space.dimensions)
    assert all((before != after) == can_change for before, after in pairs)


def test_frozen_values_stay_unless_nothing_else_can_change():
    columns = Columns(SPACES["flat"])
    rows = columns.draw(200, np.random.default_rng(3))
    names = [d.name for d in columns.dimensions]
    frozen = np.tile([name != "norm" for name in names], (200, 1))
    children = columns.mutate(rows, np.random.default_rng(4), more=0.9, frozen=frozen)
    changed = (children != rows).any(0)
    assert [n for n, c in zip(names, changed, strict=True) if c] == ["norm"]
    everything = np.ones(rows.shape, bool)
    assert (columns.mutate(rows, np.random.default_rng(5), frozen=everything) != rows).any(1).all()


def test_a_cross_takes_each_value_from_a_parent():
    columns = Columns(SPACES["numeric"])
    rng = np.random.default_rng(6)
    mothers, fathers = columns.draw(100, rng), columns.draw(100, rng)
    children = columns.cross(mothers, fathers, rng)
    assert ((children == mothers) | (children == fathers)).all()
    assert (children != mothers).any()
    assert (children != fathers).any()


def test_the_share_of_each_value_is_that_of_the_space():
    """Compares 20,000 draws with the exact probabilities, within four standard errors."""
    columns = Columns(SPACES["nested"])
    rows = columns.draw(20_000, np.random.default_rng(7))
    names = [d.name for d in columns.dimensions]
    active = ~np.isnan(rows).any(0)
    assert [n for n, a in zip(names, active, strict=True) if a] == ["op"]
    share = 1 - np.isnan(rows[:, names.index("bottleneck")]).mean()
    expected = 2 / 3 * 2 / 3
    assert abs(share - expected) < 4 * (expected * (1 - expected) / 20_000) ** 0.5


DIMENSIONS = [
    Discrete("choice", ("a", "b", "c")),
    Discrete("ordered", (1, 2, 4), ordered=True),
    Numeric("linear", -1.0, 3.0),
    Numeric("log", 1e-5, 10.0, None, "log"),
    Numeric("reverse", 1e-3, 1.0, None, "reverse_log"),
    Numeric("whole", 1, 512, None, "log", integer=True),
    Numeric("steps", 0.0, 1.0, 0.1),
    Numeric("powers", 1, 1024, 2, "log", integer=True),
    Numeric("constant", 2.0, 2.0),
]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda d: d.name)
def test_units_are_those_of_the_dimension(dimension):
    units = np.linspace(0, 1, 101)[:-1]
    values = from_unit(dimension, units)
    one_by_one = [dimension.from_unit(float(u)) for u in units]
    if isinstance(dimension, Discrete):
        assert [dimension.choices[int(i)] for i in values] == one_by_one
        codes = [dimension.choices.index(v) for v in one_by_one]
    else:
        np.testing.assert_allclose(values, one_by_one, rtol=1e-12)
        codes = one_by_one
    expected = [dimension.to_unit(v) for v in one_by_one]
    np.testing.assert_allclose(to_unit(dimension, np.array(codes, float)), expected, atol=1e-12)


def test_the_order_of_declarations_changes_nothing():
    forward, backward = Space(DIMENSIONS), Space(DIMENSIONS[::-1])
    draws = [
        Columns(s).decode(Columns(s).draw(20, np.random.default_rng(8)))
        for s in (forward, backward)
    ]
    assert draws[0] == draws[1]


def test_an_empty_space_has_empty_rows():
    columns = Columns(Space())
    rows = columns.mutate(columns.draw(3, np.random.default_rng(9)), np.random.default_rng(9))
    assert rows.shape == (3, 0)
    assert columns.decode(rows) == [{}, {}, {}]
    assert columns.unit(rows).shape == (3, 0)
