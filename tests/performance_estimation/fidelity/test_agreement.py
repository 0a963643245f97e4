"""Rank agreement: known values, intervals that cover, and a warning in words."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from kt_plus.engine.history import Record, Verdict
from kt_plus.performance_estimation.fidelity import rank_agreement


def search(pairs, **facts):
    """Trials of two rungs with these scores."""
    low = [Record(f"a{i}", {}, a, "completed") for i, (a, _) in enumerate(pairs)]
    high = [
        Record(f"b{i}", {}, b, "completed", rung=1, parent=f"a{i}", **facts)
        for i, (_, b) in enumerate(pairs)
    ]
    return [*low, *high]


def test_known_values():
    # Kendall, Rank Correlation Methods: 17 of 21 pairs agree; sum of squared differences 12
    pairs = list(enumerate([2, 1, 4, 3, 6, 5, 7]))
    (found,) = rank_agreement(search(pairs), ["1/8 of the data", "all data"])
    assert found.kendall.value == pytest.approx(1 - 2 * 3 / 21)
    assert found.spearman.value == pytest.approx(1 - 6 * 6 / (7 * 48))
    assert -0.2 < found.kendall.low < 0.2 < 0.9 < found.kendall.high < 1
    assert str(found).startswith("1/8 of the data -> all data: tau 0.71 (")
    assert str(found).endswith("7 trials")


def test_each_pair_of_rungs_by_lineage():
    records = search([(1.0, 2.0), (3.0, 4.0), (5.0, 0.0)])
    records += [
        Record("c0", {}, 7.0, "completed", rung=2, parent="b0"),
        Record("c1", {}, 6.0, "completed", rung=2, parent="b1"),
        Record("c2", {}, None, "running", rung=2, parent="b2"),
    ]
    found = rank_agreement(records)
    assert [(p.low, p.high, p.trials) for p in found] == [(0, 1, 3), (0, 2, 2), (1, 2, 2)]
    assert found[1].scores == ((1.0, 7.0), (3.0, 6.0))
    assert found[1].kendall.value == -1
    assert found[1].labels == ("rung 0", "rung 2")


def test_few_trials_and_ties_have_no_narrow_interval():
    (few,) = rank_agreement(search([(0, 0), (1, 2), (2, 1)]))
    assert (few.kendall.low, few.kendall.high) == (-1, 1)
    (tied,) = rank_agreement(search([(0, 0), (0, 1), (0, 2), (0, 3), (0, 5)]))
    assert math.isnan(tied.kendall.value)
    assert tied.warning is None
    assert not rank_agreement(search([(1, 2)]))
    assert repr(rank_agreement([])) == "RankAgreement(no configuration has a score at two rungs)"


def test_what_was_stopped_has_no_score_at_its_rung():
    verdict = Verdict(True, "hopeless")
    assert not rank_agreement(search([(0, 0), (1, 2), (2, 1)], verdict=verdict))


def test_a_rung_that_misranks_is_warned_of():
    rng = np.random.default_rng(1)
    pairs = list(zip(range(14), rng.permutation(14), strict=True))
    found = rank_agreement(search(pairs), ["1/8", "full data"])
    assert found[0].kendall.value < 0.3
    assert len(found.warnings) == 1
    assert f"tau {found[0].kendall.value:.2f} between 1/8 and full data on 14 trials" in repr(found)
    assert "promotions are close to random" in repr(found)
    assert not rank_agreement(search([(i, i) for i in range(14)])).warnings
    assert not rank_agreement(search(pairs[:7])).warnings


def test_too_few_trials_have_no_interval():
    (few,) = rank_agreement(search([(0, 0), (1, 1), (2, 2)]))
    assert str(few) == (
        "rung 0 -> rung 1: tau 1.00, Spearman 1.00, 3 trials: too few trials for an interval"
    )
    assert (few.spearman.low, few.spearman.high) == (-1, 1)


def test_four_trials_in_perfect_order_are_compatible_with_none():
    """Of the 24 orders of four trials one is perfect: a probability of 4.2 %, above 2.5 %."""
    (found,) = rank_agreement(search([(i, i) for i in range(4)]))
    for coefficient in (found.kendall, found.spearman):
        assert coefficient.value == coefficient.high == 1
        assert -0.3 < coefficient.low < 0
    assert str(found) == (
        "rung 0 -> rung 1: tau 1.00 (-0.13 to 1.00), Spearman 1.00 (-0.19 to 1.00), 4 trials"
    )
    (five,) = rank_agreement(search([(i, i) for i in range(5)]))  # 0.8 %
    assert five.kendall.low > 0.1
    assert five.spearman.low > 0.1


@pytest.mark.parametrize("trials", [4, 5])
def test_every_coefficient_lies_in_its_interval_and_mirrors_its_opposite(trials):
    for order in itertools.permutations(range(trials)):
        (found,) = rank_agreement(search(list(enumerate(order))))
        (opposite,) = rank_agreement(search(list(enumerate(order[::-1]))))
        for name in ("kendall", "spearman"):
            mine, other = getattr(found, name), getattr(opposite, name)
            assert mine.low <= mine.value <= mine.high
            assert (other.low, other.high) == pytest.approx((-mine.high, -mine.low))


def test_more_trials_have_narrower_intervals():
    rng = np.random.default_rng(0)
    widths = []
    for trials in (10, 30, 90, 300):
        x, noise = rng.normal(size=(2, trials))
        (found,) = rank_agreement(search(list(zip(x, x + noise, strict=True))))
        widths.append(found.kendall.high - found.kendall.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.2


def coverage(correlation, trials, samples):
    """How often the intervals of normal pairs hold the tau and the Spearman correlation."""
    rng = np.random.default_rng(trials)
    tau = 2 / math.pi * math.asin(correlation)
    rho = 6 / math.pi * math.asin(correlation / 2)
    orders = Counter()
    for _ in range(samples):
        x, noise = rng.normal(size=(2, trials))
        y = correlation * x + math.sqrt(1 - correlation**2) * noise
        orders[tuple(y[np.argsort(x)].argsort().argsort().tolist())] += 1
    covered = np.zeros(2)
    for order, times in orders.items():
        (found,) = rank_agreement(search(list(enumerate(order))))
        holds = [
            found.kendall.low <= tau <= found.kendall.high,
            found.spearman.low <= rho <= found.spearman.high,
        ]
        covered += times * np.array(holds)
    return covered / samples


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("trials", [4, 6, 10, 20])
def test_the_intervals_cover(trials, correlation):
    """The nominal coverage is 95 %. Few trials have few different orders, so it is larger."""
    found = coverage(correlation, trials, samples=4000 if trials <= 6 else 400)
    assert (found > 0.93).all()
    assert (found < 0.99).all() or trials <= 6


@pytest.mark.full
@pytest.mark.parametrize("correlation", [-0.6, 0.3, 0.99])
@pytest.mark.parametrize("trials", [8, 50])
def test_the_intervals_cover_to_a_percent(trials, correlation):
    assert (coverage(correlation, trials, samples=4000) > 0.94).all()
