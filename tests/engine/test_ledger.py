"""What is kept of a trial: curves, notes, and the record made of them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import keras_tuner
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.engine.ledger import (
    UNUSED,
    Curve,
    Note,
    StopNote,
    is_finite,
    plain,
    record_of,
    without_reserved,
)
from kt_plus.performance_estimation.learning_curves.forecast import Forecast, Mixture


def curve_of(*points: tuple[int, float]) -> Curve:
    curve = Curve()
    for epoch, value in points:
        curve.report(epoch, value)
    return curve


def test_a_curve_grows_by_one_point_an_epoch():
    assert curve_of((0, 0.1), (1, 0.2), (2, 0.3)) == Curve(0, [0.1, 0.2, 0.3])


def test_a_curve_that_begins_late_says_so():
    assert curve_of((4, 0.1), (5, 0.2)) == Curve(4, [0.1, 0.2])


def test_an_epoch_without_a_report_repeats_the_one_before():
    assert curve_of((1, 0.1), (4, 0.4)) == Curve(1, [0.1, 0.1, 0.1, 0.4])


def test_an_epoch_seen_before_begins_a_new_attempt_from_there():
    assert curve_of((0, 0.1), (1, 0.2), (2, 0.3), (1, 0.9)) == Curve(0, [0.1, 0.9])
    assert curve_of((0, 0.1), (1, 0.2), (0, 0.9)) == Curve(0, [0.9])


def test_an_epoch_before_the_first_begins_another_curve():
    assert curve_of((3, 0.1), (4, 0.2), (1, 0.9)) == Curve(1, [0.9])


def test_points_are_plain_floats():
    curve = curve_of((0, np.float32(0.5)), (1, 1))  # type: ignore[arg-type]
    assert [type(value) for value in curve.values] == [float, float]


@given(st.lists(st.tuples(st.integers(0, 12), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_curve_ends_with_its_last_report_and_has_no_gap(points):
    curve = curve_of(*points)
    epoch, value = points[-1]
    assert curve.values[-1] == value
    assert curve.first_epoch + len(curve.values) == epoch + 1
    assert curve.first_epoch in {e for e, _ in points}


def test_executions_have_a_curve_each():
    note = Note(started=0)
    for execution in (0, 1):
        for epoch in range(3):
            note.report(epoch, execution + epoch / 10, execution)
    assert [curve.values for curve in note.curves] == [[0.0, 0.1, 0.2], [1.0, 1.1, 1.2]]
    assert note.epochs == 6
    note.begin_attempt("worker0", interrupted=True)
    assert note.epochs == 6
    note.begin_attempt("worker0", interrupted=False)
    assert (note.curves, note.epochs) == ([], 0)


numbers = st.none() | st.floats(allow_nan=False)
stop_notes = st.builds(
    StopNote,
    st.integers(1, 99),
    st.text(max_size=9),
    st.integers(0, 3),
    *[numbers] * 3,
    probability=st.none() | st.floats(0, 1),
    incumbent=numbers,
)


@given(
    st.builds(
        Note,
        started=st.integers(0, 99),
        ended=st.none() | st.integers(0, 99),
        attempts=st.integers(0, 3),
        seconds=st.floats(0, 1e6),
        search_seconds=st.floats(0, 1e6),
        horizon=st.none() | st.integers(1, 100),
        curves=st.lists(
            st.builds(Curve, st.integers(0, 3), st.lists(st.floats(allow_nan=False), max_size=4)),
            max_size=3,
        ),
        parent=st.none() | st.just("3"),
        changed=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        rung=st.integers(0, 4),
        initial=st.none() | st.integers(0, 3),
        unused=st.none() | st.lists(st.text(max_size=5), max_size=3).map(tuple),
        stop=st.none() | stop_notes,
        dry_stop=st.none() | stop_notes,
    )
)
def test_a_note_survives_a_file(note):
    assert Note.from_config(json.loads(json.dumps(note.get_config()))) == note


def test_a_curve_that_diverged_survives_a_file():
    note = Note(0, curves=[Curve(0, [0.5, math.nan, math.inf])])
    (curve,) = Note.from_config(json.loads(json.dumps(note.get_config()))).curves
    assert curve.values[0] == 0.5
    assert math.isnan(curve.values[1])
    assert curve.values[2] == math.inf


def test_what_a_newer_version_wrote_is_passed_over():
    config = {**Note(3, parent="1").get_config(), "from_the_future": [1, 2]}
    assert Note.from_config(config) == Note(3, parent="1")


def test_what_a_newer_version_wrote_of_a_stop_is_passed_over():
    note = Note(0, horizon=9, stop=StopNote(3, "low"), dry_stop=StopNote(2, "high"))
    config = note.get_config()
    config["stop"]["from_the_future"] = 1
    assert Note.from_config(config) == note


def test_a_stop_is_told_in_a_sentence():
    stop = StopNote(3, "too low")
    assert Note(0, horizon=9, stop=stop).stop_reason == "stopped at epoch 3 of 9: too low"
    assert Note(0, stop=stop).stop_reason == "stopped at epoch 3: too low"
    dry = Note(0, dry_stop=stop)
    assert dry.dry_stop_reason == "would have stopped at epoch 3: too low"
    assert dry.stop_reason is Note(0).stop_reason is Note(0).dry_stop_reason is None


@pytest.mark.parametrize("name", ["stop", "dry_stop"])
@pytest.mark.parametrize(
    ("execution", "epoch", "kept"), [(1, 4, True), (1, 3, False), (1, 0, False), (0, 9, False)]
)
def test_training_that_goes_on_from_before_a_stop_forgets_it(name, execution, epoch, kept):
    stop = StopNote(4, "low", execution=1)
    note = Note(0, curves=[Curve(0, [0.1] * 6), Curve(0, [0.1] * 5)], **{name: stop})
    note.report(epoch, 0.2, execution)
    assert getattr(note, name) == (stop if kept else None)


def test_a_new_attempt_forgets_why_the_last_one_was_stopped():
    note = Note(0, stop=StopNote(3, "low"), dry_stop=StopNote(2, "low"))
    note.begin_attempt("worker0", interrupted=False)
    assert note == Note(0, worker="worker0")


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_kept_of_a_forecast_has_the_users_sign(sign):
    one = np.ones(1)
    future = Mixture(one, 0.8 * one, 0.1 * one)
    forecast = Forecast(future, (future,) * 5, 2)
    history = History([Record("0", {}, 0.9, "completed")], sign=sign)
    trial = Record("1", {}, curve=(0.1, 0.2), earlier_curves=((0.1,),), first_epoch=1)
    stop = StopNote.of(Verdict(True, "low", forecast), trial, history)
    assert (stop.epoch, stop.execution, stop.reason) == (3, 1, "low")
    assert stop.mean == pytest.approx(sign * 0.8)
    assert stop.low < stop.mean < stop.high
    assert stop.high - stop.low == pytest.approx(2 * 0.1 * 1.6449, abs=1e-3)
    assert stop.incumbent == sign * 0.9
    assert stop.probability == pytest.approx(0.1587, abs=1e-3)
    assert {type(v) for v in (stop.mean, stop.low, stop.high, stop.probability)} == {float}


def test_without_a_forecast_or_an_incumbent_less_is_kept():
    trial = Record("1", {}, curve=(0.1, 0.2))
    history = History([Record("0", {}, 0.9, "completed")])
    assert StopNote.of(Verdict(True, " "), trial, History()) == StopNote(
        2, "the rule gave no reason"
    )
    assert StopNote.of(Verdict(True, "a"), trial, history) == StopNote(2, "a", incumbent=0.9)


def test_what_an_older_version_did_not_write_has_its_default():
    assert Note.from_config({"started": 2}) == Note(started=2)


@dataclass
class Values:
    values: dict[str, Any] = field(default_factory=dict)


def trial(status: str, score: Any = None, **values: Any) -> Any:
    return SimpleNamespace(
        trial_id="4", status=status, score=score, hyperparameters=Values(dict(values))
    )


def test_a_record_has_larger_scores_for_better_trials():
    note = Note(0, curves=[Curve(1, [3.0, 2.0]), Curve(0, [5.0, 1.0])])
    record = record_of(trial("COMPLETED", 1.5, x=1), note, sign=-1)
    assert record.score == -1.5
    assert record.curve == (-5.0, -1.0)
    assert record.earlier_curves == ((-3.0, -2.0),)
    assert record.first_epoch == 0
    assert record.status == "completed"


def test_a_record_tells_what_the_note_does():
    note = Note(
        7,
        horizon=9,
        curves=[Curve(2, [0.5])],
        parent="1",
        rung=2,
        unused=("b",),
        stop=StopNote(3, "too low"),
    )
    record = record_of(trial("RUNNING", a=1, b=2), note, sign=1)
    assert (record.trial_id, record.parent, record.rung, record.first_epoch) == ("4", "1", 2, 2)
    assert record.unused == frozenset({"b"})
    assert record.verdict == Verdict(True, "stopped at epoch 3 of 9: too low")
    assert record.horizon == 9
    assert (record.score, record.status, record.curve) == (None, "running", (0.5,))


def test_a_trial_without_a_curve_has_an_empty_one():
    record = record_of(trial("FAILED"), Note(0), sign=1)
    assert (record.curve, record.earlier_curves, record.first_epoch) == ((), (), 0)
    assert (record.status, record.score, record.verdict, record.unused) == ("failed", *[None] * 3)
    assert record.horizon is None


@pytest.mark.parametrize("status", ["RUNNING", "INVALID", "IDLE"])
def test_a_trial_that_has_not_ended_runs(status):
    assert record_of(trial(status, 0.7), Note(0), sign=1).status == "running"
    assert record_of(trial(status, 0.7), Note(0), sign=1).score is None


@pytest.mark.parametrize("score", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_keras_tuner_completes_with_an_infinite_score_has_failed(score, sign):
    record = record_of(trial("COMPLETED", score), Note(0), sign)
    assert (record.status, record.score) == ("failed", None)


def test_values_are_plain_and_the_users_own():
    found = without_reserved(
        {
            "units": np.int64(3),
            "rate": np.float32(0.5),
            "norm": np.bool_(True),
            "op": np.str_("conv"),
            "tuner/epochs": 3,
            UNUSED: "units",
        }
    )
    assert found == {"units": 3, "rate": 0.5, "norm": True, "op": "conv"}
    assert [type(value) for value in found.values()] == [int, float, bool, str]
    assert plain("tuner/") == "tuner/"


def test_a_real_trial_makes_a_record():
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Int("units", 1, 8, default=3)
    real = keras_tuner.engine.trial.Trial(hyperparameters, "0", "COMPLETED")
    real.score = np.float32(0.25)
    record = record_of(real, Note(0), sign=-1)
    assert (record.values, record.score) == ({"units": 3}, -0.25)
    assert type(record.score) is float


@pytest.mark.parametrize(
    ("score", "finite"), [(0.5, True), (0, True), (None, False), (math.nan, False), (1e999, False)]
)
def test_a_score_is_finite_or_cannot_be_compared(score, finite):
    assert is_finite(score) is finite
