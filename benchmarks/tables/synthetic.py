"""A made table: a large mixed space with conditions, and a formula whose best is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras_tuner
import numpy as np
from keras_tuner.engine.hyperparameters import HyperParameter

from benchmarks.tables.base import Table, Value, Values

BEST = 90.0
NOISE = 0.3
MAX_LAYERS = 6

_SPREAD = 30.0  # points lost when every axis is at its worst
_BASIN = 0.25  # width of the basin around an axis's target; the axis is 1 long
_RIPPLE = 0.15  # height of the local optima beside it, as a share of the axis's weight
_VALLEY = 0.4  # how far the best learning rate moves when the batch size does


def _space(layers: int) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    space.Choice("optimizer", ["sgd", "adam", "rmsprop"])
    space.Choice("batch_size", [16, 32, 64, 128, 256, 512])
    space.Float("learning_rate", 1e-5, 1.0, sampling="log")
    space.Float("weight_decay", 1e-6, 1e-1, sampling="log")
    with space.conditional_scope("optimizer", ["sgd"]):
        space.Float("momentum", 0.0, 0.99)
    space.Boolean("dropout")
    with space.conditional_scope("dropout", [True]):
        space.Float("dropout_rate", 0.05, 0.6, step=0.05)
    space.Int("layers", 1, layers)
    for layer in range(1, layers + 1):
        with space.conditional_scope("layers", list(range(layer, layers + 1))):
            space.Int(f"units_{layer}", 8, 512, sampling="log")
            space.Choice(f"activation_{layer}", ["relu", "gelu", "tanh", "swish"])
    return space


@dataclass(frozen=True)
class _Axis:
    """One hyperparameter: where its best value lies, and what each other one costs."""

    hyperparameter: HyperParameter
    weight: float
    target: Value
    prices: Sequence[float]  # of each category, 0 at the target; empty for a numeric axis

    def distance(self, value: Value) -> float:
        unit = self.hyperparameter.value_to_prob
        return float(unit(value) - unit(self.target))

    def penalty(self, value: Value, shift: float) -> float:
        if self.prices:
            return self.weight * self.prices[self.hyperparameter.values.index(value)]
        distance = self.distance(value) - shift
        basin = 1 - np.exp(-0.5 * (distance / _BASIN) ** 2)
        ripple = _RIPPLE * np.sin(5 * np.pi * distance) ** 2
        return float(self.weight * (basin + ripple) / (1 + _RIPPLE))


def _draw_axis(hyperparameter: HyperParameter, rng: np.random.Generator) -> _Axis:
    target = hyperparameter.prob_to_value(rng.random())
    weight = float(rng.lognormal(sigma=0.7))
    prices: list[float] = []
    if isinstance(target, (bool, str)):
        draws = rng.uniform(0.3, 1.0, len(hyperparameter.values)).tolist()
        labels = hyperparameter.values
        prices = [0.0 if v == target else p for v, p in zip(labels, draws, strict=True)]
    return _Axis(hyperparameter, weight, target, prices)


class Synthetic(Table):
    """20 hyperparameters of every kind, most of them conditional; a new formula per seed.

    A configuration loses points on each of its active axes, none where its value is the
    target that the seed drew: a category by its price, a number by its distance, across a
    basin with ripples (local optima). The best learning rate moves with the batch size.
    So `best` is reached by the targets and nowhere exceeded. A trial sees Gaussian noise of
    standard deviation 0.3 and lasts longer the more layers it has.

    Args:
        seed: Draws targets, prices and weights.
        layers: How many layers there may be. Each is two hyperparameters more.
    """

    unit = "points"

    def __init__(self, seed: int = 0, layers: int = MAX_LAYERS):
        rng = np.random.default_rng([seed, 20])
        self.layers = layers
        self.name = f"Synthetic {seed}"
        self.best = BEST
        self._axes = {axis.name: _draw_axis(axis, rng) for axis in _space(layers).space}
        self._points = _SPREAD / sum(axis.weight for axis in self._axes.values())

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        return _space(self.layers)

    def target(self) -> dict[str, Value]:
        """The best configuration: inactive hyperparameters left out."""
        best = {name: axis.target for name, axis in self._axes.items()}
        return {
            name: value
            for name, value in best.items()
            if all(c.is_active(best) for c in self._axes[name].hyperparameter.conditions)
        }

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        return self.true(values) + float(rng.normal(scale=NOISE))

    def true(self, values: Values) -> float:
        shift = {"learning_rate": _VALLEY * self._axes["batch_size"].distance(values["batch_size"])}
        lost = sum(
            axis.penalty(values[name], shift.get(name, 0.0))
            for name, axis in self._axes.items()
            if name in values
        )
        return self.best - self._points * lost

    def duration(self, values: Values) -> float:
        return (1 + float(values["layers"])) / (1 + (1 + self.layers) / 2)
