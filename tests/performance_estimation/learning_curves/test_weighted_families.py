"""Domhan et al.'s model: its families, its density, and what its samples forecast."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("emcee", reason="emcee is not installed")

from kt_plus.performance_estimation.learning_curves import WeightedFamilies, weighted_families
from kt_plus.performance_estimation.learning_curves.families import FAMILIES
from kt_plus.performance_estimation.learning_curves.posterior import read_prefix

HORIZON = 30
EPOCHS = np.arange(1.0, HORIZON + 1)
POWER_LAW = 0.9 - 0.5 * EPOCHS**-0.7

# Worked out by hand at epoch 4 from the formulas of the paper's table 1.
AT_FOUR = {
    "vapor pressure": ((-0.5, -1.0, 0.1), math.exp(-0.5 - 0.25) * 4**0.1),
    "pow3": ((0.9, 0.5, 0.5), 0.9 - 0.5 / 2),
    "log log linear": ((0.2, 1.3), math.log(0.2 * math.log(4) + 1.3)),
    "Hill3": ((0.9, 2.0, 3.0), 0.9 * 16 / (9 + 16)),
    "log power": ((0.9, math.log(2), -1.0), 0.9 / (1 + 2 / 4)),
    "pow4": ((0.9, 1.0, 1.0, 1.0), 0.9 - 1 / 5),
    "MMF": ((0.9, 0.1, 0.5, 1.0), 0.9 - 0.8 / 3),
    "exp4": ((0.9, 1.0, -1.0, 0.5), 0.9 - math.exp(-3)),
    "Janoschek": ((0.9, 0.1, 0.25, 1.0), 0.9 - 0.8 * math.exp(-1)),
    "Weibull": ((0.9, 0.1, 0.5, 2.0), 0.9 - 0.8 * math.exp(-4)),
    "ilog2": ((0.9, 0.3), 0.9 - 0.3 / math.log(5)),
}


def model(**settings) -> WeightedFamilies:
    return WeightedFamilies(**{"horizon": HORIZON, "steps": 100} | settings)


def density(prefix) -> weighted_families._Posterior:
    return weighted_families._Posterior(read_prefix(prefix, HORIZON, None, np.empty(0)), HORIZON)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_family_is_the_papers(family):
    theta, value = AT_FOUR[family.name]
    assert len(theta) == family.parameters
    assert family.curve(np.array([4.0]), *theta)[0] == pytest.approx(value)


def test_there_are_eleven():
    assert len(FAMILIES) == len(AT_FOUR) == 11


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize(("first", "last"), [(0.1, 0.9), (0.5, 0.51), (0.02, 0.03), (0.9, 0.97)])
def test_a_fit_starts_from_a_curve_that_rises_about_as_it_should(family, first, last):
    curve = family.curve(EPOCHS, *family.start(first, last, HORIZON))
    assert np.isfinite(curve).all()
    assert (np.diff(curve) > 0).all()
    assert curve[0] == pytest.approx(first, abs=0.1)
    # Most go on to an asymptote that is half as much again above.
    assert first < curve[-1] < last + 0.51 * (last - first)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_familys_own_curve_is_fitted(family):
    curve = family.curve(EPOCHS, *AT_FOUR[family.name][0])
    theta = weighted_families._fit(family, EPOCHS, curve, HORIZON)
    assert family.curve(EPOCHS, *theta) == pytest.approx(curve, abs=0.01)


def test_the_density_is_a_normal_one_of_the_errors():
    prefix = POWER_LAW[:6].tolist()
    posterior = density(prefix)
    sample = posterior.start(100, np.random.default_rng(0))[0]
    noisier = sample.copy()
    noisier[-1] += 0.5
    curve = weighted_families._combined(sample[None], EPOCHS[:6])[0]

    def expected(log_sigma: float) -> float:
        z = (curve - prefix) / math.exp(log_sigma)
        return float(-0.5 * z @ z - 6 * log_sigma - 0.5 * (log_sigma + 4) ** 2)

    got = posterior.log(np.stack([sample, noisier]))
    assert got[1] - got[0] == pytest.approx(expected(noisier[-1]) - expected(sample[-1]))


def test_impossible_parameters_have_no_density():
    posterior = density(POWER_LAW[:6].tolist())
    good = posterior.start(100, np.random.default_rng(0))[0]
    negative, too_high, loud = good.copy(), good.copy(), good.copy()
    negative[0] = -0.01
    too_high[: len(FAMILIES)] *= 2
    loud[-1] = -1.9
    falling = np.concatenate([[1.0], np.zeros(10), good[11:]])
    falling[11:14] = (-0.5, 0.0, -0.1)  # the first family is the vapor pressure
    samples = np.stack([good, negative, too_high, loud, falling])
    assert np.isfinite(posterior.log(samples)).tolist() == [True, False, False, False, False]


def test_a_power_law_is_recovered():
    noise = np.random.default_rng(0).normal(0, 0.005, HORIZON)
    seen = (POWER_LAW + noise)[:15].tolist()
    forecast = model(steps=400).forecast(seen)
    last = forecast.at(HORIZON)
    assert last.mean == pytest.approx(POWER_LAW[-1], abs=0.03)
    assert last.quantile(0.02) < POWER_LAW[-1] < last.quantile(0.98)
    assert forecast.at(16).mean == pytest.approx(POWER_LAW[15], abs=0.015)


def test_the_interval_narrows_as_epochs_grow():
    widths = []
    for seen in (4, 12, 26):
        last = model(steps=400).forecast(POWER_LAW[:seen].tolist()).at(HORIZON)
        widths.append(last.quantile(0.95) - last.quantile(0.05))
    assert widths[0] > widths[1] > widths[2]


def test_a_forecast_repeats_and_its_seed_matters():
    prefix = POWER_LAW[:5].tolist()
    first, again, other = (model(seed=seed).forecast(prefix).mean for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    "prefix",
    [
        [0.9, 0.8, 0.7, 0.6],
        [0.5] * 6,
        [0.3],
        [0.0] * 4,
        [1.0] * 4,
        [math.nan, 0.4, math.inf, 0.5],
        [-3.0, -5.0, -4.0],
        [-1e34, -2.0, -1.0],
        [-1e300, 1e300, 1.0],
        [-1e99, 1e99],
    ],
    ids=str,
)
def test_odd_beginnings_have_a_forecast(prefix):
    forecast = model(steps=20).forecast(prefix)
    assert forecast.observed == len(prefix)
    assert forecast.quantile(0.5) >= max(v for v in prefix if abs(v) < 1e100)
    assert all(math.isfinite(value.mean) for value in forecast.values)


def test_finished_accuracies_change_nothing():
    assert model().fit([[0.1, 0.2], [0.9, 0.99]]) == model()


def test_losses_keep_their_unit():
    finished = [[-2.3, -1.5, -0.4], [-2.2, -1.0, -0.6]]
    forecast = model().fit(finished).forecast([-2.3, -1.4, -1.0, -0.9])
    assert -0.9 <= forecast.mean < 0.5


def test_without_emcee_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(weighted_families, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "kt_plus\[mcmc\]"'):
        model()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"walkers": 99}, "walkers=99 was given"),
        ({"walkers": 50}, "at least 96"),
        ({"steps": 1}, "steps=1 was given"),
        ({"horizon": 0}, "horizon=0 was given"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        model(**settings)


def test_a_beginning_without_a_value_is_refused():
    with pytest.raises(ValueError, match="without a finite value"):
        model().forecast([math.nan, math.inf])
    with pytest.raises(ValueError, match="nothing is left to forecast"):
        model().forecast([0.5] * HORIZON)
