"""The softmaxes of all hyperparameters at once, their parts one under another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Distributions(NamedTuple):
    """What the softmaxes say: one column a trial.

    Args:
        probabilities: Of each part, of shape (parts, trials).
        logs: Their logarithms.
        entropies: Of each softmax, of shape (softmaxes, trials).
    """

    probabilities: Array
    logs: Array
    entropies: Array


class Softmaxes:
    """Several softmaxes in one array, so that there is neither a loop over them nor padding.

    Args:
        counts: The number of parts of each, at least 1.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.starts = np.cumsum([0, *counts[:-1]])[: len(counts)]
        self._owners = np.repeat(np.arange(len(counts)), counts)

    def of(self, logits: Array) -> Distributions:
        """The distributions of which these are the logits, of shape (parts, trials)."""
        logs = logits - np.maximum.reduceat(logits, self.starts)[self._owners]
        probabilities = np.exp(logs)
        total = np.add.reduceat(probabilities, self.starts)
        probabilities /= total[self._owners]
        logs -= np.log(total)[self._owners]
        entropies = -np.add.reduceat(probabilities * logs, self.starts)
        return Distributions(probabilities, logs, entropies)

    def slopes(self, told: Distributions, chosen: Array, weights: Array, bonus: Array) -> Array:
        """The slopes in the logits of sum(weights x log-probability) + sum(bonus x entropy).

        Args:
            told: The distributions.
            chosen: The part that each softmax chose, as its place among all parts.
            weights: What its log-probability counts, of shape (softmaxes, trials).
            bonus: What the entropies count, of that shape.
        """
        slopes: Array = told.logs * bonus[self._owners]
        slopes += (weights + bonus * told.entropies)[self._owners]
        slopes *= -told.probabilities
        slopes[chosen, np.arange(slopes.shape[1])] += weights
        return slopes
