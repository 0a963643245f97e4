"""What is known of the trials: as observed, as the strategy learns it, as a dry run sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, get_args

from kt_plus.engine.history import Fingerprint, History, Record, Verdict
from kt_plus.engine.ledger import Note, StopNote, is_finite
from kt_plus.performance_estimation.stopping.replay import as_stopped, comparable

StoppedTrials = Literal["observed", "predicted", "excluded"]
CHOICES: Final = get_args(StoppedTrials)


class Knowledge:
    """The histories of a search, which differ in the trials that were stopped, or would have been.

    Args:
        sign: 1 if the objective is maximised, -1 if it is minimised.
        stopped_trials: What the strategy learns from a trial that was stopped: "observed",
            the best value seen; "predicted", the best value that it was expected to reach,
            where the rule has foretold one; "excluded", only that it was tried.
        dry: Whether a rule makes a dry run, for which stops that only would have been are real.
        has_rungs: Whether trials of different rungs cannot be compared.

    Attributes:
        waiting: Whether the strategy waits for something to change here. Being a function of it,
            it need not be asked before.

    Raises:
        ValueError: If `stopped_trials` is none of these.
    """

    def __init__(
        self,
        sign: int,
        stopped_trials: str = "observed",
        dry: bool = False,
        has_rungs: bool = False,
    ) -> None:
        if stopped_trials not in CHOICES:
            raise ValueError(
                f"stopped_trials={stopped_trials!r} was given. Expected one of {list(CHOICES)}. "
                "Leave it out to learn from the best value that a stopped trial has reached."
            )
        self.stopped_trials = stopped_trials
        self.waiting = False
        self.has_rungs, self._has_runs = has_rungs, False
        self._notes: dict[str, Note | None] = {}
        self._parts: dict[tuple[int | None, int | None], Knowledge] = {}
        self._fingerprint: Fingerprint | None = None
        self.observed = History(sign=sign)
        self.learnt = self.observed if stopped_trials == "observed" else History(sign=sign)
        if dry:
            self.observed.dry = History(sign=sign)

    def put(self, record: Record, note: Note | None = None) -> None:
        """Adds a trial, or replaces what was known of it."""
        self.waiting = False
        self.observed.put(record)
        if self.learnt is not self.observed:
            self.learnt.put(self._learnt(record, note.stop if note else None))
        if self.observed.dry is not None:
            self.observed.dry.put(_had_it_stopped(record, note.dry_stop if note else None))
        self._notes[record.trial_id] = note
        self._has_runs = self._has_runs or bool(record.earlier_curves)
        for (rung, runs), part in self._parts.items():
            if rung in (None, record.rung):
                part.put(comparable(record, runs), note)

    def beside(self, trial: Record) -> tuple[Record, History]:
        """A running trial as a rule is to see it, and the trials to compare it with.

        Those are the ones of its own rung. Of trials that are run several times, as
        folds are, the curve is the mean over as many runs as this one has begun.
        """
        rung = trial.rung if self.has_rungs else None
        runs = len(trial.earlier_curves) + 1 if self._has_runs else None
        if rung is None and runs is None:
            return trial, self.observed
        if (rung, runs) not in self._parts:
            part = Knowledge(self.observed.sign, dry=self.observed.dry is not None)
            for record in self.observed:
                if rung in (None, record.rung):
                    part.put(comparable(record, runs), self._notes[record.trial_id])
            self._parts[rung, runs] = part
        return comparable(trial, runs), self._parts[rung, runs].observed

    def emptied(self) -> Knowledge:
        """The same, of nothing yet."""
        dry = self.observed.dry is not None
        empty = Knowledge(self.observed.sign, self.stopped_trials, dry, self.has_rungs)
        empty.identify_by(self._fingerprint)
        return empty

    def identify_by(self, fingerprint: Fingerprint | None) -> None:
        """Takes configurations of one fingerprint for the same."""
        self._fingerprint = fingerprint
        for history in {id(h): h for h in (self.observed, self.learnt)}.values():
            history.identify_by(fingerprint)

    def _learnt(self, record: Record, stop: StopNote | None) -> Record:
        if stop is None or record.status != "completed":
            return record
        if self.stopped_trials == "excluded":  # to the strategy it is a trial without a score
            return replace(record, status="failed", score=None)
        if stop.mean is None or not is_finite(stop.mean):
            return record
        return replace(record, score=self.observed.sign * stop.mean)


def _had_it_stopped(record: Record, stop: StopNote | None) -> Record:
    if stop is None:
        return record
    curves = [*record.earlier_curves, record.curve][: stop.execution + 1]
    curve = curves[-1][: stop.epoch - record.first_epoch]
    ended = replace(record, earlier_curves=tuple(curves[:-1]), curve=curve)
    return as_stopped(ended, Verdict(True, stop.reason))
