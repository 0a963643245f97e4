"""Percentile, successive halving, patience and divergence, against examples worked out by hand."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.history import History, Record
from kt_plus.performance_estimation.stopping import (
    Divergence,
    MedianRule,
    Patience,
    PercentileRule,
    SuccessiveHalvingRule,
)
from kt_plus.testing import invented_history
from tests.errors import raises_in_three_parts

ODD = (math.nan, math.inf, -math.inf, 1e34, -1e34)


def finished(*curves: tuple[float, ...], first_epoch: int = 0) -> list[Record]:
    return [
        Record(f"{first_epoch}.{i}", {"x": i}, max(curve), "completed", curve, first_epoch)
        for i, curve in enumerate(curves)
    ]


def running(*curve: float, first_epoch: int = 0) -> Record:
    return Record("running", {"x": -1}, curve=curve, first_epoch=first_epoch)


class TestPercentile:
    FIVE = History(finished((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)))

    @pytest.mark.parametrize(
        ("percentile", "limit"), [(25, 0.2), (50, 0.3), (75, 0.4), (10, 0.14), (99, 0.496)]
    )
    def test_the_limit_is_the_percentile(self, percentile, limit):
        rule = PercentileRule(percentile, min_epochs=1)
        below, above = (rule.judge(running(limit + d), self.FIVE) for d in (-1e-6, 1e-6))
        assert below.stop
        assert not above.stop
        assert below.reason == (
            f"best value so far {limit - 1e-6:.4g} against a percentile {percentile} of "
            f"{limit:.4g} for the running averages of 5 trials at epoch 1"
        )

    @given(st.integers(0, 2**32), st.integers(1, 99))
    def test_it_is_numpys(self, seed, percentile):
        rng = np.random.default_rng(seed)
        curves = rng.normal(size=(rng.integers(1, 9), 6))
        trial = rng.normal(size=6)
        limit = np.percentile(curves.mean(axis=1), percentile)
        verdict = PercentileRule(percentile, 1, 1).judge(
            running(*trial.tolist()), History(finished(*map(tuple, curves.tolist())))
        )
        assert verdict.stop == bool(trial.max() < limit)

    def test_at_50_it_is_the_median_rule(self):
        for seed in range(5):
            history = invented_history(seed)
            for trial in history:
                verdicts = [
                    rule.judge(trial, history).stop
                    for rule in (PercentileRule(50, 2, 2), MedianRule(2, 2))
                ]
                assert verdicts[0] == verdicts[1]

    def test_a_higher_percentile_stops_whatever_a_lower_one_does(self):
        searches = [invented_history(seed) for seed in range(10)]
        judged = [(trial, h) for h in searches for trial in h if trial.status == "running"]
        stops = []
        for percentile in (10, 30, 50, 70, 90):
            rule = PercentileRule(percentile, 1, 1)
            stops.append({i for i, pair in enumerate(judged) if rule.judge(*pair).stop})
        assert all(fewer <= more for fewer, more in itertools.pairwise(stops))
        assert len(stops[0]) < len(stops[-1])

    @pytest.mark.parametrize("value", ODD)
    def test_others_that_have_diverged_are_the_worst(self, value):
        history = History(finished((0.5, 0.5), (0.5, value), (value, 0.5), (0.4, 0.4)))
        verdict = PercentileRule(50, 1, 1).judge(running(0.6, 0.6), history)
        assert not verdict.stop or value == 1e34

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
    def test_a_trial_like_all_others_is_never_stopped(self, curve):
        history = History(finished(*[tuple(curve)] * 6))
        for epochs in range(1, len(curve) + 1):
            for percentile in (1, 50, 99):
                verdict = PercentileRule(percentile, 1, 1).judge(running(*curve[:epochs]), history)
                assert not verdict.stop, verdict.reason


class TestSuccessiveHalving:
    EIGHT = History(finished(*[(v, v, v) for v in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]))

    def test_the_top_of_a_rung_goes_on(self):
        rule = SuccessiveHalvingRule(eta=4)  # of eight trials two go on
        assert not rule.judge(running(0.71), self.EIGHT).stop
        assert not rule.judge(running(0.65), self.EIGHT).stop
        verdict = rule.judge(running(0.55), self.EIGHT)
        assert verdict.stop
        assert verdict.reason == (
            "2 of the 8 trials at the rung of epoch 1 are better than 0.55; the best 2 go on"
        )

    def test_between_rungs_nothing_is_asked(self):
        rule = SuccessiveHalvingRule(eta=2, min_epochs=2)
        curves = [(0.9,) * 20] * 4
        stops = {
            epoch
            for epoch in range(1, 21)
            if rule.judge(running(*np.linspace(0, 0.5, epoch)), History(finished(*curves))).stop
        }
        assert stops == {2, 4, 8, 16}
        verdict = rule.judge(running(0.1, 0.2, 0.3), History(finished(*curves)))
        assert verdict.reason == "the next rung is at epoch 4"
        assert "epoch 2" in rule.judge(running(0.1), History(finished(*curves))).reason

    def test_where_few_have_come_the_best_goes_on(self):
        rule = SuccessiveHalvingRule(eta=4)
        assert not rule.judge(running(0.1), History()).stop
        assert rule.judge(running(0.1), History(finished((0.2,)))).stop
        assert not rule.judge(running(0.3), History(finished((0.2,), (0.1,)))).stop
        assert (
            not SuccessiveHalvingRule(min_trials=3)
            .judge(running(0.1), History(finished((0.2,))))
            .stop
        )

    def test_every_trial_that_has_reached_the_rung_counts(self):
        others = [
            Record("a", {}, status="failed", curve=(0.9, math.nan)),
            Record("b", {}, status="running", curve=(0.8,)),
            Record("c", {}, status="running"),
            *finished((0.9, 0.9), first_epoch=1),  # has no value at epoch 1
        ]
        verdict = SuccessiveHalvingRule().judge(running(0.5), History(others))
        assert "2 of the 3 trials at the rung of epoch 1" in verdict.reason

    def test_others_count_with_what_they_had_at_the_rung(self):
        history = History(finished((0.1, 0.9), (0.2, 0.9)))
        assert not SuccessiveHalvingRule().judge(running(0.3), history).stop

    def test_a_trial_that_begins_after_a_rung_is_judged_at_the_next(self):
        rule = SuccessiveHalvingRule(eta=2)  # rungs 1, 2, 4, 8
        others = History(finished(*[(0.9,) * 8] * 3))
        assert not rule.judge(running(0.1, first_epoch=2), others).stop  # epoch 3
        assert rule.judge(running(0.1, 0.1, first_epoch=2), others).stop  # epoch 4
        assert not rule.judge(running(first_epoch=2), others).stop

    def test_a_rung_between_two_reports_is_not_missed(self):
        # Validated every third epoch: epochs 3 and 6, of which 4 and 5 repeat the value of 3.
        rule = SuccessiveHalvingRule(eta=4)
        others = History(finished(*[(0.9,) * 8] * 3))
        assert rule.judge(running(0.1, 0.1, 0.1, 0.2, first_epoch=2), others).stop

    @pytest.mark.parametrize("value", ODD)
    def test_diverged_trials_are_the_worst(self, value):
        history = History(finished((0.1, 0.5), (0.2, 0.5), (0.3, 0.5)))
        stopped = SuccessiveHalvingRule().judge(running(value), history).stop
        assert stopped == (value != 1e34)
        wild = History(finished((value,), (value,)))
        assert SuccessiveHalvingRule().judge(running(0.5), wild).stop == (value == 1e34)

    @given(st.integers(0, 2**32), st.integers(2, 5))
    def test_a_rung_is_passed_by_one_in_eta(self, seed, eta):
        values = np.random.default_rng(seed).permutation(20 * eta) / 100
        rule, passed = SuccessiveHalvingRule(eta), 0
        for i, value in enumerate(values):
            others = History(finished(*[(v,) for j, v in enumerate(values) if j != i]))
            passed += not rule.judge(running(value), others).stop
        assert passed == 20


class TestPatience:
    @pytest.mark.parametrize(
        ("curve", "stops"),
        [
            ((0.5, 0.4, 0.4, 0.4), (4,)),
            ((0.5, 0.4, 0.4, 0.6, 0.5, 0.5, 0.5), (7,)),
            ((0.5, 0.5, 0.5, 0.5, 0.5), (4, 5)),
            ((0.1, 0.2, 0.3, 0.4, 0.5), ()),
        ],
    )
    def test_it_stops_after_so_many_epochs_without_improvement(self, curve, stops):
        found = [
            n
            for n in range(len(curve) + 1)
            if Patience(3).judge(running(*curve[:n]), History()).stop
        ]
        assert tuple(found) == stops

    def test_it_tells_since_when(self):
        trial = running(0.1, 0.5, 0.4, 0.3, first_epoch=4)
        reason = Patience(2).judge(trial, History(sign=-1)).reason
        assert reason == "no improvement for 2 epochs (patience 2) on -0.5 at epoch 6"

    def test_small_steps_add_up_to_an_improvement(self):
        creeping = [i / 100 for i in range(20)]
        assert not Patience(4, 0.025).judge(running(*creeping), History()).stop
        assert Patience(2, 0.025).judge(running(*creeping[:3]), History()).stop

    @given(
        st.lists(st.integers(0, 9), min_size=1, max_size=25),
        st.integers(1, 5),
        st.sampled_from([0, 1, 2]),
    )
    def test_it_stops_where_keras_does(self, curve, patience, min_delta):
        settings = {"patience": patience, "min_delta": min_delta, "mode": "max"}
        callback = keras.callbacks.EarlyStopping("x", **settings)
        callback.set_model(SimpleNamespace(stop_training=False))
        callback.on_train_begin()
        stopped = None
        for epoch, value in enumerate(curve, 1):
            callback.on_epoch_end(epoch - 1, {"x": float(value)})
            if stopped is None and callback.model.stop_training:
                stopped = epoch
        rule = Patience(patience, min_delta)
        ours = next(
            (
                n
                for n in range(1, len(curve) + 1)
                if rule.judge(running(*map(float, curve[:n])), History()).stop
            ),
            None,
        )
        assert ours == stopped

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_is_not_finite_is_no_improvement(self, value):
        assert Patience(2).judge(running(0.5, value, value), History()).stop
        assert not Patience(2).judge(running(value, 0.5, value), History()).stop
        verdict = Patience(2).judge(running(value, value), History())
        assert verdict.stop
        assert verdict.reason == "no improvement for 2 epochs (patience 2)"


class TestDivergence:
    OTHERS = History(
        finished((-2.3, -1.0, -0.5), (-2.3, -0.4), (-2.3, -2.0))
    )  # ranges 1.8, 1.9, .3

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_is_not_finite_has_diverged(self, value):
        verdict = Divergence().judge(running(-2.3, -2.2, value), self.OTHERS)
        assert verdict.stop
        assert verdict.reason == f"diverged: the objective is {value}"
        assert Divergence().judge(running(value), History()).stop
        assert not Divergence().judge(running(value, -2.0), History()).stop  # it has recovered

    def test_an_explosion_is_a_drop_by_many_usual_ranges(self):
        rule = Divergence(factor=10)  # beyond -2.3 - 10 * 1.8
        assert not rule.judge(running(-2.3, -20.2), self.OTHERS).stop
        verdict = rule.judge(running(-2.3, -20.4), self.OTHERS)
        assert verdict.stop
        assert "the objective is -20.4, having begun at -2.3; diverged is what is beyond -20.3" in (
            verdict.reason
        )
        assert not Divergence(20).judge(running(-2.3, -20.4), self.OTHERS).stop

    def test_reasons_are_in_the_users_sign(self):
        history = History(self.OTHERS, sign=-1)
        assert (
            "is 20.4, having begun at 2.3"
            in Divergence().judge(running(-2.3, -20.4), history).reason
        )

    def test_what_the_trial_itself_has_gained_counts(self):
        assert Divergence().judge(running(-9.0, -8.0, -30.0), self.OTHERS).stop
        assert not Divergence().judge(running(-9.0, -1.0, -30.0), self.OTHERS).stop

    def test_before_any_has_completed_the_size_of_the_first_value_is_the_measure(self):
        assert not Divergence().judge(running(-2.3, -2.29, -25.0), History()).stop
        assert Divergence().judge(running(-2.3, -2.29, -26.0), History()).stop
        assert Divergence().judge(running(-2.3, -1e34), History()).stop
        assert not Divergence().judge(running(0.0, -0.0), History()).stop

    def test_a_score_that_begins_at_0_has_no_size_to_diverge_by(self):
        verdict = Divergence().judge(running(0.0, -0.02), History())  # as Cohen's kappa may
        assert not verdict.stop
        assert "no range yet" in verdict.reason
        assert Divergence().judge(running(0.0, -0.02, math.nan), History()).stop
        assert Divergence().judge(running(0.0, -20.4), self.OTHERS).stop

    def test_accuracies_never_explode(self):
        rng = np.random.default_rng(0)
        history = History(finished(*map(tuple, rng.random((5, 10)).tolist())))
        for curve in rng.random((200, 10)).tolist():
            assert not Divergence().judge(running(*curve), history).stop

    @pytest.mark.parametrize("value", ODD)
    def test_others_that_have_diverged_do_not_matter(self, value):
        history = History([*self.OTHERS, *finished((value, -2.0), (value,), first_epoch=1)])
        assert Divergence().judge(running(-2.3, -1e30), history).stop

    @pytest.mark.parametrize("factor", [0.5, 8.0])
    @pytest.mark.parametrize("shift", [0.0, 64.0])
    def test_scale_and_shift_are_irrelevant(self, factor, shift):
        others = finished(*(tuple(factor * v + shift for v in r.curve) for r in self.OTHERS))
        for value, stop in ((-20.0, False), (-21.0, True)):
            trial = running(factor * -2.3 + shift, factor * value + shift)
            assert Divergence().judge(trial, History(others)).stop == stop


@pytest.mark.parametrize(
    ("rule", "name", "value", "expected"),
    [
        (PercentileRule, "percentile", 0, "above 0 and below 100"),
        (PercentileRule, "percentile", 100, "above 0 and below 100"),
        (PercentileRule, "percentile", math.nan, "above 0 and below 100"),
        (PercentileRule, "percentile", "25", "above 0 and below 100"),
        (PercentileRule, "min_trials", 0, "at least 1"),
        (PercentileRule, "min_epochs", 2.5, "whole number"),
        (SuccessiveHalvingRule, "eta", 1, "at least 2"),
        (SuccessiveHalvingRule, "min_epochs", 0, "at least 1"),
        (SuccessiveHalvingRule, "min_trials", True, "whole number"),
        (Patience, "patience", -1, "at least 1"),
        (Patience, "patience", "3", "whole number"),
        (Patience, "min_delta", -0.1, "above 0"),
        (Patience, "min_delta", math.nan, "above 0"),
        (Divergence, "factor", 0, "above 0"),
    ],
)
def test_impossible_settings_are_refused(rule, name, value, expected):
    with raises_in_three_parts(ValueError, happened=f"{name}={value!r}", expected=expected):
        rule(**{name: value})


def test_settings_may_be_numpys():
    assert PercentileRule(np.float64(25), np.int64(3)) == PercentileRule(25, 3)
