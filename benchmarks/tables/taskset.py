"""TaskSet: 1,000 configurations of an optimizer, on each of six text classifiers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import keras_tuner
import numpy as np

from benchmarks.tables.base import Table, Values, data_file

DIVERGED = 1e7  # the loss reported for NaN, and for every larger one; up to 1e34 is recorded


def _space() -> keras_tuner.HyperParameters:
    """TaskSet's own ranges of Adam with decay and regularization (Metz et al., 2020).

    Both betas are searched by their distance from 1, as TaskSet drew them.
    """
    space = keras_tuner.HyperParameters()
    space.Float("learning_rate", 1e-8, 10.0, sampling="log")
    space.Float("one_minus_beta1", 1e-4, 1.0, sampling="log")
    space.Float("one_minus_beta2", 1e-6, 1.0, sampling="log")
    space.Float("epsilon", 1e-10, 1e3, sampling="log")
    space.Float("l1", 1e-8, 10.0, sampling="log")
    space.Float("l2", 1e-8, 10.0, sampling="log")
    space.Float("linear_decay", 1e-7, 1e-4, sampling="log")
    space.Float("exponential_decay", 1e-6, 1e-3, sampling="log")
    return space


class _Losses:
    """The final losses of one task, and those of the configurations between the recorded ones.

    A forest of extremely randomized trees gives each recorded configuration its own loss. On
    a held-out fifth its mean error is .04 of the gap from median to best; the nearest
    configuration's is .08, and .06 of a radial basis function, which knows no axis from another.
    Surrogate benchmarks are made in this way (Eggensperger et al., AAAI 2015). The forest
    learns the logarithm of the loss up to a cap, since recorded losses differ by 34 orders of
    magnitude; where most trees say the cap, the loss is that of the nearest run that diverged.
    """

    def __init__(self, points: np.ndarray, losses: np.ndarray) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        self.recorded = np.minimum(np.where(np.isnan(losses), np.inf, losses), DIVERGED)
        self.best, self.median = float(self.recorded.min()), float(np.median(self.recorded))
        # Twice as far from the best as the median: worse than a network that learned nothing.
        self._cap = np.log(2 * self.median - self.best)
        targets = np.minimum(np.log(self.recorded), self._cap)
        forest = ExtraTreesRegressor(100, random_state=0, n_jobs=1).fit(points, targets)
        self._trees = [tree.tree_ for tree in forest.estimators_]
        bad = targets == self._cap
        self._bad, self._bad_losses = points[bad], self.recorded[bad]

    def at(self, point: np.ndarray) -> float:
        row = point[None].astype(np.float32)
        logs = np.array([tree.predict(row)[0, 0] for tree in self._trees])
        if np.median(logs) < self._cap - 1e-9:  # leaves of several runs hold a rounded mean
            return float(np.exp(logs.mean()))
        distances = np.linalg.norm(self._bad - point, axis=1)
        return float(self._bad_losses[distances.argmin()])


@lru_cache(maxsize=8)
def _read(path: Path, seed: int) -> tuple[str, _Losses]:
    with np.load(path) as data:
        names = [str(name) for name in data["hp_names"]]
        columns = dict(zip(names, data["configs"].T, strict=True))
        tasks, number = data["tasks"], seed % len(data["tasks"])
        losses = data["valid_loss"][number, :, -1].astype(float)
    columns |= {f"one_minus_{beta}": 1 - columns[beta] for beta in ("beta1", "beta2")}
    points = [[axis.value_to_prob(v) for v in columns[axis.name]] for axis in _space().space]
    return str(tasks[number]), _Losses(np.array(points).T, losses)


class TaskSet(Table):
    """Eight continuous hyperparameters of Adam; most of the space diverges or learns nothing.

    A trial reports the recorded final validation loss, negated and free of noise; see `_Losses`
    for configurations that were not recorded. Regret is counted in hundredths of the gap
    between the task's median and its best recorded configuration.

    Args:
        seed: Which of the tasks: number `seed` modulo their count.
        path: The `.npz` file; found by `data_file` if not given.
    """

    unit = "% of the gap from median to best"

    def __init__(self, seed: int = 0, path: Path | None = None) -> None:
        task, self._losses = _read(path or data_file("taskset_rnn.npz"), seed)
        self.name = f"TaskSet {task}"
        self.best = -self._losses.best
        self._axes = _space().space

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        return _space()

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        return self.true(values)

    def true(self, values: Values) -> float:
        point = np.array([axis.value_to_prob(values[axis.name]) for axis in self._axes])
        return -self._losses.at(point)

    def regret(self, values: Values) -> float:
        return 100 * (self.best - self.true(values)) / (self._losses.median - self._losses.best)

    def median_regret(self) -> float:
        return 100.0  # the recorded configurations were drawn at random
