"""A finished search under another stopping rule: what it would have cost and lost."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from kt_plus.engine.history import History, Record, Verdict


class Rule(Protocol):
    """What judges a trial: a `Stopper`, or anything else with its one method."""

    def judge(self, trial: Record, history: History) -> Verdict:
        """Whether `trial` should end after the last epoch of its curve."""


class Stop(NamedTuple):
    """After which epoch a trial would have ended, counted from 1, and why."""

    epoch: int
    reason: str


@dataclass(frozen=True, repr=False)
class Replay:
    """What a recorded search would have been under another rule.

    Args:
        epochs: The number of epochs that it would have trained.
        recorded_epochs: The number that it did train.
        trials: The number of trials replayed.
        stops: Where each trial that the rule stops would have ended, and why.
        best: The id of the trial that was the best in the end; `None` if none completed.
        best_kept: Whether that trial would have reached its best epoch.
        regret: By how much the best score would have been worse, in the objective's units.
        unknown: The ids of the trials that the search itself had stopped and that this rule
            would have let go on: nobody knows how far. They count as they were.
    """

    epochs: int
    recorded_epochs: int
    trials: int
    stops: Mapping[str, Stop] = field(default_factory=dict)
    best: str | None = None
    best_kept: bool = True
    regret: float = 0.0
    unknown: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The epochs used as a share of those recorded; 1 if none were."""
        return self.epochs / self.recorded_epochs if self.recorded_epochs else 1.0

    def __repr__(self) -> str:
        facts = [
            f"{self.epochs} of {self.recorded_epochs} epochs ({self.share:.0%})",
            f"{len(self.stops)} of {self.trials} trials stopped",
        ]
        if self.best is not None:
            lost = f"lost (regret {self.regret:.4g})"
            facts.append(f"best trial {self.best} {'kept' if self.best_kept else lost}")
        if self.unknown:
            facts.append(f"{len(self.unknown)} trials cut short in the recorded search itself")
        return f"Replay({', '.join(facts)})"


def replay(search: Any, rule: Rule) -> Replay:
    """What a search would have cost, and lost, had its trials been stopped by `rule`.

    When to use it: to choose a rule, or its settings, without training anything again. A
    search run without stopping, or with `stopping=rule.dry_run()`, tells most: of a trial
    that was stopped nobody knows how it would have gone on. The trials are replayed
    one after the other, as one worker would run them, and are the same under any rule.

    Args:
        search: A tuner, the directory of its project, or its trials as `Record`s in their
            order. Trials that have not ended are left out; those without a curve count
            with their scores.
        rule: Judges each trial after each of its epochs but the last of its horizon,
            against a history in which those it has stopped end where it stopped them.

    Raises:
        ResultsError: If there is no such project, or if it keeps no curves.

    Example:

    ```python
    tuner.search(x, y, epochs=52, validation_split=0.2)
    kt_plus.stopping.replay(tuner, kt_plus.stopping.MedianRule())
    # Replay(1464 of 2600 epochs (56%), 30 of 50 trials stopped, best trial 18 kept)
    ```
    """
    if isinstance(search, (str, os.PathLike)) or hasattr(search, "project_dir"):
        from kt_plus.results.reading import history_of

        search = history_of(search)
    return _replay(search, rule)


def _replay(records: Iterable[Record], rule: Rule) -> Replay:
    history = History(sign=getattr(records, "sign", 1))
    stops: dict[str, Stop] = {}
    unknown: list[str] = []
    ended = [record for record in records if record.status != "running"]
    has_rungs, has_runs = any(r.rung for r in ended), any(r.earlier_curves for r in ended)
    for record in ended:
        found = _first_stop(record, rule, history, has_rungs, has_runs)
        if found is not None:
            trial, verdict = found
            stops[record.trial_id] = Stop(trial.first_epoch + len(trial.curve), verdict.reason)
            history.put(as_stopped(trial, verdict))
            continue
        history.put(record)
        if record.verdict is not None and record.verdict.stop:
            unknown.append(record.trial_id)
    best, kept, regret = _lost(History(ended), history, stops)
    used, recorded = (sum(map(_epochs, trials)) for trials in (history, ended))
    return Replay(used, recorded, len(ended), stops, best, kept, regret, tuple(unknown))


def as_stopped(trial: Record, verdict: Verdict) -> Record:
    """The trial had it ended where it stands: completed with the best value of its curve.

    The score is the one that Keras Tuner would give: the mean over executions of the best
    value of each, which is NaN where the first value is.
    """
    score = _score(trial)
    finite = math.isfinite(score)
    return replace(
        trial,
        score=score if finite else None,
        status="completed" if finite else "failed",
        verdict=replace(verdict, stop=True, would_stop=False),
    )


def comparable(record: Record, runs: int | None) -> Record:
    """The trial as a rule sees it among those of its rung.

    Args:
        record: The trial.
        runs: Its curve is the mean over so many of its first runs; `None` if none has several.
    """
    if runs is None:
        return replace(record, full_fidelity=True)
    curves = [*record.earlier_curves, record.curve][:runs]
    running = record.status == "running" and len(curves) == len(record.earlier_curves) + 1
    length = len(record.curve) if running else max(map(len, curves))
    # A run that ended earlier stays where it was.
    told = [[*curve, *curve[-1:] * (length - len(curve))][:length] for curve in curves if curve]
    mean = tuple(sum(values) / len(told) for values in zip(*told, strict=True))
    return replace(record, curve=mean, earlier_curves=(), full_fidelity=True)


def _first_stop(
    record: Record, rule: Rule, history: History, has_rungs: bool, has_runs: bool
) -> tuple[Record, Verdict] | None:
    """The trial as it was when the rule first wanted it to end, and the verdict; if it ever did."""
    curves = [*record.earlier_curves, record.curve]
    for execution, curve in enumerate(curves):
        runs, shown = execution + 1 if has_runs else None, history
        if has_rungs or has_runs:  # those of its rung, by as many runs, as in the search itself
            rivals = (comparable(r, runs) for r in history if r.rung == record.rung)
            shown = History(rivals, sign=history.sign)
        trial = replace(
            record,
            earlier_curves=tuple(curves[:execution]),
            score=None,
            status="running",
            verdict=None,
        )
        for epochs in range(1, len(curve) + 1):
            if record.horizon is not None and record.first_epoch + epochs >= record.horizon:
                break  # nothing is left to save
            trial = replace(trial, curve=curve[:epochs])
            history.put(trial)
            seen = trial
            if shown is not history:
                seen = comparable(trial, runs)
                shown.put(seen)
            verdict = rule.judge(seen, shown)
            if verdict.stop or verdict.would_stop:
                return trial, verdict
    return None


def _lost(
    recorded: History, replayed: History, stops: Mapping[str, Stop]
) -> tuple[str | None, bool, float]:
    """The recorded best trial, whether it is kept, and how much worse the best score is."""
    best = recorded.best
    if best is None:
        return None, True, 0.0
    seen = replayed.get(best.trial_id)
    if best.trial_id not in stops or (seen is not None and _score(seen) >= _score(best)):
        return best.trial_id, True, 0.0
    now = replayed.best.fitness if replayed.best is not None else -math.inf
    return best.trial_id, False, max(best.fitness - now, 0.0)


def _score(trial: Record) -> float:
    # `max` passes over NaN unless it comes first, as Keras Tuner does.
    bests = [max(curve) for curve in (*trial.earlier_curves, trial.curve) if curve]
    return sum(bests) / len(bests)


def _epochs(trial: Record) -> int:
    return sum(map(len, (*trial.earlier_curves, trial.curve)))
