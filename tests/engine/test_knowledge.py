"""What a rule compares a running trial with: its own rung, and as many runs as it has begun."""

from __future__ import annotations

import math

from kt_plus.engine.history import Record
from kt_plus.engine.judge import Judge
from kt_plus.engine.knowledge import Knowledge
from kt_plus.engine.ledger import Note
from kt_plus.performance_estimation.stopping import MedianRule


def trial(number, *curves, status="completed", rung=0, **facts):
    score = sum(map(max, curves)) / len(curves) if status == "completed" else None
    *earlier, curve = curves
    return Record(
        str(number),
        {},
        score,
        status,
        tuple(curve),
        earlier_curves=tuple(earlier),
        rung=rung,
        **facts,
    )


def test_all_trials_as_they_are_if_there_are_neither_rungs_nor_runs():
    knowledge = Knowledge(1)
    knowledge.put(trial(0, (0.1, 0.2)))
    running = trial(1, (0.3,), status="running")
    knowledge.put(running)
    assert knowledge.beside(running) == (running, knowledge.observed)
    assert knowledge.beside(running)[1] is knowledge.observed


def test_the_trials_of_the_same_rung():
    knowledge = Knowledge(1, has_rungs=True)
    for record in (
        trial(0, (0.1,), full_fidelity=False),
        trial(1, (0.4,), full_fidelity=False),
        trial(2, (0.9,), rung=1),
    ):
        knowledge.put(record)
    running = trial(3, (0.3,), status="running", full_fidelity=False)
    knowledge.put(running)
    _, beside = knowledge.beside(running)
    assert [r.trial_id for r in beside] == ["0", "1", "3"]
    assert beside.best.trial_id == "1", "the incumbent is the best of the rung"
    assert knowledge.observed.best.trial_id == "2"
    knowledge.put(trial(4, (0.5,), full_fidelity=False))
    assert knowledge.beside(running)[1].best.trial_id == "4", "it is kept up to date"
    assert knowledge.emptied().has_rungs


def test_the_mean_of_as_many_runs():
    knowledge = Knowledge(1)
    knowledge.put(trial(0, (0.1, 0.3), (0.5, 0.7), (0.9, 0.9)))
    running = trial(1, (0.2, 0.4), (0.4,), status="running")
    knowledge.put(running)
    seen, beside = knowledge.beside(running)
    assert seen.curve == (0.30000000000000004,)
    assert beside.get("0").curve == (0.3, 0.5), "its first two runs"
    assert beside.get("0").score == knowledge.observed.get("0").score
    first = trial(2, (0.7,), status="running")
    knowledge.put(first)
    seen, beside = knowledge.beside(first)
    assert seen.curve == (0.7,)
    assert beside.get("0").curve == (0.1, 0.3), "its first run"
    assert beside.get("1").curve == (0.2, 0.4), "the run that it has ended"


def test_a_run_that_ended_early_stays_where_it_was():
    knowledge = Knowledge(1)
    knowledge.put(trial(0, (0.2,), (0.4, 0.6, 0.8)))
    running = trial(1, (0.1,), (), status="running")
    knowledge.put(running)
    seen, beside = knowledge.beside(running)
    assert beside.get("0").curve == (0.30000000000000004, 0.4, 0.5)
    assert seen.curve == ()
    knowledge.put(trial(2, (math.nan, 0.5), (0.5, 0.5)))
    assert math.isnan(beside.get("2").curve[0])


def test_a_trial_is_judged_by_its_runs_so_far():
    """A bad second run of a good trial does not end it; two bad ones do."""
    knowledge, judge = Knowledge(1), Judge(MedianRule(min_trials=1, min_epochs=1))
    knowledge.put(trial(0, (0.5, 0.5), (0.5, 0.5)))
    good = trial(1, (0.9, 0.9), (0.2,), status="running", horizon=2)
    bad = trial(2, (0.6, 0.6), (0.3,), status="running", horizon=2)
    for record, stops in ((good, False), (bad, True)):
        knowledge.put(record)
        note = Note(0)
        assert judge.judge(record, knowledge, note) is stops
    assert note.stop.execution == 1
    assert note.stop.epoch == 1
    assert "best value so far 0.45 against a median of 0.5" in note.stop.reason


def test_a_dry_run_sees_the_same():
    knowledge = Knowledge(1, dry=True, has_rungs=True)
    record = trial(0, (0.5,), full_fidelity=False)
    knowledge.put(record, Note(0))
    running = trial(1, (0.3,), status="running", full_fidelity=False)
    knowledge.put(running, Note(1))
    _, beside = knowledge.beside(running)
    assert [r.trial_id for r in beside.dry] == ["0", "1"]
