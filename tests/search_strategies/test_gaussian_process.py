"""The surrogate: its equations, its invariances, and pinned predictions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import kendalltau, multivariate_normal, norm

from kt_plus.engine.columns import Columns
from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.history import History, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.gaussian_process import (
    INACTIVE,
    Features,
    GaussianProcess,
    KernelPrior,
    ScoreScale,
    _Density,
    log_expected_improvement,
)
from kt_plus.search_strategies.surrogate import Surrogate, fit_process, posterior_means

SPACE = Space(
    [
        Discrete("op", ("conv", "dense", "pool")),
        Numeric("rate", 1e-4, 1e-1, None, "log"),
        Numeric("layers", 1, 5, 1, integer=True),
        Discrete("size", (3, 5, 7), ordered=True, conditions=(Condition("op", ("conv",)),)),
        Discrete("norm", (False, True)),
    ]
)


PINNED_MEAN = [-1.29060658, -1.26934641, -0.95454706, -1.32414985, -0.55025897]
PINNED_DEVIATION = [0.19906176, 0.19528356, 0.18513821, 0.0975136, 0.17310013]


def score(values: dict) -> float:
    base = {"conv": 0.3, "dense": 0.0, "pool": -0.2}[values["op"]]
    rate = np.log10(values["rate"])
    return float(base - 0.1 * (rate + 3) ** 2 + 0.05 * values["layers"] * values["norm"])


def history_of(count: int, seed: int = 0, space: Space = SPACE, **fields) -> History:
    rng = np.random.default_rng(seed)
    draws = [space.draw(rng) for _ in range(count)]
    return History(
        Record(str(i), v, score(v), "completed", ended=i, unused=frozenset(), **fields)
        for i, v in enumerate(draws)
    )


def fitted(count: int = 30):
    columns = Columns(SPACE)
    features = Features(columns)
    rows = columns.encode(r.values for r in history_of(count))
    values = ScoreScale.of(s := np.array([r.score for r in history_of(count)]))(s)
    return features, features(rows), values


def test_squared_distances_are_those_of_the_docstring():
    columns = Columns(SPACE)
    features = Features(columns)
    one = {"op": "conv", "rate": 1e-4, "layers": 1, "size": 3, "norm": False}
    two = {"op": "dense", "rate": 1e-1, "layers": 3, "norm": True}
    near = features.near(columns.encode([one, two]))
    distances = dict(
        zip(
            [d.name for d in columns.dimensions],
            features.squared_distances(near[:1], near[1:])[0],
            strict=True,
        )
    )
    assert distances["op"] == pytest.approx(1.0)
    assert distances["rate"] == pytest.approx(1.0)
    assert distances["layers"] == pytest.approx(0.25)
    assert distances["size"] == pytest.approx(
        INACTIVE + 0.25
    )  # the smallest is 1/2 from the middle
    assert distances["norm"] == pytest.approx(1.0)


def test_the_gradient_is_that_of_the_density():
    features, points, values = fitted(15)
    mean, spread = KernelPrior().moments(features)
    density = _Density(features, points, values, mean, spread)
    theta = mean + 0.5 * np.random.default_rng(0).normal(size=len(mean))
    error = check_grad(lambda t: density(t)[0], lambda t: density(t)[1], theta, epsilon=1e-6)
    assert error < 1e-4 * np.linalg.norm(density(theta)[1])


def test_the_density_is_that_of_a_normal_distribution():
    features, points, values = fitted(12)
    mean, spread = KernelPrior().moments(features)
    process = GaussianProcess(features, points, values, mean)
    covariance = process._covariance(process._observed, process._observed)
    covariance += (process.noise + 1e-8) * np.eye(12)
    expected = -multivariate_normal(np.zeros(12), covariance).logpdf(values)
    found, _ = _Density(features, points, values, mean, spread)(mean)
    assert found == pytest.approx(expected - 6 * np.log(2 * np.pi), rel=1e-9)


def test_the_posterior_is_the_conditional_normal_distribution():
    features, points, values = fitted(14)
    process = GaussianProcess.fit(features, points[:10], values[:10])
    observed, new = process._scaled(points[:10]), process._scaled(points[10:])
    inverse = np.linalg.inv(
        process._covariance(observed, observed) + (process.noise + 1e-8) * np.eye(10)
    )
    cross = process._covariance(new, observed)
    mean, deviation = process.predict(points[10:])
    np.testing.assert_allclose(mean, cross @ inverse @ values[:10], rtol=1e-6)
    variance = np.diag(process._covariance(new, new) - cross @ inverse @ cross.T)
    np.testing.assert_allclose(deviation**2, variance, rtol=1e-5)


def test_the_posterior_is_pinned():
    """The same numbers to 1e-6 with each supported NumPy and SciPy."""
    features, points, values = fitted(25)
    mean, deviation = GaussianProcess.fit(features, points[:20], values[:20]).predict(points[20:])
    np.testing.assert_allclose(mean, PINNED_MEAN, atol=1e-6)
    np.testing.assert_allclose(deviation, PINNED_DEVIATION, atol=1e-6)


def test_the_left_out_density_is_that_of_processes_without_each_value():
    features, points, values = fitted(9)
    process = GaussianProcess.fit(features, points, values)
    total = 0.0
    for i in range(9):
        others = np.arange(9) != i
        mean, deviation = process.given(points[others], values[others]).predict(points[i : i + 1])
        total += norm.logpdf(values[i], mean[0], np.sqrt(deviation[0] ** 2 + process.noise))
    found = process.left_out_density - 4.5 * np.log(2 * np.pi)
    assert found == pytest.approx(total, rel=1e-5)


def test_the_scores_decide_whether_conditional_values_matter():
    """Of five conditional numbers all decide the score, or none does and the root decides."""
    root = Discrete("root", (1, 2, 3, 4, 5), ordered=True)
    leaves = [
        Numeric(f"x{i}", 0.0, 1.0, conditions=(Condition("root", tuple(range(i, 6))),))
        for i in range(1, 6)
    ]
    space = Space([root, *leaves])
    columns = Columns(space)
    features = Features(columns)
    rows = columns.draw(40, np.random.default_rng(0))
    configurations = columns.decode(rows)
    leaf_scores = np.array(
        [sum((v[n] - 0.3) ** 2 for n in v if n != "root") for v in configurations]
    )
    root_scores = np.array([float(v["root"]) for v in configurations])
    shares = []
    for scores in (leaf_scores, root_scores):
        process = fit_process(features, features(rows), ScoreScale.of(scores)(scores))
        weights = np.exp(process.theta[: features.dimensions])
        shares.append(weights[features.conditional].sum() / weights.sum())
    assert shares[0] > 0.5 > shares[1]


def test_predictions_rank_unseen_configurations():
    features, points, values = fitted(60)
    mean, _ = GaussianProcess.fit(features, points[:30], values[:30]).predict(points[30:])
    assert kendalltau(mean, values[30:]).statistic > 0.8


def test_the_order_of_declarations_changes_nothing():
    turned = Space(SPACE.dimensions[::-1])
    rows = [
        Surrogate.fit(space, history_of(12), np.random.default_rng(0)) for space in (SPACE, turned)
    ]
    np.testing.assert_array_equal(rows[0].means, rows[1].means)


def test_log_expected_improvement_is_the_logarithm_of_the_closed_form():
    mean, deviation = np.array([-0.5, 0.0, 0.7, 3.0]), np.array([0.1, 1.0, 0.5, 2.0])
    z = mean - 0.2
    closed = z * norm.cdf(z / deviation) + deviation * norm.pdf(z / deviation)
    found = log_expected_improvement(mean, deviation, 0.2)
    np.testing.assert_allclose(found, np.log(closed), rtol=1e-6)


def test_log_expected_improvement_stays_finite_and_ordered_far_below_the_best():
    mean = -np.linspace(1, 1000, 200)
    found = log_expected_improvement(mean, np.full(200, 0.5), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_a_diverged_trial_weighs_little_and_the_best_stay_apart():
    scores = np.array([-1e30, 0.1, 0.5, 0.6, 0.7, 0.71])
    scaled = ScoreScale.of(scores)(scores)
    assert (np.diff(scaled) > 0).all()
    assert scaled[-1] - scaled[-2] > 0.01
    assert abs(scaled.mean()) < 1e-9
    assert scaled.std() == pytest.approx(1)


def test_equal_scores_are_no_error():
    history = History(
        Record(str(i), v, 1.0, "completed", ended=i)
        for i, v in enumerate(r.values for r in history_of(6))
    )
    surrogate = Surrogate.fit(SPACE, history, np.random.default_rng(0))
    assert np.isfinite(
        surrogate.promise(surrogate.columns.draw(20, np.random.default_rng(1)))
    ).all()


def test_a_failed_trial_lowers_the_mean_of_its_neighborhood():
    history = history_of(20)
    columns = Columns(SPACE)
    values = history.best.values
    before = Surrogate.fit(SPACE, history, np.random.default_rng(0))
    near = columns.mutate(columns.encode([values]), np.random.default_rng(2), scale=0.05)
    history.put(Record("failed", columns.decode(near)[0], None, "failed", ended=20))
    after = Surrogate.fit(SPACE, history, np.random.default_rng(0))
    means = [s.process.predict(s.features(near))[0][0] for s in (before, after)]
    assert means[1] < means[0] - 0.1


def test_running_trials_count_as_observed_at_their_mean():
    history = history_of(15)
    values = SPACE.draw(np.random.default_rng(5))
    alone = Surrogate.fit(SPACE, history, np.random.default_rng(0))
    history.put(Record("running", values))
    surrogate = Surrogate.fit(SPACE, history, np.random.default_rng(0))
    row = surrogate.columns.encode([values])
    before = alone.process.predict(alone.features(row))
    after = surrogate.process.predict(surrogate.features(row))
    assert after[0] == pytest.approx(before[0], abs=1e-3)
    assert after[1] < 0.7 * before[1]
    assert surrogate.records[-1].trial_id == "running"


def test_the_spread_between_executions_informs_the_noise():
    quiet, noisy = (
        History(
            Record(r.trial_id, r.values, r.score, "completed", ended=r.ended, runs=runs)
            for r in history_of(20)
            for runs in [(r.score - error, r.score + error)]
        )
        for error in (0.001, 0.3)
    )
    noise = [
        Surrogate.fit(SPACE, h, np.random.default_rng(0)).process.noise for h in (quiet, noisy)
    ]
    assert noise[0] < 0.01 < 0.1 < noise[1]


def test_posterior_means_rank_noisy_trials_better_than_their_scores():
    rng = np.random.default_rng(3)
    truths, taus = [], []
    for seed in range(10):
        clean = history_of(40, seed)
        noisy = History(
            Record(r.trial_id, r.values, r.score + rng.normal(0, 0.2), "completed", ended=r.ended)
            for r in clean
        )
        means = posterior_means(SPACE, noisy)
        truth = [r.score for r in clean]
        taus.append(
            kendalltau(truth, [means[r.trial_id] for r in noisy]).statistic
            - kendalltau(truth, [r.score for r in noisy]).statistic
        )
        truths.append(len(means))
    assert truths == [40] * 10
    assert np.mean(taus) > 2 * np.std(taus, ddof=1) / 10**0.5
