"""The parts that a policy chooses among: complete, consistent, and in order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kt_plus.engine.dimensions import Discrete, Numeric
from kt_plus.search_strategies.reinforcement_learning.cells import CELLS, Cells
from kt_plus.testing import SPACES

DIMENSIONS = [
    *(d for space in SPACES.values() for d in space.dimensions),
    Numeric("few", 1, 5, integer=True),
    Numeric("many", 1, 1000, None, "log", integer=True),
    Numeric("many, dense above", 1, 1000, None, "reverse_log", integer=True),
    Numeric("wide", 0, 10**9, integer=True),
    Numeric("fine", 0.0, 1.0, 0.01),
    Numeric("fine, dense above", 1.0, 100.0, 1.05, "reverse_log"),
    Discrete("a hundred", tuple(map(str, range(100)))),
    Discrete("a hundred numbers", tuple(range(100)), ordered=True),
]


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda d: f"{d.name}-{d.size}")
def test_a_value_drawn_from_a_part_lies_in_it(dimension):
    cells = Cells(dimension, 0.1)
    rng = np.random.default_rng(0)
    for cell in range(cells.count):
        for u in (0.0, 1.0, *rng.random(5)):
            assert cells.index(cells.draw(cell, u)) == cell
    assert cells.edges[0] == 0.0
    assert cells.edges[-1] == 1.0
    assert all(low < high for low, high in pairwise(cells.edges))
    assert np.exp(cells.log_widths).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda d: f"{d.name}-{d.size}")
def test_all_values_belong_to_some_part(dimension):
    cells = Cells(dimension, 0.1)
    values = dimension.samples(1000)
    assert {cells.index(value) for value in values} == set(range(cells.count))
    assert cells.count <= max(CELLS, dimension.size if isinstance(dimension, Discrete) else 0)
    if dimension.size <= 5:
        assert cells.count == dimension.size


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda d: f"{d.name}-{d.size}")
def test_drawing_parts_by_their_width_is_drawing_uniformly(dimension):
    cells, rng = Cells(dimension, 0.1), np.random.default_rng(0)
    chosen = rng.choice(cells.count, 4000, p=np.exp(cells.log_widths))
    mine = [dimension.to_unit(cells.draw(int(c), rng.random())) for c in chosen]
    theirs = [dimension.to_unit(dimension.from_unit(u)) for u in rng.random(4000)]
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert np.mean(np.array(mine) < share) == pytest.approx(
            np.mean(np.array(theirs) < share), abs=0.04
        )


def test_neighbours_of_a_number_share_what_is_learnt():
    cells = Cells(Numeric("rate", 0.0, 1.0), 0.1)
    bumps = cells.spread(np.eye(32))
    shared = bumps @ bumps.T
    assert all(a > b for a, b in pairwise(shared[0, :10]))  # the further, the less
    assert shared[0, 3] > 0.5 * shared[0, 0]
    assert shared[0, 20] < 1e-3 * shared[0, 0]
    np.testing.assert_allclose(bumps.sum(axis=1), 1.0)
    np.testing.assert_allclose(cells.log_widths, -np.log(32))


@pytest.mark.parametrize(
    ("dimension", "smoothness"),
    [(Discrete("op", ("a", "b", "c")), 0.1), (Numeric("rate", 0.0, 1.0), 0.0)],
)
def test_categories_and_plain_bins_share_nothing(dimension, smoothness):
    cells = Cells(dimension, smoothness)
    np.testing.assert_array_equal(cells.spread(np.eye(cells.count)), np.eye(cells.count))


def test_parts_are_told_in_words():
    assert Cells(Discrete("op", ("a", "b")), 0.1).labels() == ["a", "b"]
    assert Cells(Numeric("layers", 1, 3, 1, integer=True), 0.1).labels() == ["1", "2", "3"]
    assert Cells(Numeric("rate", 0.0, 1.0), 0.1).labels()[0] == "0 to 0.0312"
    assert Cells(Numeric("units", 1, 1000, integer=True), 0.1).labels()[1] == "32 to 62"
    assert Cells(Numeric("near", 1000.0, 1001.0), 0.1).labels()[1] == "1000.03 to 1000.06"


def test_a_long_list_of_numbers_is_cut_into_parts_and_one_of_names_is_not():
    names = tuple(map(str, range(100)))
    assert Cells(Discrete("size", tuple(range(100)), ordered=True), 0.1).count == CELLS
    assert Cells(Discrete("name", names), 0.1).count == 100
