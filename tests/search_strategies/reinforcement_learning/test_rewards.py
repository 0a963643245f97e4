"""What results are worth: independent of scale, robust, and failures at the bottom."""

from __future__ import annotations

import numpy as np
import pytest

from kt_plus.search_strategies.reinforcement_learning.rewards import (
    REWARDS,
    moving_average,
    rewards_of,
)

NAN = np.nan


@pytest.mark.parametrize("kind", REWARDS)
def test_rewards_rise_with_scores(kind):
    scores = np.array([0.2, 0.9, 0.5, 0.1])
    np.testing.assert_array_equal(np.argsort(rewards_of(scores, kind)), np.argsort(scores))


@pytest.mark.parametrize("kind", REWARDS)
def test_scale_is_irrelevant(kind):
    scores = np.random.default_rng(0).random(50)
    np.testing.assert_allclose(rewards_of(1e6 * scores, kind), rewards_of(scores, kind))


@pytest.mark.parametrize("kind", ["ranks", "scores"])
def test_shifts_are_irrelevant(kind):
    scores = np.random.default_rng(0).random(50)
    np.testing.assert_allclose(rewards_of(scores - 7, kind), rewards_of(scores, kind))


@pytest.mark.parametrize("kind", REWARDS)
def test_rewards_are_standardised(kind):
    rewards = rewards_of(np.random.default_rng(0).normal(size=400), kind)
    assert rewards.std() == pytest.approx(1.0, abs=0.05)
    if kind != "cubed":
        assert rewards.mean() == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("kind", REWARDS)
def test_failed_trials_have_the_lowest_reward_seen(kind):
    rewards = rewards_of(np.array([0.5, NAN, 0.2, np.inf, 0.9, -np.inf]), kind)
    assert rewards[1] == rewards[2] == rewards[3] == rewards[5] == rewards.min()
    assert np.isfinite(rewards).all()


@pytest.mark.parametrize("kind", REWARDS)
@pytest.mark.parametrize(
    "scores", [[0.5], [0.5, 0.5, 0.5], [NAN], [NAN, NAN], [NAN, 0.5], [0.0, 0.0]]
)
def test_where_nothing_differs_nothing_is_rewarded(kind, scores):
    np.testing.assert_array_equal(rewards_of(np.array(scores), kind), 0.0)


@pytest.mark.parametrize("kind", REWARDS)
def test_huge_losses_do_no_harm(kind):
    rewards = rewards_of(np.array([-0.3, -1e34, -0.2, -1.7e308, -0.1]), kind)
    assert np.isfinite(rewards).all()


def test_for_ranks_a_huge_loss_is_but_the_last():
    mild = rewards_of(np.array([-0.3, -0.4, -0.2]), "ranks")
    wild = rewards_of(np.array([-0.3, -1e34, -0.2]), "ranks")
    np.testing.assert_array_equal(mild, wild)


def test_equal_scores_share_their_places():
    rewards = rewards_of(np.array([0.1, 0.5, 0.5, 0.9]), "ranks")
    assert rewards[1] == rewards[2] == pytest.approx(0.0)
    assert rewards[0] == pytest.approx(-rewards[3])


def test_cubes_tell_the_best_apart_most():
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    plain, cubed = (rewards_of(scores, kind) for kind in ("scores", "cubed"))
    assert (cubed[3] - cubed[2]) / (cubed[1] - cubed[0]) > 10
    assert (plain[3] - plain[2]) / (plain[1] - plain[0]) == pytest.approx(1.0)


def test_the_moving_average_is_corrected_for_its_beginning():
    assert moving_average(np.array([3.0]), 0.9) == pytest.approx(3.0)
    assert moving_average(np.array([1.0, 2.0]), 0.5) == pytest.approx((0.5 * 1 + 2) / 1.5)
    assert moving_average(np.full(1000, 0.7), 0.9) == pytest.approx(0.7)
    assert moving_average(np.array([5.0, 1.0]), 0.0) == 1.0


def test_the_moving_average_is_the_recursive_one():
    rewards, numerator, denominator = np.random.default_rng(0).normal(size=30), 0.0, 0.0
    for reward in rewards:
        numerator = 0.9 * numerator + 0.1 * reward
        denominator = 0.9 * denominator + 0.1
    assert moving_average(rewards, 0.9) == pytest.approx(numerator / denominator)


def test_the_exponents_of_the_moving_average_are_no_reversed_view():
    """NumPy 1.26 rounds the power of one by where its result lies in memory."""

    class Decay(float):
        def __pow__(self, exponents):
            seen.append(exponents)
            return float(self) ** exponents

    seen: list[np.ndarray] = []
    assert moving_average(np.arange(5.0), Decay(0.9)) == moving_average(np.arange(5.0), 0.9)
    (exponents,) = seen
    assert exponents.strides == (8,)
    assert exponents.tolist() == [4, 3, 2, 1, 0]
