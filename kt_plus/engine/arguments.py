"""What can be wrong with the arguments of a search, said before anything is trained."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import keras
import keras_tuner
import numpy as np

OPTIONS = (
    "stopping",
    "stopped_trials",
    "max_time",
    "max_epochs_total",
    "initial_configurations",
    "history",
    "keep_checkpoints",
)
"""The arguments that every search of kt_plus has beyond Keras Tuner's."""


def check_whole(name: str, value: Any) -> None:
    """Raises unless `value` is `None` or a whole number of at least 1."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if value is not None and not (whole and value >= 1):
        raise ValueError(
            f"{name}={value!r} was given. Expected a whole number of at least 1. "
            "Give None for no limit."
        )


def check_folds(folds: Any, inheritance: Any) -> None:
    """Raises if children would inherit from parents that have seen their validation examples."""
    if folds is not None and inheritance is not None:
        raise ValueError(
            "folds was given together with inherit_weights. Expected one of them: the weights of a "
            "parent have seen the examples that its child would be judged by. Leave out either, or "
            "choose executions_per_trial."
        )


def check_directory(directory: str) -> None:
    """Raises if it is a remote one that would be taken for a local one, or would lose files."""
    if directory.startswith("ram://"):
        raise ValueError(
            f"directory={directory!r} was given. TensorFlow's ram:// appends to a file that "
            "should be replaced, so that the project would be damaged when it is written a second "
            "time. For a project in memory give a folder such as /dev/shm/searches."
        )
    if "://" in directory and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"directory={directory!r} was given, with Keras on {keras.backend.backend()}. A remote "
            "directory is reached through tf.io.gfile, which Keras Tuner uses with Keras on "
            "TensorFlow only. Give a local or a mounted folder."
        )


def check_interval(interval: Any) -> None:
    """Raises unless it is `None` or a number of seconds."""
    number = isinstance(interval, (int, float)) and not isinstance(interval, bool)
    if interval is not None and not (number and interval >= 0):
        raise ValueError(
            f"checkpoint_interval={interval!r} was given. Expected a number of seconds, 0 for "
            "every epoch, or None for no checkpoints."
        )


def check_names(search: type, arguments: dict[str, Any]) -> None:
    """Raises if an argument is none of the tuner's, naming the nearest that there is."""
    taken = {*inspect.signature(keras_tuner.Tuner.__init__).parameters} - {"self", "kwargs"}
    unknown = sorted(arguments.keys() - taken)
    if not unknown:
        return
    own = [*inspect.signature(search.__init__).parameters, "checkpoint_interval", "folds"]
    known = sorted({*taken, *OPTIONS, *own})
    near = [match for name in unknown for match in difflib.get_close_matches(name, known, 1)]
    raise ValueError(
        f"Unrecognized arguments {unknown} for {search.__name__}. "
        + (f"Did you mean {', '.join(near)}?" if near else f"Expected some of {known}.")
    )
