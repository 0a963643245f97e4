"""The best trials trained again, from scratch and at full fidelity: scores that can be compared."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kt_plus.engine import storage
from kt_plus.engine.arguments import check_whole
from kt_plus.engine.history import DONE, History, Proposal, Signal, Value
from kt_plus.engine.ledger import RESERVED, without_reserved
from kt_plus.engine.oracle import Oracle
from kt_plus.engine.retrained import FOLDER, TRIAL, trial_file
from kt_plus.engine.space import Space
from kt_plus.engine.workers import role


@dataclass(frozen=True)
class Retrained:
    """A trial that was trained again.

    Args:
        trial_id: Its id in the search.
        values: Its hyperparameters.
        search_score: Its score in the search.
        inherited: How many epochs the weights had been trained that it began with there.
        score: Its score from scratch; `None` if that training has failed.
        error: What went wrong then.
    """

    trial_id: str
    values: Mapping[str, Value]
    search_score: float
    inherited: int
    score: float | None
    error: str | None = None


class Retraining(Sequence[Retrained]):
    """The trials that were trained again, from the best on, and their models.

    Args:
        results: What has become of them, the best first.
        tuners: By which each was trained.
    """

    def __init__(self, results: Sequence[Retrained], tuners: Mapping[str, Any]) -> None:
        self._results, self._tuners = results, tuners

    def __getitem__(self, place: Any) -> Any:
        return self._results[place]

    def __len__(self) -> int:
        return len(self._results)

    def __iter__(self) -> Iterator[Retrained]:
        return iter(self._results)

    def best_model(self) -> Any:
        """The model of the best one, with the weights of its best epoch."""
        return self._tuners[self._results[0].trial_id].get_best_models()[0]

    def __str__(self) -> str:
        lines = [
            f"{'trial':>8} {'from scratch':>13} {'in the search':>14} {'epochs inherited':>17}"
        ]
        for each in self:
            score = "failed" if each.score is None else f"{each.score:.4f}"
            line = f"{each.trial_id:>8} {score:>13} {each.search_score:>14.4f} {each.inherited:>17}"
            lines.append(line)
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True)
class Once:
    """Proposes one configuration."""

    values: Mapping[str, Value]

    def propose(
        self, space: Space, history: History, rng: np.random.Generator
    ) -> Proposal | Signal:
        return DONE if len(history) else Proposal(self.values)


def retrain(tuner: Any, trials: Sequence[Any], args: Sequence[Any], kwargs: Any) -> Retraining:
    """Trains each of these trials again, one after the other; those that are done, not again."""
    tuners = {trial.trial_id: _alone(tuner, trial, kwargs.get("epochs")) for trial in trials}
    for each in tuners.values():
        each.search(*args, **kwargs)
    results = [_result(tuner, trial, tuners[trial.trial_id]) for trial in trials]
    sign = 1 if tuner.oracle.objective.direction == "max" else -1
    results.sort(key=lambda r: -np.inf if r.score is None else sign * r.score, reverse=True)
    return Retraining(results, tuners)


def check(number: Any, arguments: Any) -> None:
    """Raises unless that many trials can be trained again, here and with these arguments."""
    check_whole("num_trials", number)
    if role() is not None:
        raise RuntimeError(
            "retrain_best was called in a process that Keras Tuner's environment variables have "
            "made a chief or a worker. Expected one process alone: when the search has ended, call "
            "it in a program without KERASTUNER_TUNER_ID, with the same project directory."
        )
    if arguments is None:
        raise ValueError(
            "retrain_best was called without data, and nothing was searched in this process. "
            "Give it what you have given `search`: tuner.retrain_best(3, x, y, epochs=20, "
            "validation_data=...)."
        )


def _alone(tuner: Any, trial: Any, epochs: Any) -> Any:
    """The tuner, as far as it builds and trains, with a project of this trial alone."""
    directives = _full_fidelity(tuner)
    oracle = Oracle(
        tuner.oracle.objective,
        max_trials=1,
        hyperparameters=tuner.oracle.get_space(),
        seed=tuner._seed,
        max_retries_per_trial=getattr(tuner.oracle, "max_retries_per_trial", 0),
        strategy=Once({**without_reserved(trial.hyperparameters.values), **directives}),
    )
    alone = copy.copy(tuner)
    alone.oracle = oracle
    alone.directory = os.path.join(tuner.project_dir, FOLDER)
    alone.project_name = trial.trial_id
    alone.ladder = alone._inheritance = None
    oracle._set_project_dir(alone.directory, alone.project_name)
    oracle.ownership = tuner._ownership  # of the whole project, whose part this is
    if _is_outdated(alone.project_dir, directives.get(RESERVED + "epochs", epochs)):
        storage.remove_folder(alone.project_dir)
    if storage.exists(os.path.join(alone.project_dir, "oracle.json")):
        oracle.reload()
    return alone


def _full_fidelity(tuner: Any) -> dict[str, Value]:
    """What a trial of the last rung is told: above all, for how many epochs to train."""
    if tuner.ladder is not None:
        last = tuner.ladder.directives(len(tuner.ladder) - 1)
        return {RESERVED + name: level for name, level in last.items()}
    epochs = getattr(tuner.oracle, "max_epochs", None)  # of Hyperband
    return {} if epochs is None else {RESERVED + "epochs": epochs}


def _is_outdated(project_dir: str, epochs: Any) -> bool:
    """Whether it has failed, or was trained for another number of epochs."""
    content = storage.read_json(trial_file(project_dir))
    if content is None:
        return False
    horizon = content["kt_plus"]["horizon"]
    other = None not in (horizon, epochs) and horizon != epochs
    return other or content["status"] == "FAILED"


def _result(tuner: Any, trial: Any, alone: Any) -> Retrained:
    again = alone.oracle.trials[TRIAL]
    note = getattr(tuner.oracle, "notes", {}).get(trial.trial_id)
    values = without_reserved(trial.hyperparameters.values)
    inherited = note.inherited if note else 0
    error = again.message if again.score is None else None
    return Retrained(trial.trial_id, values, trial.score, inherited, again.score, error)
