"""The best trials of a search: which they are, what may be said of them, and how they are shown."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_tuner.engine.trial import TrialStatus

from kt_plus.engine import storage
from kt_plus.engine.ledger import told_of
from kt_plus.engine.retrained import scores
from kt_plus.performance_estimation.fidelity import Ladder, rank_agreement

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle


def ranked(
    oracle: Oracle,
    trials: Sequence[Any],
    number: int | None,
    means: Mapping[str, float] | None = None,
) -> list[Any]:
    """The completed trials from the best on, as `Oracle.get_best_trials` promises them.

    Args:
        oracle: The search.
        trials: All trials of the search.
        number: How many to return; `None` for all.
        means: Posterior means by trial id. They rank the trials of one rung in place of scores.
    """

    def key(trial: Any) -> tuple[int, float]:
        rung, score = standing(oracle, trial)
        return rung, -means[trial.trial_id] if means else score

    completed = [trial for trial in trials if trial.status == TrialStatus.COMPLETED]
    completed.sort(key=key)
    if number is None or len(completed) >= number:
        return completed[:number]
    others = [trial for trial in trials if trial.status != TrialStatus.COMPLETED]
    return [*completed, *others][:number]


def standing(oracle: Oracle, trial: Any) -> tuple[int, float]:
    """What a completed trial is ranked by, the best first: its rung, then its score."""
    note, ladder = oracle.notes.get(trial.trial_id), oracle.ladder
    whole = note is None or note.full_fidelity or ladder is None
    rungs_below = 0 if whole else len(ladder) - note.rung
    return rungs_below, -oracle.sign * trial.score


def completed(trials: Sequence[Any], project_dir: str) -> list[Any]:
    """Those of the best trials that have completed.

    Raises:
        RuntimeError: If there are trials, and none of them has.
    """
    found = [trial for trial in trials if trial.score is not None]
    if trials and not found:
        raise RuntimeError(
            f"None of the trials in {project_dir} has completed, so that none is best. "
            "The first one said:\n" + (trials[0].message or "(nothing)")
        )
    return found


def check_kept(trials: Sequence[Any], checkpoints: Sequence[str]) -> None:
    """Raises unless the checkpoints of all of these trials are still there.

    Args:
        trials: The trials that are asked for, the best first.
        checkpoints: The file of each.
    """
    kept = [storage.exists(path) for path in checkpoints]
    if not all(kept):
        number = kept.index(False)
        if number == 0:  # the best is never removed
            raise RuntimeError(
                f"The best trial, {trials[0].trial_id}, has no saved weights: {checkpoints[0]} is "
                "not there. Expected what Keras's `fit` saves in a search, in this project and "
                "from this working directory. If a `run_trial` or `fit` of your own trains, let it "
                "pass on `callbacks`, or override `save_model` and `load_model`; the best values "
                "are still told by `get_best_hyperparameters()`."
            )
        raise RuntimeError(
            f"The models of the best {len(trials)} trials were asked for, and that of trial "
            f"{trials[number].trial_id} is no longer there. Expected at most {number}: the "
            "checkpoints of worse trials are removed. Pass keep_checkpoints=<how many of the "
            'best to keep>, or "all", to the next search.'
        )


def warn_of_low_fidelity(oracle: Any, trials: Sequence[Any]) -> None:
    """Warns if not even the best trial was trained as the user asked."""
    note = getattr(oracle, "notes", {}).get(trials[0].trial_id) if trials else None
    if note is not None and not note.full_fidelity and trials[0].score is not None:
        warnings.warn(
            "No trial has completed at full fidelity. The best one so far was trained at: "
            f"{note.fidelity}. Run `search` again with a larger budget to go on.",
            stacklevel=4,
        )


def warn_of_misranking(oracle: Oracle, ladder: Ladder) -> None:
    """Warns if the lower rungs have ranked configurations unlike the higher ones."""
    labels = [ladder.describe(rung) for rung in range(len(ladder))]
    for warning in rank_agreement(oracle.history, labels).warnings:
        warnings.warn(warning, stacklevel=4)


def show(oracle: Any, project_dir: str, number: int) -> None:
    """Prints the best trials, and what is known of them beyond their values and scores."""
    print(f"Results summary\nResults in {project_dir}")
    print(f"Showing {number} best trials\n{oracle.objective}")
    notes = getattr(oracle, "notes", {})
    retrained = scores(project_dir)
    for trial in oracle.get_best_trials(number):
        print()
        trial.summary()
        note = notes.get(trial.trial_id)
        for line in told_of(note) if note else ():
            print(line)
        if trial.trial_id in retrained:
            print(f"Score from scratch, at full fidelity: {retrained[trial.trial_id]}")
