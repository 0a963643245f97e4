"""What becomes of a trial that its worker has ended: what the worker found, score, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_tuner.engine.trial import Trial, TrialStatus

from kt_plus.engine import inheritance
from kt_plus.engine.ledger import RUNS, UNUSED, Note, is_finite, plain

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle


def with_status(trial: Any, status: str) -> Any:
    """A copy of the trial with another status: the stored one stays as it is until it ends."""
    copy = Trial(trial.hyperparameters, trial.trial_id, status)
    copy.metrics, copy.score, copy.best_step = trial.metrics, trial.score, trial.best_step
    return copy


def take_values(trial: Any, ended: Any) -> None:
    """Takes the values that the worker found; those known here stay, since gRPC rounds them."""
    if ended is not trial:
        known = trial.hyperparameters.values
        trial.hyperparameters = ended.hyperparameters
        trial.hyperparameters.values = {**ended.hyperparameters.values, **known}


def take_told(trial: Any, note: Note, parent: Note | None, sign: int) -> None:
    """Keeps in the note what the worker tells in reserved values, and removes these.

    Args:
        trial: The trial.
        note: What is kept of it.
        parent: What is kept of its parent.
        sign: 1 if the objective is maximised, -1 if it is minimised.
    """
    values = trial.hyperparameters.values
    unused = values.pop(UNUSED, None)
    note.unused = None if unused is None else tuple(unused.split("\n")) if unused else ()
    runs = values.pop(RUNS, None)
    note.runs = tuple(map(float, runs.split("\n"))) if runs else ()
    inheritance.take(note, values.pop(inheritance.INHERITED, None), parent, sign)


def settle_score(trial: Any, objective: Any) -> None:
    """Makes the score of a completed trial a plain number, or the trial one that has failed."""
    if is_finite(trial.score):
        trial.score, trial.best_step = plain(trial.score), plain(trial.best_step)
        return
    trial.message = (
        f"The objective {objective.name!r} is {trial.score}: training diverged. "
        "Such a trial has failed; a smaller learning rate or gradient clipping may help."
    )
    trial.status, trial.score = TrialStatus.INVALID, None


def check_consecutive_failures(oracle: Oracle) -> None:
    """Ends the search if the last trials have all failed, as many as it allows.

    Raises:
        RuntimeError: If they have.
    """
    limit = oracle.max_consecutive_failed_trials
    last = [oracle.trials[trial_id] for trial_id in oracle.end_order[-limit:]] if limit else []
    if limit and len(last) == limit and all(t.status == TrialStatus.FAILED for t in last):
        raise RuntimeError(
            f"Number of consecutive failures exceeded the limit of {limit}, set by "
            "`max_consecutive_failed_trials`. The last trial said:\n"
            f"{last[-1].message or '(nothing)'}"
        )
