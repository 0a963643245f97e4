"""Keras Tuner's way to run in parallel: processes started by hand, told apart by variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.distribute.searches import check_complete, sums
from tests.integration.test_kill import run


@pytest.mark.slow
def test_a_lost_chief_and_a_failed_search(tmp_path: Path) -> None:
    told = json.loads(run("tests.distribute.by_hand", str(tmp_path)).splitlines()[-1])
    killed = told["killed"]
    assert killed["seconds"] < 30
    for worker in ("worker0", "worker1"):
        (event,) = killed[worker]
        assert event["event"] == "ChiefLostError"
        assert "Start chief and workers again" in event["text"]
    # Started again, with overwrite=True in the workers, which is the chief's to decide.
    assert {event["event"] for events in told["resumed"].values() for event in events} == {"end"}
    tuner, _ = sums(tmp_path / "killed")()
    tuner.oracle.reload()
    check_complete(tuner, tmp_path / "killed")
    assert {event["event"] for events in told["plain"].values() for event in events} == {"end"}
    trials = [json.loads(f.read_text()) for f in (tmp_path / "plain").glob("p/trial_*/trial.json")]
    assert len(trials) == 5
    for trial in trials:
        assert trial["status"] == "COMPLETED"
        assert trial["score"] == trial["hyperparameters"]["values"]["x"]
    ((chief,), *workers) = told["failed"].values()
    assert chief["event"] == "RuntimeError"
    assert "consecutive failures" in chief["text"]
    for (event,) in workers:
        assert event["event"] == "SearchEndedError"
        assert "ArithmeticError: the model diverged" in event["text"]
