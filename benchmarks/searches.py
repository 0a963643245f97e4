"""One face for what is compared: Keras Tuner's oracles, ours, and Optuna's samplers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class SMACSearch:
    """One of SMAC3's facades on a Keras Tuner space. It never waits and never stops.

    Args:
        facade: The class of the facade.
        space: The hyperparameters.
        trials: Budget that SMAC plans its initial design by.
        seed: Seed of its proposals.
        directory: An empty folder for its files.
        settings: Further arguments of the facade.
    """

    def __init__(
        self,
        facade: Any,
        space: keras_tuner.HyperParameters,
        trials: int,
        seed: int,
        directory: Path,
        settings: Mapping[str, Any],
    ):
        from smac import Scenario

        scenario = Scenario(
            configuration_space(space.space),
            n_trials=trials,
            # One run of each configuration, as in the other searches.
            deterministic=True,
            output_directory=directory,
            seed=seed,
        )
        unused = {"target_function": lambda config, seed: 0.0, "logging_level": 40}
        self.smac = facade(scenario, **unused, **settings)
        self.space = space.space

    def ask(self, worker: str) -> Suggestion:
        info = self.smac.ask()
        proposed = {name: getattr(v, "item", lambda v=v: v)() for name, v in info.config.items()}
        # NumPy's strings have no `item` that gives a plain one.
        values = {h.name: proposed[h.name] for h in self.space if h.name in proposed}
        return Suggestion(values, info)

    def tell(self, suggestion: Suggestion, score: float) -> None:
        from smac.runhistory import TrialValue

        self.smac.tell(suggestion.trial, TrialValue(cost=-score))


def configuration_space(space: Iterable[Any]) -> Any:
    """Keras Tuner's hyperparameters as SMAC reads them."""
    import ConfigSpace as configspace

    found = configspace.ConfigurationSpace()
    for hyperparameter in space:
        child = _configspace(hyperparameter)
        found.add(child)
        conditions = [
            configspace.InCondition(child, found[condition.name], condition.values)
            for condition in hyperparameter.conditions
        ]
        if len(conditions) > 1:
            found.add(configspace.AndConjunction(*conditions))
        elif conditions:
            found.add(conditions[0])
    return found


def _configspace(hyperparameter: Any) -> Any:
    import ConfigSpace as configspace

    kind, name = type(hyperparameter).__name__, hyperparameter.name
    if kind in ("Choice", "Boolean", "Fixed"):
        values = list(getattr(hyperparameter, "values", None) or [hyperparameter.value])
        if getattr(hyperparameter, "ordered", False):
            return configspace.OrdinalHyperparameter(name, values)
        return configspace.CategoricalHyperparameter(name, values)
    if kind == "Float" and hyperparameter.step is not None:
        low, high, step = hyperparameter.min_value, hyperparameter.max_value, hyperparameter.step
        values = [low + step * i for i in range(int((high - low) / step + 1e-9) + 1)]
        return configspace.OrdinalHyperparameter(name, values)
    make = configspace.UniformIntegerHyperparameter
    if kind == "Float":
        make = configspace.UniformFloatHyperparameter
    log = hyperparameter.sampling == "log"
    return make(name, hyperparameter.min_value, hyperparameter.max_value, log=log)


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
