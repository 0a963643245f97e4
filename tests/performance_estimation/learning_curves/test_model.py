"""The learning-curve model: against brute force, and what it owes to any search."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import multivariate_normal

from kt_plus.performance_estimation.learning_curves import LearningCurveModel
from kt_plus.performance_estimation.learning_curves.components import Components
from kt_plus.performance_estimation.learning_curves.regression import Basis, Normal, regress
from kt_plus.performance_estimation.learning_curves.residuals import (
    LENGTH_SCALE,
    RATIOS,
    residuals,
)
from kt_plus.performance_estimation.learning_curves.shapes import decay_shapes, shape_of

pytestmark = pytest.mark.versions

HORIZON = 30
EPOCHS = np.arange(1.0, HORIZON + 1)


def search(seed: int, curves: int = 15, horizon: int = HORIZON, noise: float = 0.004) -> np.ndarray:
    """The curves of an invented search, one a row."""
    rng = np.random.default_rng(seed)
    last, gain, pace = (
        rng.uniform([[0.6], [0.1], [2.0]], [[0.95], [0.6], [10.0]], (curves, 3, 1))
        .T[0]
        .reshape(3, curves, 1)
    )
    epochs = np.arange(1.0, horizon + 1)
    return last - gain * np.exp(-epochs / pace) + rng.normal(0, noise, (curves, horizon))


def fitted(seed: int = 0, **how) -> LearningCurveModel:
    curves = search(seed, **how)
    return LearningCurveModel(curves.shape[1]).fit(curves.tolist())


def interval(distribution, share: float = 0.9) -> tuple[float, float]:
    return distribution.quantile((1 - share) / 2), distribution.quantile((1 + share) / 2)


def width(distribution) -> float:
    low, high = interval(distribution)
    return high - low


# Against brute force: the regression as one large normal distribution.


def covariance_of(ratio: float, horizon: int) -> np.ndarray:
    log_epoch = np.log(np.arange(1.0, horizon + 1))
    scaled = math.sqrt(3) * np.abs(np.subtract.outer(log_epoch, log_epoch)) / LENGTH_SCALE
    return np.eye(horizon) + ratio * (1 + scaled) * np.exp(-scaled)


PRIOR = Normal(
    np.array([[[-1.0, -0.4], [-0.8, 0.1]]]),
    np.array([[[[0.3, 0.1], [0.1, 0.2]], [[0.5, 0.0], [0.0, 0.4]]]]),
)
NOISE = np.array([0.02, 0.1])
SHAPES = decay_shapes(12)[[0, 9]]
SEEN = np.array([-1.0, -0.7, -0.55, -0.5])


def whole_curve(shape: np.ndarray, ratio: float, noise: float, prior: int):
    """Mean and covariance of all twelve values before any is seen."""
    design = np.stack([shape, 1 - shape], axis=1)
    covariance = design @ PRIOR.covariance[0, prior] @ design.T
    return design @ PRIOR.mean[0, prior], covariance + noise**2 * covariance_of(ratio, 12)


def test_the_evidence_is_the_density_of_the_values():
    covariances = residuals(12)
    white = covariances.whiten(SEEN)
    found = regress(white, Basis.of(SHAPES, covariances), PRIOR, NOISE, covariances)
    assert found.log_evidence.shape == (2, len(RATIOS), 2, 2)
    expected = np.empty_like(found.log_evidence)
    for k, r, s, b in np.ndindex(*expected.shape):
        mean, covariance = whole_curve(SHAPES[k], RATIOS[r], NOISE[s], b)
        expected[k, r, s, b] = multivariate_normal(mean[:4], covariance[:4, :4]).logpdf(SEEN)
    constant = expected - found.log_evidence
    assert constant == pytest.approx(constant.flat[0], abs=1e-6)


def test_the_forecast_is_the_conditional_distribution():
    covariances = residuals(12)
    basis = Basis.of(SHAPES, covariances)
    white = covariances.whiten(SEEN)
    found = regress(white, basis, PRIOR, NOISE, covariances)
    group = (basis, found, found.log_evidence)
    components = Components.largest([group], NOISE, covariances, white)
    assert components.weight.sum() == pytest.approx(1)
    assert len(components.weight) == found.log_evidence.size
    means, variances = components.predict(np.array([6, 11]))
    for at, (k, r, s, b) in enumerate(np.ndindex(*found.log_evidence.shape)):
        mean, covariance = whole_curve(SHAPES[k], RATIOS[r], NOISE[s], b)
        gain = np.linalg.solve(covariance[:4, :4], covariance[:4, [6, 11]]).T
        assert means[at] == pytest.approx(mean[[6, 11]] + gain @ (SEEN - mean[:4]), abs=1e-6)
        conditional = covariance[np.ix_([6, 11], [6, 11])] - gain @ covariance[:4, [6, 11]]
        assert variances[at] == pytest.approx(np.diag(conditional) - NOISE[s] ** 2, abs=1e-6)


def test_the_best_of_what_comes_is_that_of_simulated_futures():
    forecast = fitted(3).forecast(search(3)[0][:8].tolist())
    components = forecast.values.components
    rng, means = np.random.default_rng(0), components.predict(np.arange(8, HORIZON))[0]
    # The ends and the deviation are common to all epochs, the noise is each epoch's own.
    mean, deviation = components.best()
    noise = rng.normal(size=(4000, 1, HORIZON - 8)) * components.noise[:, None]
    simulated = (means + noise).max(axis=2).mean(axis=0)
    assert mean == pytest.approx(simulated, abs=0.5 * components.noise.max())
    assert (deviation > 0).all()


# What it knows.


def test_it_finds_the_end_of_curves_like_those_it_knows():
    curves = search(1, curves=40)
    model = LearningCurveModel(HORIZON).fit(curves[:20].tolist())
    errors, repeated = [], []
    for curve in curves[20:]:
        forecast = model.forecast(curve[:6].tolist())
        errors.append(abs(forecast.at(HORIZON).quantile(0.5) - curve[-1]))
        repeated.append(abs(curve[5] - curve[-1]))
    assert np.mean(errors) < 0.4 * np.mean(repeated)


def test_its_intervals_hold_what_they_say_and_tell_something():
    inside, told = [], []
    for seed in range(8):
        curves = search(seed, curves=30)
        model = LearningCurveModel(HORIZON).fit(curves[:20].tolist())
        for curve in curves[20:]:
            last = model.forecast(curve[:5].tolist()).at(HORIZON)
            inside.append(last.quantile(0.05) <= curve[-1] <= last.quantile(0.95))
            told.append(width(last) / np.ptp(curves[:, -1]))
    assert np.mean(inside) >= 0.85
    assert np.median(told) < 0.7


def test_it_learns_a_late_rise_from_finished_curves():
    drop = np.where(EPOCHS > 20, 0.3, 0.0)  # the learning rate falls after epoch 20
    curves = search(5) - 0.3 + drop
    forecast = (
        LearningCurveModel(HORIZON).fit(curves[1:].tolist()).forecast(curves[0][:15].tolist())
    )
    assert forecast.at(HORIZON).quantile(0.5) == pytest.approx(curves[0][-1], abs=0.1)
    assert forecast.mean > curves[0][:15].max() + 0.15


def test_a_curve_that_overfits_has_its_best_behind_it():
    falling = 0.9 - 0.4 * np.exp(-EPOCHS / 3) - 0.01 * np.maximum(EPOCHS - 8, 0)
    curves = [0.1 * np.sin(i) + falling for i in range(12)]
    prefix = curves[0][:16]
    model = LearningCurveModel(HORIZON).fit([curve.tolist() for curve in curves[1:]])
    forecast = model.forecast(prefix.tolist())
    assert forecast.mean == pytest.approx(prefix.max(), abs=0.02)
    assert forecast.at(HORIZON).quantile(0.5) < prefix.max() - 0.1


def test_the_more_is_seen_the_surer_it_is():
    model, curve = fitted(2), search(9)[0]
    widths = [width(model.forecast(curve[:n].tolist()).at(HORIZON)) for n in (2, 8, 20, 29)]
    assert widths == sorted(widths, reverse=True)


def test_more_noise_widens_the_interval():
    model, curve = fitted(2), search(9, noise=0.0)[0][:12]
    wave = np.resize([1.0, -1.0], 12)
    widths = [
        width(model.forecast((curve + noise * wave).tolist()).at(13)) for noise in (0, 0.02, 0.08)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_knowing_no_curve_it_is_cautious():
    curve = search(9)[0][:5].tolist()
    alone, learnt = LearningCurveModel(HORIZON).forecast(curve), fitted(2).forecast(curve)
    assert width(alone.at(HORIZON)) > 1.2 * width(learnt.at(HORIZON))
    low, high = interval(alone)
    assert low <= search(9)[0].max() <= high


def test_a_dead_network_is_not_expected_to_join_the_others():
    """Accuracy 0.1, when all others began above 0.8: below all that the model tells apart."""
    others = 0.8 + 0.15 * search(5)
    model = LearningCurveModel(HORIZON).fit(others.tolist())
    chances = []
    for epochs in (3, 6, 12):
        forecast = model.forecast([0.1] * epochs)
        assert interval(forecast)[0] < 0.2
        assert forecast.mean < 0.7
        chances.append(forecast.probability_above(others.max()))
    assert chances[0] < 0.1
    assert chances[2] < 0.03
    rising = model.forecast([0.1, 0.3, 0.5])
    assert rising.probability_above(others.max()) > 2 * chances[0]


# What it owes to any search.


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 8.0), (4.0, 0.0), (0.25, -2.0), (1e6, 3e6)])
def test_a_shifted_and_scaled_objective_has_the_same_forecast(factor, shift):
    curves = search(4)
    forecast = fitted(4).forecast(curves[0][:7].tolist())
    moved = factor * curves + shift
    other = LearningCurveModel(HORIZON).fit(moved.tolist()).forecast(moved[0][:7].tolist())
    for q in (0.05, 0.5, 0.95):
        assert other.quantile(q) == pytest.approx(factor * forecast.quantile(q) + shift, rel=1e-6)
    chance = forecast.probability_above(0.8)
    assert other.probability_above(factor * 0.8 + shift) == pytest.approx(chance, abs=1e-6)


def test_the_order_of_the_curves_changes_nothing():
    curves = [curve[: 30 - i % 7].tolist() for i, curve in enumerate(search(6))]
    prefix = search(7)[0][:5].tolist()
    one = LearningCurveModel(HORIZON).fit(curves).forecast(prefix)
    other = LearningCurveModel(HORIZON).fit(curves[::-1]).forecast(prefix)
    assert one.mean == other.mean
    assert one.quantile(0.1) == other.quantile(0.1)


def test_it_answers_the_same_whenever_it_is_asked():
    model, prefix = fitted(6), search(7)[0][:5].tolist()
    first = model.forecast(prefix).quantile(0.3)
    model.forecast(search(8)[0][:9].tolist())
    assert model.forecast(prefix).quantile(0.3) == first


ODD = st.sampled_from([math.nan, math.inf, -math.inf, 1e34, -1e34, 0.0, 0.5, 1e-300])
USUAL = st.floats(-1, 1)


@settings(deadline=None, max_examples=60)
@given(
    horizon=st.integers(2, 12),
    finished=st.lists(st.lists(USUAL | ODD, min_size=1, max_size=12), max_size=6),
    prefix=st.lists(USUAL | ODD, min_size=1, max_size=11),
)
def test_any_curves_have_a_forecast(horizon, finished, prefix):
    prefix = prefix[: horizon - 1]
    forecast = LearningCurveModel(horizon).fit(finished).forecast(prefix)
    assert len(forecast.values) == horizon - len(prefix)
    assert forecast.horizon == horizon
    for distribution in (forecast, *forecast.values):
        low, high = interval(distribution)
        assert low <= high
        assert not math.isnan(distribution.mean)
        assert 0 <= distribution.probability_above(0.3) <= 1
    best = max((v for v in prefix if math.isfinite(v)), default=-math.inf)
    assert forecast.quantile(0.05) >= best


@pytest.mark.parametrize("horizon", [2, 5, 500])
def test_any_horizon_will_do(horizon):
    curves = search(3, horizon=horizon)
    model = LearningCurveModel(horizon).fit(curves[1:].tolist())
    forecast = model.forecast(curves[0][: max(horizon // 10, 1)].tolist())
    assert forecast.at(horizon).mean == pytest.approx(curves[0][-1], abs=0.2)


def test_longer_curves_are_cut_at_the_horizon():
    curves = search(3)
    cut = LearningCurveModel(10).fit(curves[:, :10].tolist()).forecast([0.3, 0.4])
    whole = LearningCurveModel(10).fit(curves.tolist()).forecast([0.3, 0.4])
    assert cut.mean == whole.mean


def test_the_density_is_that_of_the_quantiles():
    forecast = fitted(2).forecast(search(9)[0][:6].tolist())
    last = forecast.at(HORIZON)
    grid = np.linspace(last.quantile(1e-4), last.quantile(1 - 1e-4), 4001)
    density = np.exp([last.log_density(y) for y in grid])
    assert trapezoid(density, grid) == pytest.approx(1, abs=0.01)
    below = grid <= last.quantile(0.25)
    assert trapezoid(density[below], grid[below]) == pytest.approx(0.25, abs=0.01)


def test_shapes_go_from_one_to_zero():
    for horizon in (2, 3, 50):
        shapes = decay_shapes(horizon)
        assert shapes[:, 0] == pytest.approx(1)
        assert shapes[:, -1] == pytest.approx(0)
    assert shape_of(np.full(20, 0.4)) is None
    falling = shape_of(1 - np.exp(-EPOCHS / 4))
    assert falling[0] == 1
    assert abs(falling[-1]) < 0.01


# Bad input.


@pytest.mark.parametrize("horizon", [0, -3, 2.5, True])
def test_a_horizon_is_a_whole_number(horizon):
    with pytest.raises(ValueError, match="Expected a whole number of epochs"):
        LearningCurveModel(horizon)


@pytest.mark.parametrize("epochs", [0, HORIZON, HORIZON + 5])
def test_there_must_be_something_seen_and_something_to_come(epochs):
    with pytest.raises(ValueError, match="at least one value and fewer than the horizon"):
        fitted().forecast([0.5] * epochs)


def test_only_later_epochs_are_forecast():
    forecast = fitted().forecast([0.5, 0.6])
    for epoch in (0, 2, HORIZON + 1):
        with pytest.raises(ValueError, match=f"3 to {HORIZON}"):
            forecast.at(epoch)
