"""A `fit`: the data among its arguments, what a rung or fold makes of these, and its results."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
from keras_tuner.errors import FatalValueError

from kt_plus.engine import logs as keras_logs
from kt_plus.engine.objectives import parts
from kt_plus.performance_estimation.fidelity import DataFraction, Ladder
from kt_plus.performance_estimation.folds import Folds
from kt_plus.performance_estimation.training_data import TrainingData, leaves_of

PARTS = ("x", "y", "sample_weight", "validation_data", "validation_split")

Arguments = dict[str, Any]


def named(hypermodel: Any, args: tuple[Any, ...], kwargs: Arguments) -> Arguments:
    """All arguments by name: those of Keras's `fit`, or of the `fit` that the user has written."""
    own = getattr(type(hypermodel), "fit", keras_tuner.HyperModel.fit)
    names: list[str] = []
    if own is not keras_tuner.HyperModel.fit:
        names = [p.name for p in _positional(own)][3:]  # after self, hp, model
    keras_names = [p.name for p in _positional(keras.Model.fit)][1:]
    names += [name for name in keras_names if name not in names]
    return {**dict(zip(names, args, strict=False)), **kwargs}


def data_in(arguments: Arguments) -> TrainingData:
    """The data among named arguments."""
    given = {name: arguments[name] for name in PARTS if arguments.get(name) is not None}
    return TrainingData(**given)


def with_data(arguments: Arguments, data: TrainingData) -> Arguments:
    """The arguments with other data."""
    changed = {name: getattr(data, name) for name in PARTS}
    empty = TrainingData()
    return arguments | {
        name: value
        for name, value in changed.items()
        if name in arguments or value is not getattr(empty, name)
    }


def check(arguments: Arguments, ladder: Ladder | None, folds: Folds | None) -> None:
    """Raises if the data cannot be divided into the folds, or not be trained on at each rung."""
    data = data_in(arguments)
    if folds is not None:
        folds.check(data)
        data = folds.nth(data, 0) if ladder is not None else data
    if ladder is None:
        return
    ladder.check(data)
    steps = arguments.get("steps_per_epoch")
    if steps is not None and any(isinstance(each, DataFraction) for each in ladder.fidelities):
        raise ValueError(
            f"steps_per_epoch={steps!r} was given together with {ladder!r}. Expected epochs that "
            "end with the data, of which a rung has its part. Leave out steps_per_epoch."
        )


def data_for(
    arguments: Arguments, ladder: Ladder | None, rung: int, folds: Folds | None, execution: int
) -> Arguments:
    """The arguments of one run of a trial of that rung."""
    data = data_in(arguments)
    if folds is not None:
        data = folds.nth(data, execution % len(folds))
    if ladder is not None:
        data = ladder.apply(rung, data)
    return with_data(arguments, data)


def copies(callbacks: Any, copy_all: Callable[[Any], list[Any]]) -> list[Any]:
    """Copies of the user's callbacks: each run of a trial has its own.

    Args:
        callbacks: As Keras's `fit` takes them: several, one, or `None`.
        copy_all: Keras Tuner's way to copy a list of them.

    Raises:
        FatalValueError: If one of them cannot be copied.
    """
    if callbacks is None:
        return []
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    try:
        return copy_all(callbacks)
    except FatalValueError as refusal:  # which of them is it?
        for callback in callbacks:
            try:
                copy.deepcopy(callback)
            except Exception as error:
                raise FatalValueError(
                    f"{refusal}\nThe callback {type(callback).__name__} cannot be copied: {error}. "
                    "Expected callbacks that copy.deepcopy copies, since each run of a trial has "
                    "its own. Open files, locks and connections in `on_train_begin` instead of "
                    "`__init__`, or give it a `__deepcopy__` that returns a new one."
                ) from error
        raise


def value_of(results: Any, objective: Any) -> float:
    """The objective's value that a run's results stand for: that of its best epoch."""
    if isinstance(results, keras.callbacks.History):
        epochs = zip(*results.history.values(), strict=False)
        logs = [dict(zip(results.history, values, strict=True)) for values in epochs]
        values = [keras_logs.objective_value(objective, each) for each in logs]
        best = values[0]
        for value in values[1:]:  # as Keras Tuner does, NaN first stays
            best = value if objective.better_than(value, best) else best
        return best
    return keras_logs.number(objective.get_value(results) if isinstance(results, dict) else results)


def runs_told(runs: list[Any], objective: Any) -> str:
    """What a worker tells under `RUNS`: the objective's value of each run, one a line."""
    return "\n".join(repr(value_of(results, objective)) for results in runs)


def missing(objective: Any, logs: dict[str, Any]) -> FatalValueError:
    """The error of an objective that training has no metric for."""
    names = ", ".join(repr(o.name) for o in parts(objective) if not o.has_value(logs))
    return FatalValueError(
        f"The objective {names} is not among the metrics of training, "
        f"which are {sorted(logs)}. Choose one of these, add it to the `metrics` of "
        "`compile`, or, if it begins with 'val_', give `search` validation data."
    )


def check_sizes(model: Any, x: Any, share: float) -> None:
    """Raises if a model can take the images of full size only, and these are smaller.

    Args:
        model: The model, built or not.
        x: What it will be trained on.
        share: The resolution, as a share of the full one.
    """
    inputs = getattr(model, "inputs", None) or []
    images = [leaf.shape for leaf in leaves_of(x) if len(getattr(leaf, "shape", ())) == 4]
    taken = [tuple(each.shape) for each in inputs if len(each.shape) == 4]
    for shape, of in zip(images, taken, strict=False):
        if any(a is not None and a != b for a, b in zip(of[1:], shape[1:], strict=True)):
            raise FatalValueError(
                f"At {share:.3g} of the resolution the images are {tuple(shape[1:])}, and the "
                f"model takes {of[1:]}. Expected a model that takes images of any size, such as "
                "keras.Input((None, None, 3)) with global pooling, or whose input is as large as "
                "kt_plus.fidelity.resolution(hp, full_size) says."
            )


def _positional(function: Any) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]


def repeat_unvalidated(history: Any, freq: Any) -> None:
    """Gives epochs that were not validated the values of the last that was.

    Keras Tuner takes every metric to have a value at each epoch.
    """
    epochs = [epoch + 1 for epoch in history.epoch]
    validated = [e in freq if not isinstance(freq, int) else e % freq == 0 for e in epochs]
    for name, values in history.history.items():
        if 0 < len(values) == sum(validated) < len(epochs):
            places = (max(sum(validated[: i + 1]) - 1, 0) for i in range(len(epochs)))
            history.history[name] = [values[place] for place in places]
