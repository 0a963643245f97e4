"""The search of a pipeline, said where the pipeline is said."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import io
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras_tuner
from tfx.orchestration import data_types

import kt_plus
from kt_plus.engine.arguments import OPTIONS
from tfx_components.tuner.rules import decode, encode

NOT_HERE = {
    "self": "",
    "kwargs": "",
    "oracle": "the algorithm brings it",
    "hypermodel": "the module defines it",
    "hyperparameters": "declare them in the module's model",
    "directory": "the component chooses it; see its working_dir",
    "project_name": "the component chooses it",
    "overwrite": "see the component's resume",
    "tuner_id": "the component chooses it",
    "logger": "the component reports by its outputs",
}
"""Arguments of tuners that cannot be said in a configuration, and where to say them."""

RUNTIME_PARAMETERS: dict[str, type] = {
    "algorithm": str,
    "objective": str,
    "max_trials": int,
    "max_epochs": int,
    "max_time": float,
    "max_epochs_total": int,
    "executions_per_trial": int,
    "max_retries_per_trial": int,
    "max_consecutive_failed_trials": int,
    "stopping": str,
    "stopped_trials": str,
    "seed": int,
}
"""What may be given as a runtime parameter, and its type."""

RuntimeParameter = data_types.RuntimeParameter


@dataclass(frozen=True, init=False)
class SearchConfig:
    """A search: its algorithm, its objective, and any argument of that tuner.

    When to use it: for `Tuner(search=...)`, whose module then defines the model and the data
    only. Names and values are checked here, by the tuner itself, when the pipeline is built.

    Args:
        algorithm: `"evolutionary_search"`, `"reinforcement_learning"`, `"random_search"`,
            `"grid_search"`, `"bayesian_optimization"`, `"hyperband"`: the name of a search of
            kt_plus's in small letters.
        objective: The name of a metric such as `"val_accuracy"`, a `keras_tuner.Objective`, or
            a list of them.
        **arguments: Arguments of that tuner by their names: `max_trials`, `seed`, `stopping`
            (`"auto"`, or a rule of `kt_plus.stopping`), `max_time`, `executions_per_trial`,
            `population_size`, ... Whole numbers, numbers and strings that every search has may
            be `tfx.dsl.experimental.RuntimeParameter`s, where the orchestrator has them
            (Kubeflow Pipelines v2).

    Raises:
        ValueError: If a name or a value is none that the tuner takes.

    Example:

    ```python
    search = tfx_components.SearchConfig(
        "evolutionary_search", "val_accuracy", max_trials=30, stopping="auto", seed=1
    )
    tuner = tfx_components.Tuner(examples=..., module_file="model.py", search=search)
    ```
    """

    algorithm: Any
    objective: Any
    arguments: Mapping[str, Any]

    def __init__(self, algorithm: Any, objective: Any, **arguments: Any) -> None:
        object.__setattr__(self, "algorithm", algorithm)
        object.__setattr__(self, "objective", objective)
        object.__setattr__(self, "arguments", dict(arguments))
        _check_runtime_parameters(self._values)
        self._check()
        self.to_json()

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self._values.items()]
        return f"{type(self).__name__}({', '.join(given)})"

    @property
    def runtime_parameters(self) -> dict[str, RuntimeParameter]:
        """What is known only when the pipeline runs."""
        return {n: v for n, v in self._values.items() if isinstance(v, RuntimeParameter)}

    def make_tuner(self, hypermodel: Any, directory: str, project_name: str) -> Any:
        """The tuner that runs the search.

        Args:
            hypermodel: The model, a function or a `keras_tuner.HyperModel`.
            directory: Where its project is kept.
            project_name: The project's folder there.
        """
        return searches()[self.algorithm](
            hypermodel,
            objective=self.objective,
            directory=directory,
            project_name=project_name,
            **self.arguments,
        )

    def to_json(self) -> str:
        """The configuration as a string, without what is known only at run time."""
        known = {n: v for n, v in self._values.items() if n not in self.runtime_parameters}
        if "objective" in known:
            known["objective"] = _encode_objective(known["objective"])
        return json.dumps({name: encode(value) for name, value in known.items()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, runtime: Mapping[str, Any] | None = None) -> SearchConfig:
        """The configuration that `to_json` wrote.

        Args:
            text: What it wrote.
            runtime: The values that are known since then.

        Raises:
            ValueError: If a name or a value is none that the tuner takes.
        """
        values = {name: decode(value) for name, value in json.loads(text).items()}
        if "objective" in values:
            values["objective"] = _decode_objective(values["objective"])
        return cls(**{**values, **(runtime or {})})

    @property
    def _values(self) -> dict[str, Any]:
        return {"algorithm": self.algorithm, "objective": self.objective, **self.arguments}

    def _check(self) -> None:
        """Raises unless the tuner takes all this, which is tried."""
        now = {name: _at_build_time(value) for name, value in self._values.items()}
        algorithm = now.pop("algorithm") or "random_search"
        objective = now.pop("objective") or "val_loss"
        known = {n: v for n, v in now.items() if v is not None or n not in self.runtime_parameters}
        if algorithm not in searches():
            raise ValueError(
                f"algorithm={algorithm!r} was given. Expected one of {', '.join(searches())}."
                + _did_you_mean([str(algorithm)], searches())
            )
        search = searches()[algorithm]
        if "algorithm" not in self.runtime_parameters or self.algorithm.default:
            _check_names(search, self.arguments)
        else:
            known = {n: v for n, v in known.items() if n in _arguments_of(search)}
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            search(None, objective=objective, directory=folder, project_name="check", **known)


def searches() -> dict[str, type]:
    """The searches of kt_plus by their names in a configuration."""
    listed = {name: getattr(kt_plus.tuners, name) for name in kt_plus.tuners.__all__}
    tuner = kt_plus.Tuner
    ours = {n: kind for n, kind in listed.items() if issubclass(kind, tuner) and kind is not tuner}
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", n).lower(): kind for n, kind in ours.items()}


def _arguments_of(search: Any) -> list[str]:
    own = inspect.signature(search.__init__).parameters
    base = inspect.signature(keras_tuner.Tuner.__init__).parameters
    names = dict.fromkeys([*own, *OPTIONS, *base, "checkpoint_interval"])
    return [name for name in names if name not in NOT_HERE and name != "objective"]


def _check_names(search: type, arguments: Mapping[str, Any]) -> None:
    for name in arguments:
        if NOT_HERE.get(name):
            raise ValueError(f"{name} cannot be given in a SearchConfig: {NOT_HERE[name]}.")
    known = _arguments_of(search)
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)} was given, which kt_plus.{search.__name__} does not take. "
            f"Expected some of {', '.join(known)}." + _did_you_mean(unknown, known)
        )


def _check_runtime_parameters(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if not isinstance(value, RuntimeParameter):
            continue
        if name not in RUNTIME_PARAMETERS:
            raise ValueError(
                f"{name} was given as a runtime parameter. Expected a value; runtime parameters "
                f"may stand for {', '.join(RUNTIME_PARAMETERS)}."
            )
        if value.ptype is not RUNTIME_PARAMETERS[name]:
            kind = RUNTIME_PARAMETERS[name].__name__
            raise ValueError(
                f"The runtime parameter {value.name!r} for {name} has ptype={value.ptype!r}. "
                f"Expected ptype={kind}."
            )


def _at_build_time(value: Any) -> Any:
    return value.default if isinstance(value, RuntimeParameter) else value


def _did_you_mean(given: Any, known: Any) -> str:
    near = [match for name in given for match in difflib.get_close_matches(name, known, 1)]
    return f" Did you mean {', '.join(near)}?" if near else ""


def _encode_objective(objective: Any) -> Any:
    if isinstance(objective, (list, tuple)):
        return [_encode_objective(one) for one in objective]
    if isinstance(objective, keras_tuner.Objective):
        return {"name": objective.name, "direction": objective.direction}
    return objective


def _decode_objective(objective: Any) -> Any:
    if isinstance(objective, list):
        return [_decode_objective(one) for one in objective]
    return keras_tuner.Objective(**objective) if isinstance(objective, dict) else objective
