"""A made table in which no choice is good by itself: each must fit its neighbours."""

from __future__ import annotations

import keras_tuner
import numpy as np

from benchmarks.tables.base import Table, Values

POSITIONS = 8
OPTIONS = ("a", "b", "c", "d")
NOISE = 0.3


class Interaction(Table):
    """A chain of 8 choices among 4, scored by how well each fits the next; new for each run.

    The score is the sum of seven tables of 4 x 4, one for each pair of neighbours, whose
    rows and columns have a mean of zero: averaged over the rest, every option of every
    choice is worth the same. A policy that knows only which options are good learns
    nothing before it has settled on some of them; one that sees the choice before can
    learn what goes with what. The best of the 65,536 configurations is found by dynamic
    programming. A trial sees Gaussian noise of standard deviation 0.3.

    Args:
        seed: Draws the tables.
    """

    unit = "points"

    def __init__(self, seed: int = 0):
        rng = np.random.default_rng([seed, 4])
        fits = rng.normal(size=(POSITIONS - 1, len(OPTIONS), len(OPTIONS)))
        self.name = f"Interaction {seed}"
        self._fits = fits - fits.mean(1, keepdims=True)
        self._fits -= self._fits.mean(2, keepdims=True)
        ahead = np.zeros(len(OPTIONS))  # the best that can follow each option
        for pair in self._fits[::-1]:
            ahead = (pair + ahead).max(axis=1)
        self.best = float(ahead.max())

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        space = keras_tuner.HyperParameters()
        for position in range(POSITIONS):
            space.Choice(f"position_{position}", list(OPTIONS))
        return space

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        return self.true(values) + float(rng.normal(scale=NOISE))

    def exhausted_regret(self) -> float:
        scores = self._fits[0]
        for pair in self._fits[1:]:
            scores = scores[..., None] + pair
        # Noise of eight standard deviations is needed to return any of the others.
        near = np.sort(scores.ravel())[::-1]
        near = near[near > self.best - 8 * NOISE]
        noise = np.random.default_rng(0).normal(scale=NOISE, size=(500, len(near)))
        return float(np.mean(self.best - near[(near + noise).argmax(axis=1)]))

    def true(self, values: Values) -> float:
        genes = [OPTIONS.index(str(values[f"position_{i}"])) for i in range(POSITIONS)]
        pairs = zip(self._fits, genes, genes[1:], strict=False)
        return float(sum(fit[here, there] for fit, here, there in pairs))
