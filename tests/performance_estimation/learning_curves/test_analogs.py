"""Finished curves that were at the same point, and how this one goes on if it follows them."""

from __future__ import annotations

import numpy as np
import pytest

from kt_plus.performance_estimation.learning_curves.analogs import (
    ABSOLUTE,
    LEAST,
    RELATIVE,
    SHARE,
    Analogs,
    noise_of,
)

# Three curves over six epochs, in units of the search's progress: -1 to 0.
EARLY = [-1.0, -0.3, -0.1, -0.05, -0.02, 0.0]
LATE = [-1.0, -0.9, -0.8, -0.7, -0.4, -0.1]
FLAT = [-1.0, -0.98, -0.97, -0.97, -0.97, -0.97]
FINISHED = np.array([EARLY, LATE, FLAT])


def test_the_curve_that_was_at_the_same_point_counts_most():
    analogs = Analogs.of(np.array([-1.0, -0.9, -0.8]), FINISHED, 0.01)
    early, late, flat = analogs.weight / analogs.weight.sum()
    assert late > 0.9
    assert early < 0.1
    assert flat < 0.1


def test_one_that_has_the_level_but_not_the_trend_counts_less():
    level = Analogs.of(np.array([-0.8, -0.8, -0.8]), FINISHED, 0.01).weight
    both = Analogs.of(np.array([-0.99, -0.9, -0.8]), FINISHED, 0.01).weight
    assert both[1] > 3 * level[1]


def test_each_is_moved_to_the_last_value_seen():
    analogs = Analogs.of(np.array([-1.0, -0.9, -0.75]), FINISHED, 0.01)
    means, _ = analogs.at(0)
    assert means == pytest.approx([-0.75 + 0.05, -0.75 + 0.1, -0.75])
    best, deviations = analogs.best()
    assert best == pytest.approx([-0.75 + 0.1, -0.75 + 0.7, -0.75])
    # The more it gained, the less sure it is that this curve will do the same.
    least = (ABSOLUTE**2 + analogs.noise**2) ** 0.5
    assert deviations[2] == pytest.approx(least)
    assert deviations[1] == pytest.approx(((RELATIVE * 0.7) ** 2 + least**2) ** 0.5)


def test_without_near_ones_they_have_little_say():
    near = Analogs.of(np.array([-1.0, -0.9, -0.8]), FINISHED, 0.01).weight.sum()
    far = Analogs.of(np.array([-1.9, -1.9, -1.9]), FINISHED, 0.01).weight.sum()
    assert far < near < SHARE
    assert far == pytest.approx(SHARE * 3 * LEAST / (3 * LEAST + 0.3))


def test_noise_widens_what_they_say():
    rng = np.random.default_rng(0)
    smooth = np.linspace(-1, 0, 200) + np.zeros((5, 1))
    noisy = smooth + rng.normal(0, 0.05, smooth.shape)
    assert noise_of(smooth) == pytest.approx(0, abs=1e-12)
    assert noise_of(noisy) == pytest.approx(0.05, rel=0.1)
    widths = [Analogs.of(smooth[0, :9], smooth, n).best()[1].min() for n in (0.0, 0.05)]
    assert widths[0] < widths[1]


@pytest.mark.parametrize("horizon", [2, 3])
def test_a_single_value_and_a_short_horizon_will_do(horizon):
    analogs = Analogs.of(np.array([-0.9]), FINISHED[:, :horizon], 0.01)
    means, deviations = analogs.best()
    assert np.isfinite(means).all()
    assert (deviations > 0).all()
