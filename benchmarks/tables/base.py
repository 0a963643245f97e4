"""What the simulator asks of a table of recorded results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import keras_tuner
import numpy as np

from benchmarks.recorded import DataMissing, data_file

__all__ = ["DataMissing", "Table", "Value", "Values", "data_file", "draw"]

Value = bool | int | float | str
Values = Mapping[str, Value]


class Table(ABC):
    """Results of training runs, looked up in place of training. Larger scores are better.

    Attributes:
        name: The table's name, printed above the results.
        unit: Unit of `regret`.
        best: The best `true` score of any configuration.
        epochs: Epochs of a full training; 1 where only final results are recorded.
    """

    name: str
    unit: str
    best: float
    epochs: int = 1

    @abstractmethod
    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """The space to search, a new object at every call."""

    @abstractmethod
    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        """The score that one training run of this configuration reports."""

    @abstractmethod
    def true(self, values: Values) -> float:
        """The score, free of noise, by which a search that returns `values` is judged."""

    def regret(self, values: Values) -> float:
        """How far the configuration is from the best one, in `unit`s."""
        return self.best - self.true(values)

    def median_regret(self) -> float:
        """Regret of a median configuration among those drawn at random.

        The default draws 2,000 of them.
        """
        rng, space = np.random.default_rng(0), self.hyperparameters()
        return float(np.median([self.regret(draw(space, rng)) for _ in range(2_000)]))

    def exhausted_regret(self) -> float | None:
        """Mean regret of a search that has tried every configuration once; None if unknown.

        What remains is the work of noise: the best observed is not the best. Searches that
        come near this figure can no longer be told apart.
        """
        return None

    def duration(self, values: Values) -> float:
        """Virtual time of the run; about 1 for an average full training."""
        return self.cost(values)

    def cost(self, values: Values) -> float:
        """What the run takes from the budget: 1 for a full training, less for a part.

        Hyperband's "tuner/epochs" says how far to train and "tuner/initial_epoch" from
        which epoch on.
        """
        last = float(values.get("tuner/epochs", self.epochs))
        return (last - float(values.get("tuner/initial_epoch", 0))) / self.epochs


def draw(space: keras_tuner.HyperParameters, rng: np.random.Generator) -> dict[str, Value]:
    """A random configuration, active hyperparameters only."""
    values: dict[str, Value] = {}
    for axis in space.space:
        if all(condition.is_active(values) for condition in axis.conditions):
            values[axis.name] = axis.prob_to_value(rng.random())
    return values
