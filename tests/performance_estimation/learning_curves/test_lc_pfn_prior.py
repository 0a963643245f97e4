"""The posterior under LC-PFN's prior: against brute force, and what any posterior does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad

from kt_plus.performance_estimation.learning_curves import LCPFNPrior
from kt_plus.performance_estimation.learning_curves.lc_pfn_prior import prior_curves

HORIZON = 40
EPOCHS = np.arange(1, HORIZON + 1)
POWER_LAW = 0.9 - 0.5 * EPOCHS**-0.7


def model(**settings) -> LCPFNPrior:
    return LCPFNPrior(**{"horizon": HORIZON, "draws": 20_000} | settings)


def width(distribution) -> float:
    return distribution.quantile(0.95) - distribution.quantile(0.05)


def evidence(errors: np.ndarray) -> float:
    """P(values | curve), by quadrature over ln(noise) ~ N(-4, 1)."""

    def integrand(u: float) -> float:
        log_density = -0.5 * (u + 4) ** 2 - len(errors) * u
        return math.exp(log_density - 0.5 * float(errors @ errors) * math.exp(-2 * u) - 20)

    return quad(integrand, -8, 0, limit=200)[0]


def test_the_weights_are_those_of_brute_force():
    small = LCPFNPrior(horizon=12, draws=1_000)
    prefix = np.array([0.42, 0.47, 0.52])
    curves = prior_curves(12, 1_000, 0).astype(float)
    weights = np.array([evidence(curve[:3] - prefix) for curve in curves.T])
    weights /= weights.sum()
    forecast = small.forecast(prefix.tolist())
    for epoch in (4, 8, 12):
        assert forecast.at(epoch).mean == pytest.approx(weights @ curves[epoch - 1], abs=2e-3)


def test_curves_of_the_prior_keep_its_constraints():
    curves = prior_curves(HORIZON, 5_000, 3)
    assert curves.shape == (HORIZON, 5_000)
    assert curves.min() >= 0
    assert curves.max() <= 1
    assert (curves[-1] > curves[0]).all()
    assert not np.array_equal(curves, prior_curves(HORIZON, 5_000, 4))


def test_without_an_epoch_it_is_the_prior():
    forecast = model().forecast([])
    curves = prior_curves(HORIZON, 20_000, 0)
    assert forecast.observed == 0
    assert len(forecast.values) == HORIZON
    assert forecast.at(HORIZON).mean == pytest.approx(float(curves[-1].mean()), abs=0.01)
    assert forecast.probability_above(-1.0) == pytest.approx(1)


def test_a_power_law_is_recovered():
    errors, widths = [], []
    for seen in (5, 12, 30):
        forecast = model(draws=100_000).forecast(POWER_LAW[:seen].tolist())
        errors.append(abs(forecast.at(HORIZON).mean - POWER_LAW[-1]))
        widths.append(width(forecast.at(HORIZON)))
        assert forecast.at(HORIZON).quantile(0.02) < POWER_LAW[-1]
        assert forecast.at(HORIZON).quantile(0.98) > POWER_LAW[-1]
    assert errors[-1] < 0.01
    assert widths[0] > widths[1] > widths[2]


def test_more_noise_widens_the_interval():
    noise = np.random.default_rng(0).standard_normal(15)
    widths = [
        width(model().forecast((POWER_LAW[:15] + size * noise).tolist()).at(16))
        for size in (0.002, 0.03, 0.1)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_the_best_is_at_least_what_was_seen_and_at_least_the_last():
    prefix = [0.5, 0.8, 0.7, 0.72]
    forecast = model().forecast(prefix)
    assert forecast.probability_above(0.7999) == 1
    assert forecast.quantile(0.01) == 0.8
    for q in (0.2, 0.5, 0.9):
        assert forecast.quantile(q) >= forecast.at(HORIZON).quantile(q)


def test_bounds_map_the_objective():
    prefix = POWER_LAW[:8]
    plain = model().forecast(prefix.tolist())
    mapped = model(bounds=(-2.0, 3.0)).forecast((5 * prefix - 2).tolist())
    assert mapped.mean == pytest.approx(5 * plain.mean - 2, abs=1e-3)
    assert mapped.at(30).quantile(0.1) == pytest.approx(
        5 * plain.at(30).quantile(0.1) - 2, abs=1e-3
    )


def test_losses_take_their_range_from_all_curves_seen():
    finished = [[-2.3, -1.5, -0.4], [-2.3, -1e34, math.nan], [-2.2, -1.0, -0.6]]
    forecast = model().fit(finished).forecast([-2.3, -1.4, -1.0])
    assert -1.0 <= forecast.mean < 0.5
    assert width(forecast) < 3


def test_finished_accuracies_change_nothing():
    prefix = POWER_LAW[:8].tolist()
    fitted = model().fit([[0.1, 0.2], [0.9, 0.99]])
    assert fitted == model()
    assert fitted.forecast(prefix).mean == model().forecast(prefix).mean


def test_epochs_without_a_value_are_left_out():
    prefix = POWER_LAW[:10].tolist()
    holes = [*prefix[:4], math.nan, math.inf, *prefix[6:]]
    forecast = model().forecast(holes)
    assert forecast.observed == 10
    assert forecast.at(11).mean == pytest.approx(model().forecast(prefix).at(11).mean, abs=0.01)


@example(prefix=[0.0, 0.0, -1.0])
@given(
    prefix=st.lists(
        st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1), min_size=0, max_size=8
    )
)
def test_any_beginning_has_a_forecast(prefix):
    forecast = LCPFNPrior(horizon=9, draws=1_000).forecast(prefix)
    finite = [value for value in prefix if abs(value) < 1e100]
    assert not math.isnan(forecast.mean)
    assert 0 <= forecast.probability_above(0.5) <= 1
    if finite:
        assert forecast.quantile(0.5) >= max(finite)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 1}, "horizon=1 was given"),
        ({"draws": 10}, "draws=10 was given"),
        ({"bounds": (1.0, 0.0)}, "the smaller first"),
        ({"bounds": (0.0, math.inf)}, "two finite numbers"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        model(**settings)


def test_bad_beginnings_are_refused():
    with pytest.raises(ValueError, match="nothing is left to forecast"):
        model().forecast([0.5] * HORIZON)
    with pytest.raises(ValueError, match="one value an epoch"):
        model().forecast([[0.5, 0.6]])
