"""A project directory, read without changing it; plain Keras Tuner's too."""

from __future__ import annotations

import copy
import functools
import json
import os
import warnings
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from kt_plus.engine import storage
from kt_plus.engine.history import History, Record
from kt_plus.engine.ledger import RESERVED, Note, is_finite, record_of
from kt_plus.engine.space import Space
from kt_plus.errors import ResultsError

SECTION = "kt_plus"
EARLIER = "earlier_trials.json"


@dataclass(frozen=True)
class Trial:
    """One trial as its file tells it.

    Args:
        trial_id: Its id.
        values: Its hyperparameters, reserved ones included.
        status: Keras Tuner's: "RUNNING", "COMPLETED", "INVALID" or "FAILED".
        score: Its score in the user's sign; `None` without one.
        message: What went wrong, if something did.
        note: What kt_plus has kept of it; `None` if plain Keras Tuner has run it.
        space: Its hyperparameters, as Keras Tuner writes them.
        metrics: Its metrics, as Keras Tuner writes them.
    """

    trial_id: str
    values: dict[str, Any]
    status: str
    score: float | None = None
    message: str | None = None
    note: Note | None = None
    space: list[dict[str, Any]] = field(default_factory=list, repr=False)
    metrics: dict[str, Any] = field(default_factory=dict, repr=False)

    def record(self, sign: int) -> Record:
        """The trial as strategies and stoppers see it."""
        trial = SimpleNamespace(
            trial_id=self.trial_id,
            status=self.status,
            score=self.score,
            hyperparameters=SimpleNamespace(values=self.values),
        )
        return record_of(trial, self.note or Note(0), sign)


@dataclass(frozen=True)
class Search:
    """What a project directory tells.

    Args:
        directory: The project directory.
        trials: Its trials, in the order in which they started.
        objectives: Name and direction of each objective; empty if nothing tells them.
        earlier: The trials of earlier projects that it learnt from.
    """

    directory: str
    trials: list[Trial]
    objectives: list[tuple[str, str]] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sign(self) -> int:
        """1 if the objective is maximised, -1 if it is minimised, as a sum of several is."""
        return 1 if [direction for _, direction in self.objectives] == ["max"] else -1

    @property
    def objective(self) -> str:
        """The name of the objective, or of all."""
        return ", ".join(name for name, _ in self.objectives)

    @property
    def history(self) -> History:
        """The trials as strategies and stoppers see them, those of earlier projects first."""
        earlier = [
            Record(t["trial_id"], t["values"], self.sign * t["score"], "completed")
            for t in self.earlier
        ]
        return History([*earlier, *(t.record(self.sign) for t in self.trials)], self.sign)

    @functools.cached_property
    def space(self) -> Space:
        """All hyperparameters that any trial has had."""
        import keras_tuner

        different = {json.dumps(trial.space, default=str): trial.space for trial in self.trials}
        entries = {
            json.dumps(entry, sort_keys=True, default=str): entry
            for space in different.values()
            for entry in space
            if not str(entry.get("config", {}).get("name", "")).startswith(RESERVED)
        }
        # A copy, because Keras Tuner puts objects in the place of what it reads.
        config = {"space": copy.deepcopy(list(entries.values())), "values": {}}
        return Space.from_hyperparameters(keras_tuner.HyperParameters.from_config(config).space)


def read(search: Any) -> Search:
    """Reads the project of a search.

    Args:
        search: A tuner, the directory of its project, or what was read of it already.

    Raises:
        ResultsError: If there is no project.
    """
    if isinstance(search, Search):
        return search
    directory = str(getattr(search, "project_dir", search))
    summary = _summary(os.path.join(directory, "oracle.json"))
    paths = sorted(storage.trial_files(directory))
    if summary is None and not paths and not hasattr(search, "project_dir"):
        raise ResultsError(
            f"{directory!r} is not a project directory: it holds neither oracle.json nor trials. "
            "Give a tuner, or the folder that a search has written: its directory and "
            "project_name joined."
        )
    trials = _in_order([t for path in paths if (t := _trial(path)) is not None], summary or {})
    objectives = _objectives(search, summary or {}) or _scored_by(trials)
    earlier = storage.read_json(os.path.join(directory, EARLIER)) or []
    return Search(directory, trials, objectives, earlier)


def history_of(search: Any) -> History:
    """The trials of a search with their curves.

    Raises:
        ResultsError: If there is no project, or if it keeps no curves.
    """
    found = read(search)
    if found.trials and not any(t.note and t.note.epochs for t in found.trials):
        ours = any(trial.note for trial in found.trials)
        why = (
            "none of its trials has reported an epoch, as a `fit` or `run_trial` of one's own may "
            "not. Call the callbacks that it is given after each epoch."
            if ours
            else "plain Keras Tuner has run it, which keeps the best value of each trial only. "
            "Run the search with a tuner of kt_plus, such as kt_plus.RandomSearch."
        )
        raise ResultsError(f"The project {found.directory!r} holds no learning curves: {why}")
    return found.history


def _summary(path: str) -> dict[str, Any] | None:
    try:
        return storage.read_json(path)  # type: ignore[no-any-return]
    except ValueError as error:
        warnings.warn(f"{path} is damaged and is left out ({error!r}).", stacklevel=4)
        return {}


def _trial(path: str) -> Trial | None:
    try:
        content = storage.read_json(path)
        note = content.get(SECTION)
        return Trial(
            content["trial_id"],
            _scalars(content["hyperparameters"]["values"]),
            content["status"],
            content["score"],
            content.get("message"),
            Note.from_config(note) if note else None,
            list(content["hyperparameters"].get("space") or []),
            dict((content.get("metrics") or {}).get("metrics") or {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(f"{path} is damaged and is left out ({error!r}).", stacklevel=4)
        return None


def _scalars(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if isinstance(value, (list, dict)):
            raise ValueError(f"the hyperparameter {name!r} is {value!r}")
    return dict(values)


def _in_order(trials: list[Trial], summary: dict[str, Any]) -> list[Trial]:
    """By the order of starts; where nothing tells it, by id, after the others."""
    told = {trial_id: i for i, trial_id in enumerate(summary.get("start_order", []))}

    def place(trial: Trial) -> tuple[float, str]:
        started = told.get(trial.trial_id) if trial.note is None else trial.note.started
        return (len(trials) if started is None else started), trial.trial_id

    return sorted(trials, key=place)


def _objectives(search: Any, summary: dict[str, Any]) -> list[tuple[str, str]]:
    objective = getattr(getattr(search, "oracle", None), "objective", None)
    if objective is not None:
        each = getattr(objective, "objectives", [objective])
        return [(o.name, o.direction) for o in each]
    return [tuple(pair) for pair in summary.get(SECTION, {}).get("objective", [])]


def _scored_by(trials: list[Trial]) -> list[tuple[str, str]]:
    """The metric whose best value is every trial's score: plain Keras Tuner keeps no objective."""
    scored = [trial for trial in trials if is_finite(trial.score)]
    for name, metric in scored[0].metrics.items() if scored else ():
        direction = metric.get("direction") if isinstance(metric, dict) else None
        choose = {"max": max, "min": min}.get(direction)
        if choose and all(_best(t.metrics.get(name), choose) == t.score for t in scored):
            return [(name, direction)]
    return []


def _best(metric: Any, choose: Any) -> float | None:
    try:
        values = [o["value"] for o in metric["observations"]]
        return float(choose(sum(each) / len(each) for each in values))
    except (TypeError, KeyError, ValueError, ZeroDivisionError):
        return None
