"""One face for what is compared: Keras Tuner's oracles, ours, and Optuna's samplers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras_tuner

from benchmarks.tables import Value

if TYPE_CHECKING:
    import optuna

OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")


class Signal(Enum):
    """What a search answers when it has no trial for a worker."""

    IDLE = "IDLE"  # ask again later
    STOPPED = "STOPPED"  # never ask again


@dataclass(frozen=True)
class Suggestion:
    """A trial to run.

    Attributes:
        values: The configuration.
        trial: What the search knows the trial by.
    """

    values: dict[str, Value]
    trial: Any


class Search(Protocol):
    """Anything that proposes trials and learns their scores."""

    def ask(self, worker: str) -> Suggestion | Signal:
        """A trial for this worker, or why there is none."""

    def tell(self, suggestion: Suggestion, score: float) -> None:
        """The trial has finished with this score; larger is better."""


class OracleSearch:
    """Any Keras Tuner oracle, through the three calls that a tuner makes for a trial.

    Args:
        oracle: Built with the objective `OBJECTIVE` and with its hyperparameters.
        directory: An empty folder for its project.
    """

    def __init__(self, oracle: keras_tuner.Oracle, directory: Path):
        self.oracle = oracle
        self.oracle.verbose = 0
        self.oracle.idle_pause = 0.0  # a virtual worker asks again after the next result only
        self.oracle._set_project_dir(str(directory), "project")

    def ask(self, worker: str) -> Suggestion | Signal:
        trial = self.oracle.create_trial(worker)
        if trial.status == "RUNNING":
            return Suggestion(dict(trial.hyperparameters.values), trial)
        return Signal(trial.status)

    def tell(self, suggestion: Suggestion, score: float) -> None:
        trial = suggestion.trial
        self.oracle.update_trial(trial.trial_id, {OBJECTIVE.name: score}, step=0)
        trial.status = "COMPLETED"
        self.oracle.end_trial(trial)


class OptunaSearch:
    """An Optuna study on a Keras Tuner space. It never waits and never stops.

    Args:
        sampler: The sampler.
        space: The hyperparameters; conditional ones are suggested when they are active.
    """

    def __init__(self, sampler: optuna.samplers.BaseSampler, space: keras_tuner.HyperParameters):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(sampler=sampler, direction="maximize")
        self.space = space.space

    def ask(self, worker: str) -> Suggestion:
        trial = self.study.ask()
        return Suggestion(suggested(trial, self.space), trial)

    def tell(self, suggestion: Suggestion, score: float) -> None:
        self.study.tell(suggestion.trial, score)


def suggested(trial: optuna.Trial, space: Iterable[Any]) -> dict[str, Value]:
    """What an Optuna trial proposes for the hyperparameters that are active."""
    values: dict[str, Value] = {}
    for hyperparameter in space:
        if all(condition.is_active(values) for condition in hyperparameter.conditions):
            values[hyperparameter.name] = _suggest(trial, hyperparameter)
    return values


def _suggest(trial: optuna.Trial, hyperparameter: Any) -> Value:
    """One Keras Tuner hyperparameter in Optuna's terms."""
    kind, name = type(hyperparameter).__name__, hyperparameter.name
    if kind == "Fixed":
        return hyperparameter.value
    if kind in ("Choice", "Boolean"):
        return trial.suggest_categorical(name, list(hyperparameter.values))
    if hyperparameter.sampling == "reverse_log":
        raise ValueError(
            f"The hyperparameter {name!r} is sampled by 'reverse_log', which Optuna has no "
            "counterpart of; 'linear' or 'log' was expected. Compare Optuna on a table "
            "without such a hyperparameter."
        )
    log = hyperparameter.sampling == "log"
    suggest = trial.suggest_int if kind == "Int" else trial.suggest_float
    step = {} if log or hyperparameter.step is None else {"step": hyperparameter.step}
    return suggest(name, hyperparameter.min_value, hyperparameter.max_value, log=log, **step)
