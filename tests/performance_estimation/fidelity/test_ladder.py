"""Levels, ladders, and what may be wrong with them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus import fidelity
from kt_plus.performance_estimation.fidelity import (
    Cells,
    DataFraction,
    Epochs,
    Ladder,
    Resolution,
    Width,
)
from kt_plus.performance_estimation.fidelity.epochs import halving_epochs
from kt_plus.performance_estimation.training_data import TrainingData

SHARES = (DataFraction, Resolution, Width, Cells)


def hp(**values):
    return SimpleNamespace(values={f"tuner/{name}": value for name, value in values.items()})


def test_a_ladder_of_several_says_what_each_rung_is():
    ladder = Ladder(Epochs(5, 10, 20), DataFraction(1 / 4, 1 / 2, 1), Width(0.3, 0.5, 1))
    assert len(ladder) == 3
    assert ladder.directives(0) == {"epochs": 5, "data_fraction": 0.25, "width": 0.3}
    assert ladder.describe(0) == "5 epochs, 1/4 of the data, 0.3 of the width"
    assert ladder.describe(2) == "20 epochs, all data, full width"
    assert ladder.cost(0) == pytest.approx(0.25 * 0.09)
    assert ladder.cost(2) == 1
    assert repr(ladder) == (
        "Ladder(Epochs(5, 10, 20), DataFraction(1/4, 1/2, 1), Width(0.3, 1/2, 1))"
    )
    assert Ladder.of(Epochs(1, 2)).get_config() == [["epochs", [1, 2]]]
    assert Ladder.of([Epochs(1, 2), Cells(0.5, 1)]).directives(1) == {"epochs": 2, "cells": 1.0}
    assert Ladder.of(ladder) is ladder


def test_only_what_is_the_beginning_of_the_next_rung_goes_on():
    assert Ladder(Epochs(1, 2)).goes_on(1)
    assert not Ladder(Epochs(1, 2)).goes_on(0)
    for share in SHARES:
        assert not Ladder(share(0.5, 1)).goes_on(1)
        assert not Ladder(Epochs(1, 2), share(0.5, 1)).goes_on(1)


def test_geometric_levels():
    assert DataFraction.geometric(1 / 8).levels == (1 / 8, 1 / 4, 1 / 2, 1)
    assert Resolution.geometric(0.1, factor=3).levels == (1 / 9, 1 / 3, 1)
    assert Epochs.geometric(5, 40).levels == (5, 10, 20, 40)
    assert Epochs.geometric(2, 50, factor=3).levels == (6, 17, 50)
    assert Epochs.geometric(4, 4).levels == (4,)


def test_epochs_of_successive_halving():
    assert halving_epochs(64, 2, min_epochs=100).levels == (100, 200, 400, 800, 1600, 3200, 6400)
    assert halving_epochs(64, 2, max_epochs=64).levels == (1, 2, 4, 8, 16, 32, 64)
    assert halving_epochs(64, 2).levels == (2, 4, 7, 13, 25, 50, 100)
    assert halving_epochs(81, 3, max_epochs=81).levels == (1, 3, 9, 27, 81)
    assert halving_epochs(None, 3, max_epochs=52).levels == (2, 6, 18, 52)
    assert halving_epochs(None, 4, 2, 52).levels == (2, 8, 32, 52)
    assert halving_epochs(1000, 2, max_epochs=3).levels == (2, 3)
    assert halving_epochs(1, 2, max_epochs=3).levels == (3,)


@given(st.integers(1, 500), st.integers(2, 5), st.integers(1, 200))
def test_epochs_end_with_the_full_ones(configurations, factor, most):
    assert halving_epochs(configurations, factor, max_epochs=most).levels[-1] == most


def test_the_hook_scales_and_is_nothing_without_a_ladder():
    assert fidelity.width(hp(), 64) == 64
    assert fidelity.width(hp(width=0.25), 64) == 16
    assert fidelity.width(hp(width=float(np.float32(1 / 3))), 48) == 16
    assert fidelity.width(hp(width=0.01), 8) == 1
    assert fidelity.cells(hp(cells=0.5), 5) == 3
    assert fidelity.resolution(hp(resolution=0.5), 28) == 14
    assert fidelity.resolution(hp(width=0.5), 28) == 28


def test_a_fidelity_of_ones_own():
    class Clean(fidelity.Fidelity):
        name = "clean_labels"

        def apply(self, level, data):
            return data.replaced(y=data.y * level)

    ladder = Ladder(Clean(0.5, 1.0))
    assert ladder.apply(0, TrainingData(np.ones(3), np.ones(3))).y.tolist() == [0.5] * 3
    assert ladder.describe(0) == "clean labels 0.5"


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((), "has no levels"),
        ((0.5, 0.5, 1), "do not increase: 0.5 follows 0.5"),
        ((0.5, 0.25, 1), "do not increase: 0.25 follows 0.5"),
        ((0.25, 0.5), "The last level of .* is not 1"),
        ((0, 1), "the level 0. Expected a share above 0"),
        ((0.5, 1.5), "the level 1.5"),
        ((True,), "the level True"),
        (("1/2", 1), "the level '1/2'"),
    ],
)
def test_bad_shares(share, levels, message):
    with pytest.raises(ValueError, match=message):
        share(*levels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Epochs(), "has no levels"),
        (lambda: Epochs(2, 2), "do not increase"),
        (lambda: Epochs(0, 2), "the level 0. Expected a whole number of epochs from 1"),
        (lambda: Epochs(1.5, 2), "the level 1.5"),
        (lambda: Ladder(), "Expected fidelities"),
        (lambda: Ladder(3), "Expected fidelities"),
        (lambda: Ladder(Epochs(1, 2), Epochs(3, 4)), "has one fidelity twice"),
        (lambda: Ladder(Epochs(1, 2), Width(1)), r"have \[1, 2\] levels"),
        (lambda: halving_epochs(8, 2, 0), "min_epochs=0"),
        (lambda: halving_epochs(8, 2, 5, 4), "min_epochs=5 is more than max_epochs=4"),
        (lambda: halving_epochs(None, 2, 5), "Expected max_epochs too"),
        (lambda: DataFraction(0.5, 1, stratify="yes"), "stratify='yes' was given"),
    ],
)
def test_bad_ladders(make, message):
    with pytest.raises(ValueError, match=message):
        make()
