"""Finished searches replayed under another rule, against examples worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping import MedianRule, Replay, Stopper, replay
from kt_plus.testing import invented_history


def completed(trial_id: str, *curve: float, **fields) -> Record:
    score = max(curve) if curve else None
    return Record(trial_id, {}, fields.pop("score", score), "completed", curve, **fields)


@dataclass(frozen=True)
class Below(Stopper):
    """Stops below the best score so far less a margin."""

    margin: float = 0.0

    def judge(self, trial: Record, history: History) -> Verdict:
        best = history.best
        if best is None or trial.curve[-1] >= best.fitness - self.margin:
            return Verdict(False)
        return Verdict(True, f"{history.show(trial.curve[-1])} < {history.show(best.fitness)}")


class Never(Stopper):
    def judge(self, trial: Record, history: History) -> Verdict:
        return Verdict(False)


SEARCH = [
    completed("0", 0.2, 0.4, 0.5),
    completed("1", 0.6, 0.4, 0.3),  # its best epoch is its first
    completed("2", 0.1, 0.2, 0.9),  # the best, late
    completed("3", 0.6, 0.7, 0.8),
]


def test_a_trial_is_judged_beside_those_of_its_rung():
    search = [
        completed("0", 0.2, 0.4, 0.5),
        completed("1", 0.1, 0.1, 0.1, rung=1),
        completed("2", 0.05, 0.05, 0.05, rung=1),
    ]
    assert dict(replay(search, Below()).stops) == {"2": (1, "0.05 < 0.1")}


def test_of_several_runs_the_mean_so_far_is_judged():
    search = [
        completed("0", 0.4, 0.6, earlier_curves=((0.2, 0.4),), score=0.5),
        completed("1", 0.2, 0.2, earlier_curves=((0.6, 0.6),), score=0.4),
    ]
    assert dict(replay(search, Below()).stops) == {"1": (1, "0.4 < 0.5")}


def test_a_trial_ends_where_the_rule_stops_it():
    found = replay(SEARCH, Below())
    assert dict(found.stops) == {"1": (2, "0.4 < 0.5"), "2": (1, "0.1 < 0.6")}
    assert (found.epochs, found.recorded_epochs, found.trials) == (3 + 2 + 1 + 3, 12, 4)
    assert found.share == 0.75
    assert (found.best, found.best_kept) == ("2", False)
    assert found.regret == pytest.approx(0.9 - 0.8)
    assert repr(found) == (
        "Replay(9 of 12 epochs (75%), 2 of 4 trials stopped, best trial 2 lost (regret 0.1))"
    )


def test_a_stopped_trial_counts_with_the_best_that_was_seen():
    # Without trial 0's full curve the second is stopped at 0.4, having shown 0.6: trial 3 at
    # 0.55 is compared with that.
    search = [SEARCH[0], SEARCH[1], completed("2", 0.55, 0.58, 0.7)]
    found = replay(search, Below())
    assert found.stops["2"] == (1, "0.55 < 0.6")
    assert found.regret == pytest.approx(0.1)


def test_the_best_trial_is_kept_if_it_is_stopped_after_its_best_epoch():
    search = [completed("0", 0.5), completed("1", 0.6, 0.4, 0.3)]
    found = replay(search, Below())
    assert found.stops["1"].epoch == 2
    assert (found.best, found.best_kept, found.regret) == ("1", True, 0.0)
    assert "best trial 1 kept" in repr(found)


def test_a_rule_that_never_stops_changes_nothing():
    found = replay(SEARCH, Never())
    assert found == Replay(12, 12, 4, best="2")
    assert found.share == 1


def test_nothing_is_asked_after_the_last_epoch_of_the_horizon():
    asked: list[tuple[str, int, int | None]] = []

    class Listening(Stopper):
        def judge(self, trial: Record, history: History) -> Verdict:
            asked.append((trial.trial_id, len(trial.curve), trial.horizon))
            assert history.get(trial.trial_id) is trial
            assert (trial.status, trial.score, trial.verdict) == ("running", None, None)
            return Verdict(False)

    replay(
        [
            completed("full", 0.1, 0.2, horizon=2),
            completed("ended early", 0.1, horizon=4),
            completed("late", 0.1, 0.2, first_epoch=3, horizon=5),
            completed("unknown", 0.1),
        ],
        Listening(),
    )
    assert asked == [("full", 1, 2), ("ended early", 1, 4), ("late", 1, 5), ("unknown", 1, None)]


def test_a_trial_that_begins_late_is_stopped_at_the_epoch_of_its_number():
    search = [completed("0", 0.5, 0.5), completed("1", 0.6, 0.2, 0.9, first_epoch=3)]
    assert replay(search, Below()).stops["1"].epoch == 5


def test_executions_are_replayed_in_their_order():
    search = [
        completed("0", 0.5, 0.5),
        completed("1", 0.9, 0.9, earlier_curves=((0.6, 0.7), (0.7, 0.1)), score=0.77),
    ]
    found = replay(search, Below())
    assert found.stops["1"].epoch == 2
    assert (found.epochs, found.recorded_epochs) == (2 + 4, 2 + 6)
    assert not found.best_kept
    assert found.regret == pytest.approx(0.77 - (0.7 + 0.7) / 2)


def test_trials_that_the_search_itself_had_stopped_are_counted():
    stopped = Verdict(True, "stopped at epoch 2 of 9: hopeless")
    search = [
        completed("0", 0.5, 0.6, horizon=9),
        completed("1", 0.1, 0.2, verdict=stopped, horizon=9),
        completed("2", 0.61, 0.62, verdict=stopped, horizon=9),
    ]
    found = replay(search, Below())
    assert found.stops.keys() == {"1"}
    assert found.unknown == ("2",)
    assert "1 trials cut short in the recorded search itself" in repr(found)


def test_what_has_not_ended_or_has_no_curve_is_not_judged():
    search = [
        Record("earlier", {}, 0.7, "completed"),
        Record("running", {}, curve=(0.1, 0.2)),
        Record("failed", {}, status="failed", curve=(0.8, 0.8)),
        completed("1", 0.6, 0.9),
    ]
    found = replay(search, Below())
    assert (found.trials, found.recorded_epochs) == (3, 4)
    assert dict(found.stops) == {"1": (1, "0.6 < 0.7")}


def test_a_failed_trial_that_is_stopped_in_time_has_a_score():
    search = [completed("0", 0.9), Record("1", {}, status="failed", curve=(0.8, math.nan))]
    assert replay(search, Below()).epochs == 2
    diverged = [completed("0", 0.9), Record("1", {}, status="failed", curve=(math.nan, 0.8))]
    found = replay([*diverged, completed("2", 0.85, 0.95)], Below())
    assert (found.stops.keys(), found.regret) == ({"1", "2"}, pytest.approx(0.05))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e34])
def test_diverged_curves_are_survived(value):
    wild = Record("1", {}, status="failed", curve=(value, 0.5, value))
    found = replay([completed("0", 0.5, 0.6), wild, completed("2", 0.7, 0.8)], MedianRule(1, 1))
    assert found.trials == 3
    assert found.best_kept


def test_an_empty_search():
    found = replay([], Never())
    assert found == Replay(0, 0, 0)
    assert repr(found) == "Replay(0 of 0 epochs (100%), 0 of 0 trials stopped)"


def test_reasons_are_in_the_users_sign():
    history = History([completed("0", -0.2, -0.1), completed("1", -0.9, -0.8)], sign=-1)
    assert replay(history, Below()).stops["1"].reason == "0.9 < 0.1"


def test_records_are_left_as_they_are():
    history = invented_history(3)
    before = list(history)
    replay(history, MedianRule(1, 1))
    assert list(history) == before


def test_a_rule_that_raises_is_not_passed_over():
    class Broken(Stopper):
        def judge(self, trial: Record, history: History) -> Verdict:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        replay(SEARCH, Broken())


def live(full: list[Record], rule: Stopper) -> tuple[int, dict[str, int], float]:
    """The search itself under the rule, trial by trial and epoch by epoch."""
    history, epochs, stops = History(), 0, {}
    for record in full:
        curve: tuple[float, ...] = ()
        for value in record.curve:
            curve = (*curve, value)
            epochs += 1
            trial = replace(record, curve=curve, status="running", score=None)
            history.put(trial)
            if len(curve) < record.horizon and rule.judge(trial, history).stop:
                stops[record.trial_id] = len(curve)
                break
        history.put(replace(trial, status="completed", score=max(curve)))
    return epochs, stops, history.best.score


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4))
def test_a_replay_is_the_search_that_would_have_been(seed, min_trials, min_epochs):
    rng = np.random.default_rng(seed)
    full = [
        completed(str(i), *rng.normal(size=(epochs := int(rng.integers(1, 9)))), horizon=epochs)
        for i in range(12)
    ]
    rule = MedianRule(min_trials, min_epochs)
    found = replay(full, rule)
    epochs, stops, best = live(full, rule)
    assert found.epochs == epochs
    assert {trial_id: stop.epoch for trial_id, stop in found.stops.items()} == stops
    assert found.regret == max(record.score for record in full) - best
    assert found.best_kept == (found.regret == 0)
