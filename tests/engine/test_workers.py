"""What becomes of the trials of workers whose processes die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.engine import workers
from kt_plus.engine.ledger import CURVE


def oracle_in(directory: Path, **options: Any) -> Any:
    hp = kt.HyperParameters()
    hp.Int("x", 0, 99)
    oracle = kt_plus.oracles.RandomSearchOracle(
        kt.Objective("score", "max"), 20, seed=0, hyperparameters=hp, **options
    )
    oracle.verbose = 0
    oracle._set_project_dir(str(directory), "p")
    return oracle


def report(oracle: Any, trial: Any, *epochs: int) -> None:
    for epoch in epochs:
        oracle.update_trial(trial.trial_id, {CURVE + "score": float(epoch)}, step=epoch)


def test_a_trial_fails_after_deaths_without_a_new_epoch(tmp_path: Path) -> None:
    oracle = oracle_in(tmp_path)
    trial = oracle.create_trial("worker0")
    for furthest, crashes in ((1, 1), (2, 1), (2, 2), (1, 3), (4, 1), (4, 2), (4, 3)):
        report(oracle, trial, *range(furthest + 1))
        workers.died(oracle, "worker0", "killed by SIGKILL", limit=4)
        assert oracle.notes[trial.trial_id].crashes == crashes
        assert oracle.create_trial("worker0").trial_id == trial.trial_id
    workers.died(oracle, "worker0", "killed by SIGKILL", limit=4)
    assert trial.status == "FAILED"
    assert "killed by SIGKILL" in trial.message
    assert "died 4 times" in trial.message
    assert oracle.create_trial("worker0").trial_id != trial.trial_id
    workers.died(oracle, "nobody", "", limit=1)  # has no trial


def test_failures_by_death_count_like_others(tmp_path: Path) -> None:
    oracle = oracle_in(tmp_path, max_consecutive_failed_trials=2)
    oracle.create_trial("worker0")
    workers.died(oracle, "worker0", "killed", limit=1)
    oracle.create_trial("worker0")
    with pytest.raises(RuntimeError, match="consecutive failures"):
        workers.died(oracle, "worker0", "killed", limit=1)


def test_the_trial_of_a_worker_that_is_given_up_is_for_others(tmp_path: Path) -> None:
    oracle = oracle_in(tmp_path)
    trial = oracle.create_trial("worker0")
    report(oracle, trial, 0, 1)
    workers.died(oracle, "worker0", "", limit=0)
    again = oracle.create_trial("worker1")
    assert again.trial_id == trial.trial_id
    # What was reported stays, for it may go on from there.
    assert oracle.notes[trial.trial_id].curves[0].values == [0.0, 1.0]
    report(oracle, again, 1)
    assert oracle.notes[trial.trial_id].curves[0].values == [0.0, 1.0]


def test_a_chief_that_starts_again_leaves_trials_to_their_workers(tmp_path: Path) -> None:
    oracle = oracle_in(tmp_path)
    mine, others = oracle.create_trial("worker0"), oracle.create_trial("worker1")
    report(oracle, mine, 0)
    restarted = oracle_in(tmp_path)
    restarted.reload()
    workers.expect(restarted, ["worker0"])
    assert {w: t.trial_id for w, t in restarted.ongoing_trials.items()} == {
        "worker0": mine.trial_id
    }
    # worker0 has outlived the chief, and goes on; worker1's trial is for whoever asks.
    report(restarted, mine, 1)
    assert restarted.notes[mine.trial_id].curves[0].values == [0.0, 1.0]
    assert restarted.create_trial("worker5").trial_id == others.trial_id
    assert restarted.create_trial("worker0").trial_id == mine.trial_id


@pytest.mark.parametrize(
    ("environment", "role"),
    [
        ({}, None),
        ({"KERASTUNER_TUNER_ID": "chief"}, None),
        ({"KERASTUNER_TUNER_ID": "chief", "KERASTUNER_ORACLE_IP": "x"}, "chief"),
        ({"KERASTUNER_TUNER_ID": "worker0", "KERASTUNER_ORACLE_IP": "x"}, "worker"),
    ],
)
def test_roles(environment: dict[str, str], role: str | None) -> None:
    assert workers.role(environment) == role
