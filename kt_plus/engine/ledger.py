"""What kt_plus keeps of a trial beyond what Keras Tuner does, and the record made of both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from kt_plus.engine.history import History, Record, Status, Value, Verdict

RESERVED = "tuner/"
"""Hyperparameter values under this prefix are directives to the worker, not the user's."""

UNUSED = RESERVED + "unused"
"""Under this name a worker tells which values the model never asked for, one a line."""

RUNS = RESERVED + "runs"
"""Under this name a worker tells the value of each run of a trial, one a line."""

CURVE = "curve:"
"""A metric under this prefix is one point of a learning curve of the objective."""

EXECUTION = "execution"
HORIZON = "horizon"
"""What is reported with a point: which execution it is of, and its last epoch's number."""

Cause = Literal["rule", "budget"]

STATUS: dict[str, Status] = {"COMPLETED": "completed", "FAILED": "failed"}


@dataclass
class Curve:
    """The objective after each epoch of one execution, as reported, sign included."""

    first_epoch: int = 0
    values: list[float] = field(default_factory=list)

    def report(self, epoch: int, value: float) -> None:
        """Adds a point. One at an epoch already seen begins a new attempt from there."""
        if not self.values or epoch < self.first_epoch:
            self.first_epoch, self.values = epoch, []
        del self.values[epoch - self.first_epoch :]
        while self.values and len(self.values) < epoch - self.first_epoch:
            self.values.append(self.values[-1])  # validated every few epochs only
        self.values.append(float(value))


@dataclass(frozen=True)
class StopNote:
    """What is kept of the verdict that ended a trial. Values have the user's sign.

    Args:
        epoch: After which epoch, counted from 1.
        reason: Why, in words and numbers.
        execution: In which of the trial's executions, from 0.
        mean: The expectation of the best value within the horizon, if the rule has a forecast. A
            long tail may put it outside the interval.
        median: Its median; `None` in projects of version 0.1.
        low: The lower end of its interval of 90 %.
        high: The upper end.
        probability: The probability that the trial would have beaten the incumbent.
        incumbent: The best score of the search at that moment.
        cause: "rule" for a stop by the rule, "budget" for one by a limit on time or epochs.
    """

    epoch: int
    reason: str
    execution: int = 0
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    incumbent: float | None = None
    median: float | None = None
    cause: Cause = "rule"

    @classmethod
    def of(
        cls, verdict: Verdict, trial: Record, history: History, cause: Cause = "rule"
    ) -> StopNote:
        """What to keep of a verdict on a trial, given what the search knew."""
        sign, forecast, best = history.sign, verdict.forecast, history.best
        incumbent = None if best is None else sign * best.fitness
        note = cls(
            trial.first_epoch + len(trial.curve),
            verdict.reason.strip() or "the rule gave no reason",
            len(trial.earlier_curves),
            incumbent=incumbent,
            cause=cause,
        )
        if forecast is None:
            return note
        low, median, high = sorted(float(sign * forecast.quantile(q)) for q in (0.05, 0.5, 0.95))
        above = None if best is None else float(forecast.probability_above(best.fitness))
        mean = float(sign * forecast.mean)
        return replace(note, mean=mean, median=median, low=low, high=high, probability=above)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> StopNote:
        """Returns the note of a configuration; version 0.1 tells the cause by the reason only."""
        known = {k: v for k, v in config.items() if k in cls.__dataclass_fields__}
        reason = str(known.get("reason"))
        is_limit = reason.startswith("the search's ") and reason.endswith(" are used up")
        return cls(**{"cause": "budget" if is_limit else "rule", **known})

    @property
    def expected(self) -> float | None:
        """The median of the best value, or a mean that lies in the interval; else `None`."""
        if self.median is not None or None in (self.mean, self.low, self.high):
            return self.median
        return self.mean if self.low <= self.mean <= self.high else None  # type: ignore[operator]

    def is_after(self, execution: int, epoch: int) -> bool:
        """Whether it was at the end of that epoch, counted from 0, or later."""
        return (self.execution, self.epoch) >= (execution, epoch + 1)

    def sentence(self, horizon: int | None, dry: bool = False) -> str:
        """The epoch and the reason, fit to be shown to the user."""
        of = f" of {horizon}" if horizon else ""
        done = "would have stopped" if dry else "stopped"
        return f"{done} at epoch {self.epoch}{of}: {self.reason}"


