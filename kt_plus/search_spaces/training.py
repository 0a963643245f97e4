"""How networks are trained: what each task ends in, and the optimizer, searched or given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from kt_plus.search_spaces.arguments import SEARCH


class Task(NamedTuple):
    """How a network ends, and what it is trained and judged by."""

    activation: str | None
    loss: str
    metric: Callable[[], Any]


TASKS = {
    "binary": Task(
        "sigmoid",
        "binary_crossentropy",
        lambda: keras.metrics.BinaryAccuracy(name="accuracy"),
    ),
    "classification": Task(
        "softmax",
        "sparse_categorical_crossentropy",
        lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
    ),
    "multi_label": Task(
        "sigmoid",
        "binary_crossentropy",
        lambda: keras.metrics.BinaryAccuracy(name="accuracy"),
    ),
    "regression": Task(
        None,
        "mean_squared_error",
        lambda: keras.metrics.MeanAbsoluteError(name="mean_absolute_error"),
    ),
}
"""The tasks: one sigmoid unit; softmax, for integer labels; a sigmoid for each label; linear."""

LEARNING_RATES = {"adam": (1e-4, 1e-2, 1e-3), "sgd": (1e-3, 3e-1, 3e-2)}
"""The optimizers searched, and the learning rates of each: lowest, highest, default."""


def make_optimizer(
    hp: Any, name: str, learning_rate: float | str, weight_decay: float | str
) -> Any:
    """The optimizer of a configuration, with what is to be searched asked for."""
    searched = name == SEARCH
    if searched:
        name = str(hp.Choice("optimizer", [*LEARNING_RATES]))
    if learning_rate == SEARCH:
        learning_rate = _ask_learning_rate(hp, name, searched)
    if weight_decay == SEARCH:
        weight_decay = hp.Float("weight_decay", 1e-5, 1e-1, sampling="log", default=1e-3)
    settings: dict[str, Any] = {
        "learning_rate": learning_rate,
        "weight_decay": weight_decay or None,
    }
    if name == "sgd":
        settings |= {"momentum": 0.9, "nesterov": True}
    return keras.optimizers.get({"class_name": name, "config": settings})


def _ask_learning_rate(hp: Any, name: str, searched: bool) -> Any:
    """One optimizer's good rates are another's bad ones: each of several has a rate of its own."""
    if not searched:
        return _ask(hp, "learning_rate", LEARNING_RATES.get(name, LEARNING_RATES["adam"]))
    asked = {}
    for each, rates in LEARNING_RATES.items():
        with hp.conditional_scope("optimizer", [each]):
            asked[each] = _ask(hp, f"{each}_learning_rate", rates)
    return asked[name]


def _ask(hp: Any, name: str, rates: tuple[float, float, float]) -> Any:
    low, high, default = rates
    return hp.Float(name, low, high, sampling="log", default=default)
