"""From samples to a forecast, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kt_plus.performance_estimation.learning_curves.posterior import (
    Samples,
    finite_values,
    read_prefix,
)

pytestmark = pytest.mark.versions

NOTHING = np.empty(0)


def test_the_best_of_ten_normal_values_has_their_maximums_moments():
    prefix = read_prefix([], 10, (0.0, 1.0), NOTHING)
    samples = Samples(np.full((2_000, 10), 0.5), np.full(2_000, 0.1))
    best = samples.forecast(prefix).best
    assert best.mean == pytest.approx(0.5 + 0.1 * 1.5388, abs=0.002)
    # The 5 and 95 % quantiles of the maximum are those of a value at 0.05^0.1 and 0.95^0.1.
    assert best.quantile(0.05) == pytest.approx(0.5 + 0.1 * 0.646, abs=0.01)
    assert best.quantile(0.95) == pytest.approx(0.5 + 0.1 * 2.568, abs=0.02)


def test_without_noise_the_best_is_the_highest_mean():
    prefix = read_prefix([0.1], 4, (0.0, 1.0), NOTHING)
    means = np.array([[0.2, 0.6, 0.3], [0.2, 0.4, 0.8]])
    forecast = Samples(means, np.full(2, 1e-9)).forecast(prefix)
    assert forecast.mean == pytest.approx(0.7)
    assert forecast.probability_above(0.7) == pytest.approx(0.5)
    assert [forecast.at(epoch).mean for epoch in (2, 3, 4)] == pytest.approx([0.2, 0.5, 0.55])


def test_a_prefix_knows_its_epochs_and_its_best():
    prefix = read_prefix([0.2, math.nan, 0.6, -math.inf, 0.4], 9, None, NOTHING)
    assert prefix.epochs.tolist() == [1, 3, 5]
    assert prefix.values.tolist() == [0.2, 0.6, 0.4]
    assert (prefix.observed, prefix.floor) == (5, 0.6)
    assert (prefix.low, prefix.high) == (0, 1)


def test_what_is_outside_the_unit_interval_is_mapped_into_it():
    prefix = read_prefix([-2.0, -1.5, -1.2], 9, None, finite_values([[-2.1, -1.0], [-1.9, -0.4]]))
    assert prefix.low < -2.1
    assert prefix.high > -0.4
    assert prefix.values == pytest.approx(
        (np.array([-2.0, -1.5, -1.2]) - prefix.low) / (prefix.high - prefix.low)
    )


def test_an_explosion_does_not_set_the_range():
    prefix = read_prefix([-2.0, -1.5], 9, None, finite_values([[-2.0, -1e34], [-2.0, -1.0, -0.8]]))
    assert -10 < prefix.low < -1
    assert prefix.high < 1


def test_a_constant_loss_has_a_range():
    prefix = read_prefix([-2.0, -2.0], 9, None, NOTHING)
    assert prefix.low < -2 < prefix.high
    assert np.isfinite(prefix.values).all()