@dataclass
class Note:
    """What kt_plus keeps of one trial, in its `trial.json` beside Keras Tuner's own entries.

    Args:
        started: The trial's place in the order of starts.
        ended: Its place in the order of ends; `None` until it has ended.
        attempts: How often it was run to an end, good or bad.
        seconds: How long the last attempt took.
        search_seconds: How long the search had been running when it ended.
        horizon: The number of the last epoch that it was to run, counted from 1, if known.
        curves: One curve for every execution.
        parent: The id of the trial it was derived from.
        changed: The names whose values differ from the parent's.
        rung: The fidelity level it runs at.
        initial: Its place among the initial configurations, if it is one.
        unused: The names in its values that the model never asked for.
        stop: Where it was ended early and why, if it was.
        dry_stop: Where it would have been, if that was a dry run.
        seen: The place in the order of ends of the first end after it was proposed.
        worker: The tuner id of the worker that runs it; `None` while nobody does.
        full_fidelity: Whether it is trained as the user asked.
        fidelity: What it is trained at, in words, if there is a ladder.
        runs: The objective's value of each of its runs, one for each execution or fold.
        inherited: How many epochs its parent, and those before it, were trained for the weights
            that it began with; 0 if it was trained from scratch.
        inheritance: What it has inherited, in words, if it was to inherit something.
        crashes: How often in a row its process has died without a new epoch.
        crash_epochs: How many epochs were known when it died.
        memo: The `memo` of its proposal.
    """

    started: int
    ended: int | None = None
    attempts: int = 0
    seconds: float = 0.0
    search_seconds: float = 0.0
    horizon: int | None = None
    curves: list[Curve] = field(default_factory=list)
    parent: str | None = None
    changed: tuple[str, ...] = ()
    rung: int = 0
    initial: int | None = None
    unused: tuple[str, ...] | None = None
    stop: StopNote | None = None
    dry_stop: StopNote | None = None
    seen: int | None = None
    worker: str | None = None
    full_fidelity: bool = True
    fidelity: str | None = None
    runs: tuple[float, ...] = ()
    inherited: int = 0
    inheritance: str | None = None
    crashes: int = 0
    crash_epochs: int = -1
    memo: Mapping[str, Any] | None = None

    @property
    def stop_reason(self) -> str | None:
        """Why it was ended early, as a sentence."""
        return self.stop.sentence(self.horizon) if self.stop else None

    @property
    def dry_stop_reason(self) -> str | None:
        """Why it would have been, in a dry run."""
        return self.dry_stop.sentence(self.horizon, dry=True) if self.dry_stop else None

    @property
    def epochs(self) -> int:
        """The number of epochs run and reported, in all executions."""
        return sum(len(curve.values) for curve in self.curves)

    def begin_attempt(self, worker: str, interrupted: bool) -> None:
        """Forgets the curves of an attempt that failed; one that was interrupted may go on."""
        if not interrupted:
            self.curves, self.stop, self.dry_stop, self.runs = [], None, None, ()
        self.ended, self.worker = None, worker

    def count_crash(self) -> None:
        """Takes a death of the process that ran it. A new epoch since the last one excuses it."""
        self.crashes = 1 if self.epochs > self.crash_epochs else self.crashes + 1
        self.crash_epochs = max(self.epochs, self.crash_epochs)

    def report(self, epoch: int, value: float, execution: int) -> None:
        """Adds a point to the curve of an execution, which may go on from an earlier epoch."""
        del self.curves[execution + 1 :]  # of an attempt that was interrupted later
        if self.stop is not None and self.stop.is_after(execution, epoch):
            self.stop = None
        if self.dry_stop is not None and self.dry_stop.is_after(execution, epoch):
            self.dry_stop = None
        while len(self.curves) <= execution:
            self.curves.append(Curve())
        self.curves[execution].report(epoch, value)

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Note:
        known = {k: v for k, v in config.items() if k in cls.__dataclass_fields__}
        known["curves"] = [Curve(**curve) for curve in known.get("curves", [])]
        for name in ("stop", "dry_stop"):
            if known.get(name) is not None:
                known[name] = StopNote.from_config(known[name])
        for name in ("changed", "unused", "runs"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        return cls(**known)


def plain(value: Any) -> Value:
    """The value as a plain Python scalar: Keras Tuner may hand out NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def without_reserved(values: Mapping[str, Any]) -> dict[str, Value]:
    """The user's values, as plain Python scalars."""
    return {name: plain(v) for name, v in values.items() if not name.startswith(RESERVED)}


def record_of(trial: Any, note: Note, sign: int) -> Record:
    """The trial as strategies and stoppers see it.

    Args:
        trial: A `keras_tuner` Trial.
        note: What is kept beyond it.
        sign: 1 if the objective is maximised, -1 if it is minimised.
    """
    status = STATUS.get(trial.status, "running")
    if status == "completed" and not is_finite(trial.score):
        status = "failed"  # Keras Tuner accepts infinite scores
    *earlier, current = [Curve(), *note.curves]
    return Record(
        trial_id=trial.trial_id,
        values=without_reserved(trial.hyperparameters.values),
        score=sign * float(trial.score) if status == "completed" else None,
        status=status,
        curve=tuple(sign * v for v in current.values),
        first_epoch=current.first_epoch,
        earlier_curves=tuple(tuple(sign * v for v in c.values) for c in earlier[1:]),
        rung=note.rung,
        parent=note.parent,
        verdict=Verdict(True, note.stop_reason) if note.stop_reason else None,
        # A trial that has completed has a value for all that its model asked for.
        unused=frozenset(note.unused or ()) if status == "completed" or note.unused else None,
        horizon=note.horizon,
        ended=note.ended,
        seen=note.seen,
        full_fidelity=note.full_fidelity,
        runs=tuple(sign * value for value in note.runs),
        memo=note.memo,
    )


def spread(runs: Sequence[float]) -> str:
    """The values of a trial's runs in words."""
    mean, deviation = statistics.fmean(runs), statistics.stdev(runs)
    values = ", ".join(f"{value:.4g}" for value in runs)
    return f"{mean:.4g} ± {deviation:.2g} over {len(runs)} runs: {values}"


def is_finite(score: Any) -> bool:
    """Whether a score can be compared: neither missing, nor NaN, nor infinite."""
    return score is not None and math.isfinite(score)


def told_of(note: Note) -> Iterator[str]:
    """What a search's summary says of a trial, besides its values and its score."""
    for reason in (note.stop_reason, note.dry_stop_reason):
        if reason:
            yield reason[0].upper() + reason[1:]
    if note.fidelity and not note.full_fidelity:
        yield f"Fidelity: {note.fidelity}"
    if len(note.runs) > 1:
        yield spread(note.runs)
    if note.inheritance:
        yield _lineage(note)


def _lineage(note: Any) -> str:
    """What a trial has inherited, and what that means for its score."""
    if not note.inherited:
        return f"Inheritance from trial {note.parent}: {note.inheritance}"
    return (
        f"Inherited from trial {note.parent}, after {note.inherited} epochs of its line: "
        f"{note.inheritance}. Its score is not one from scratch: `retrain_best` finds that."
    )
