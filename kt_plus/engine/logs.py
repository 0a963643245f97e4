"""Reads the logs of Keras, whose values may be arrays.

A metric such as `keras.metrics.F1Score()` has one value for each class. Every place that reads
the logs of an epoch, the history of a training or the metrics of a trial reads them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras_tuner.errors import FatalValueError

from kt_plus.engine.objectives import parts

NUMBERS = (int, float, np.generic)
"""Values that need no backend to be read."""


def number(value: Any) -> float:
    """Returns the value of a metric as one number: the mean of an array, as in Keras Tuner."""
    return float(_array(value).mean())


def reported(metrics: Mapping[str, Any], objective: Any) -> dict[str, float]:
    """Returns the metrics of a trial as numbers.

    Args:
        metrics: The values by name, as a `fit` or `run_trial` returns them.
        objective: The objective of the search.

    Raises:
        FatalValueError: If the objective is an array.
    """
    if objective.has_value(metrics):
        objective_value(objective, metrics)
    return {name: number(value) for name, value in metrics.items()}


def objective_value(objective: Any, logs: Mapping[str, Any]) -> float:
    """Returns the value of the objective in the logs of an epoch.

    Args:
        objective: The objective of the search, whose metrics are all in `logs`.
        logs: The values by name.

    Raises:
        FatalValueError: If it is an array. Its mean may not be what the user wants to optimize,
            and Keras Tuner fails here, too.
    """
    for part in parts(objective):
        shape = _array(part.get_value(logs)).shape
        if np.prod(shape) != 1:
            raise FatalValueError(
                f"The objective {part.name!r} must be a single number in each epoch, got an array "
                f"of shape {shape}. Give the metric an average, such as "
                'keras.metrics.F1Score(average="macro"), or choose another objective.'
            )
    return number(objective.get_value(logs))


def settle(history: Any, objective: Any) -> None:
    """Replaces the tensors in the history of a training by NumPy arrays.

    Keras Tuner averages them with NumPy, which cannot read a tensor on a GPU.

    Args:
        history: What Keras's `fit` returns.
        objective: The objective of the search.

    Raises:
        FatalValueError: If the objective is an array.
    """
    for name, values in list(history.history.items()):
        history.history[name] = [_settled(value) for value in values]
    first = {name: values[0] for name, values in history.history.items() if values}
    if objective.has_value(first):
        objective_value(objective, first)


def stored(value: Any) -> Any:
    """Returns a value of the logs as JSON: a number, or nested lists for an array."""
    try:
        return _array(value).astype(float).tolist()
    except (TypeError, ValueError):  # a callback may log anything
        return str(value)


def restored(value: Any) -> Any:
    """Returns the value that `stored` has made JSON of."""
    return np.asarray(value) if isinstance(value, list) else value


def _settled(value: Any) -> Any:
    if isinstance(value, NUMBERS):
        return value
    array = _array(value)
    return array if array.ndim else array.item()


def _array(value: Any) -> np.ndarray:
    known = isinstance(value, (np.ndarray, *NUMBERS))
    return np.asarray(value if known else keras.ops.convert_to_numpy(value))
