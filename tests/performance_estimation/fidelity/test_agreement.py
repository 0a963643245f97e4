"""Rank agreement: known values, intervals that cover, and a warning in words."""

from __future__ import annotations

import math

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
    z = math.atanh(15 / 21)
    half = 1.96 * math.sqrt(0.437 / 3)
    assert found.kendall.low == pytest.approx(math.tanh(z - half))
    assert found.kendall.high == pytest.approx(math.tanh(z + half))
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


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_the_intervals_cover(correlation):
    """Of 400 samples of 20 normal pairs, whose tau and Spearman are known."""
    rng = np.random.default_rng(0)
    tau = 2 / math.pi * math.asin(correlation)
    rho = 6 / math.pi * math.asin(correlation / 2)
    covered = np.zeros(2)
    for _ in range(400):
        x, noise = rng.normal(size=(2, 20))
        y = correlation * x + math.sqrt(1 - correlation**2) * noise
        (found,) = rank_agreement(search(list(zip(x, y, strict=True))))
        covered += [
            found.kendall.low <= tau <= found.kendall.high,
            found.spearman.low <= rho <= found.spearman.high,
        ]
    assert (covered / 400 > 0.91).all()
    assert (covered / 400 < 0.99).all()
