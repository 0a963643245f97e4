"""The median rule, against examples worked out by hand and Vizier's definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.history import History, Record
from kt_plus.performance_estimation.stopping import MedianRule
from tests.errors import raises_in_three_parts


def finished(*curves: tuple[float, ...], first_epoch: int = 0) -> list[Record]:
    return [
        Record(str(i), {"x": i}, max(curve), "completed", curve, first_epoch)
        for i, curve in enumerate(curves)
    ]


def running(*curve: float, first_epoch: int = 0) -> Record:
    return Record("running", {"x": -1}, curve=curve, first_epoch=first_epoch)


# At epoch 3 the running averages are 0.4, 0.5 and 0.2: the median is 0.4.
THREE = finished((0.2, 0.4, 0.6, 0.9), (0.3, 0.6, 0.6, 0.6), (0.1, 0.2, 0.3, 0.9))


@pytest.mark.parametrize(
    ("curve", "stop"),
    [
        ((0.1, 0.2, 0.39), True),
        ((0.1, 0.2, 0.41), False),
        ((0.41, 0.2, 0.1), False),  # its best value counts, not its last
        ((0.39, 0.39, 0.39), True),
    ],
)
def test_the_best_value_is_compared_with_the_median_of_the_running_averages(curve, stop):
    verdict = MedianRule(min_trials=3, min_epochs=1).judge(running(*curve), History(THREE))
    assert verdict.stop is stop
    assert verdict.reason == (
        f"best value so far {max(curve):.4g} against a median of 0.4 for the running averages "
        "of 3 trials at epoch 3"
    )


def test_of_an_even_number_the_median_is_the_mean_of_the_middle_two():
    history = History(finished((0.1,), (0.2,), (0.4,), (0.9,)))
    rule = MedianRule(min_trials=4, min_epochs=1)
    assert rule.judge(running(0.29), history).stop
    assert not rule.judge(running(0.31), history).stop


@given(st.integers(0, 2**32))
def test_it_is_the_definition_of_vizier(seed):
    rng = np.random.default_rng(seed)
    others = finished(*(tuple(rng.random(rng.integers(1, 9)).tolist()) for _ in range(9)))
    trial = running(*rng.random(rng.integers(1, 9)).tolist())
    epoch = len(trial.curve)
    averages = [np.mean(r.curve[:epoch]) for r in others if len(r.curve) >= epoch]
    verdict = MedianRule(min_trials=1, min_epochs=1).judge(trial, History(others))
    assert verdict.stop == bool(averages and max(trial.curve) < np.median(averages))


def test_nothing_is_stopped_before_enough_trials_and_epochs():
    hopeless = running(0.0, 0.0, 0.0)
    assert MedianRule(3, 3).judge(hopeless, History(THREE)).stop
    assert not MedianRule(4, 3).judge(hopeless, History(THREE)).stop
    assert not MedianRule(3, 4).judge(hopeless, History(THREE)).stop
    assert not MedianRule(3, 3).judge(hopeless, History()).stop


def test_trials_that_never_got_so_far_are_not_compared_with():
    history = History([*THREE, *finished((0.9,), (0.9, 0.9))[1:]])
    verdict = MedianRule(3, 1).judge(running(0.1, 0.2, 0.41), history)
    assert "of 2 trials" not in verdict.reason
    assert not verdict.stop


def test_running_and_failed_trials_are_not_compared_with():
    others = [
        Record("a", {}, status="failed", curve=(0.9,) * 4),
        Record("b", {}, status="running", curve=(0.9,) * 4),
    ]
    verdict = MedianRule(1, 1).judge(running(0.1, 0.2, 0.3), History(others))
    assert not verdict.stop
    assert MedianRule(3, 1).judge(running(0.1, 0.2, 0.41), History([*THREE, *others])).stop is False


def test_trials_that_were_stopped_are_compared_with_as_far_as_they_got():
    stopped = finished((0.5, 0.5))
    rule = MedianRule(1, 1)
    assert rule.judge(running(0.1, 0.1), History(stopped)).stop
    assert not rule.judge(running(0.1, 0.1, 0.1), History(stopped)).stop


def test_curves_are_compared_at_the_same_epoch_wherever_they_begin():
    # Epochs 3 and 4; the trial has run up to epoch 4 as well.
    late = finished((0.4, 0.6), first_epoch=2)
    trial = running(0.1, 0.1, 0.1, 0.49)
    assert MedianRule(1, 1).judge(trial, History(late)).stop
    assert "at epoch 4" in MedianRule(1, 1).judge(trial, History(late)).reason
    # At epoch 2 the other has no value yet.
    assert not MedianRule(1, 1).judge(running(0.1, 0.1), History(late)).stop
    # A trial that begins at epoch 3 is at epoch 4 after two values.
    early = finished((0.2, 0.4, 0.6, 0.8))
    assert MedianRule(1, 1).judge(running(0.1, 0.49, first_epoch=2), History(early)).stop
    assert not MedianRule(1, 1).judge(running(0.1, 0.51, first_epoch=2), History(early)).stop


def test_a_diverged_trial_is_the_worst_to_compare_with():
    history = History(finished((math.nan, 0.9), (0.5, math.inf), (0.4, 0.4)))
    verdict = MedianRule(3, 1).judge(running(0.0, 0.1), history)
    assert not verdict.stop  # the median is that of a diverged trial
    good = History(finished((0.5, 0.5), (0.5, 0.5), (0.5, math.nan)))
    assert MedianRule(3, 1).judge(running(math.nan, math.nan), good).stop
    assert MedianRule(3, 1).judge(running(math.nan, 0.4), good).stop
    assert not MedianRule(3, 1).judge(running(math.nan, 0.6), good).stop


def test_a_trial_like_all_others_is_never_stopped():
    for value in (0.03, 0.1, 0.7, -2.3, 1e-9, 1e9):
        for epochs in range(1, 60):
            history = History(finished(*[(value,) * epochs] * 3))
            verdict = MedianRule(3, 1).judge(running(*[value] * epochs), history)
            assert not verdict.stop, verdict.reason


@pytest.mark.parametrize("name", ["min_trials", "min_epochs"])
@pytest.mark.parametrize("value", [0, -2])
def test_impossible_settings_are_refused(name, value):
    with raises_in_three_parts(
        ValueError, happened=f"{name}={value}", expected="Expected at least 1"
    ):
        MedianRule(**{name: value})


def test_half_of_the_epochs_are_saved_and_the_best_is_kept():
    rng, saved, kept = np.random.default_rng(0), [], []
    epochs = np.arange(1, 31)
    for _ in range(20):
        history, spent, finals = History(), 0, []
        for i in range(40):
            limit, pace = rng.uniform(0.2, 1.0), rng.uniform(1, 8)
            full = limit * (1 - np.exp(-epochs / pace)) + rng.normal(0, 0.005, 30)
            finals.append(full[-1])
            curve: tuple[float, ...] = ()
            for value in full.tolist():
                curve = (*curve, value)
                if MedianRule().judge(Record(str(i), {}, curve=curve), history).stop:
                    break
            spent += len(curve)
            history.put(Record(str(i), {}, curve[-1], "completed", curve))
        saved.append(1 - spent / (40 * 30))
        kept.append(history.best.score == max(finals))
    assert 0.2 < np.mean(saved) < 0.7
    assert np.mean(kept) >= 0.95
