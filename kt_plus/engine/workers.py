"""The workers of a search, whose processes may die: what becomes of their trials."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from keras_tuner.engine import trial as kt_trial

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle


def role(environment: Mapping[str, str] = os.environ) -> str | None:
    """What this process is by Keras Tuner's environment variables; `None` if it is alone."""
    if "KERASTUNER_ORACLE_IP" not in environment:
        return None
    return "chief" if "chief" in environment.get("KERASTUNER_TUNER_ID", "") else "worker"


def expect(oracle: Oracle, tuner_ids: Collection[str]) -> None:
    """Leaves interrupted trials to the workers that had them, if these are expected to ask.

    Args:
        oracle: A search that has been reloaded.
        tuner_ids: The workers that still run, or will be started again.
    """
    with oracle._lock:
        for trial_id in list(oracle._retry_queue):
            worker = oracle.notes[trial_id].worker
            if worker in tuner_ids and worker not in oracle.ongoing_trials:
                oracle._retry_queue.remove(trial_id)
                oracle.ongoing_trials[worker] = oracle.trials[trial_id]


def died(oracle: Oracle, tuner_id: str, reason: str, limit: int) -> None:
    """Takes the death of a worker's process: its trial is run again, or has failed.

    Args:
        oracle: The search.
        tuner_id: The worker's id. It will ask again under the same.
        reason: How the process died, in words.
        limit: After so many deaths in a row without a new epoch the trial has failed; 0 if
            the worker will not ask again, so that another one must run its trial.
    """
    with oracle._lock:
        trial = oracle.ongoing_trials.get(tuner_id)
        if trial is None:
            return
        oracle._claim()
        note = oracle.notes[trial.trial_id]
        if not limit:
            del oracle.ongoing_trials[tuner_id]
            oracle._retry_queue.append(trial.trial_id)
            return
        note.count_crash()
        if note.crashes < limit:
            oracle._save_trial(trial)
            return
        oracle.end_trial(_failed(trial, f"{reason}\n{_advice(note.crashes)}"))


def _advice(crashes: int) -> str:
    return (
        f"Its process has died {crashes} times without a new epoch, so that this trial has "
        "failed. A process that is killed by SIGKILL has often used too much memory."
    )


def _failed(trial: Any, message: str) -> Any:
    status = kt_trial.TrialStatus.FAILED
    return kt_trial.Trial(trial.hyperparameters.copy(), trial.trial_id, status, message)
