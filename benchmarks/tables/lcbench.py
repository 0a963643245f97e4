"""LCBench: 1,000 configurations of a small network, on each of 17 tabular tasks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import keras_tuner
import numpy as np
from scipy.special import expit, logit

from benchmarks.tables.base import Table, Values, data_file


def _space() -> keras_tuner.HyperParameters:
    """LCBench's own ranges (Zimmer, Lindauer and Hutter, TPAMI 2021)."""
    space = keras_tuner.HyperParameters()
    space.Int("batch_size", 16, 512, sampling="log")
    space.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    space.Float("momentum", 0.1, 0.99)
    space.Float("weight_decay", 1e-5, 1e-1)
    space.Int("num_layers", 1, 5)
    space.Int("max_units", 64, 1024, sampling="log")
    space.Float("max_dropout", 0.0, 1.0)
    return space


class _Curves:
    """The recorded curves of one task (%), and those of the configurations between them.

    Recorded configurations lie far apart in seven dimensions. Answering with the nearest
    one would give plateaus on which a search that refines its best configuration learns
    nothing. A radial basis function through the logits predicts a held-out fifth with half
    the error (0.13 of the gap from median to best, against 0.29; mean over the tasks).
    """

    def __init__(self, names: list[str], configs: np.ndarray, accuracy: np.ndarray):
        space = {axis.name: axis for axis in _space().space}
        self._axes = [space[name] for name in names]
        points = [self._unit(dict(zip(names, row, strict=True))) for row in configs.tolist()]
        self.recorded = accuracy
        self._low, self._high = accuracy.min(axis=0), accuracy.max(axis=0)
        # From -0.5 to 100.5: accuracies of 0 and 100 % have no logit.
        self._points, values = np.array(points), logit((accuracy + 0.5) / 101)
        # scipy.interpolate.RBFInterpolator(kernel="linear"), of which one point costs 2 ms
        distances = np.linalg.norm(self._points[:, None] - self._points, axis=-1)
        system = np.block([[-distances, np.ones((len(points), 1))], [np.ones(len(points)), 0]])
        self._weights = np.linalg.solve(system, np.vstack([values, np.zeros(values.shape[1])]))

    def _unit(self, values: Values) -> list[float]:
        return [axis.value_to_prob(values[axis.name]) for axis in self._axes]

    def at(self, values: Values) -> np.ndarray:
        """Accuracy after each epoch, never outside what was recorded at that epoch."""
        distances = np.linalg.norm(self._points - np.array(self._unit(values)), axis=-1)
        logits = np.append(-distances, 1.0) @ self._weights
        curve = 101 * expit(logits) - 0.5
        return np.clip(curve, self._low, self._high)


@lru_cache(maxsize=32)
def _read(path: Path, seed: int) -> tuple[str, _Curves]:
    with np.load(path) as data:
        tasks = data["instances"]
        names = [str(name) for name in data["hp_names"]]
        accuracy = data["val_accuracy"][seed % len(tasks)].astype(float)
        return str(tasks[seed % len(tasks)]), _Curves(names, data["configs"], accuracy)


class LCBench(Table):
    """Seven hyperparameters, five of them continuous; curves of 52 epochs.

    The curves come from YAHPO Gym's surrogate of LCBench, so a trial has no noise; between
    the recorded configurations they are interpolated. Tasks differ in how much there is to
    gain: regret is counted in hundredths of the gap between the task's median and its best
    recorded configuration. Trials that train for fewer epochs (Hyperband) see the accuracy
    at that epoch, and last and cost a part of a full training.

    Args:
        seed: Which of the tasks: number `seed` modulo their count.
        path: The `.npz` file; found by `data_file` if not given.
    """

    unit = "% of the gap from median to best"

    def __init__(self, seed: int = 0, path: Path | None = None):
        task, self._curves = _read(path or data_file("lcbench_surrogate.npz"), seed)
        self.name = f"LCBench {task}"
        final = self._curves.recorded[:, -1]
        self.epochs = self._curves.recorded.shape[1]
        self.best = float(final.max())
        self._median = float(np.median(final))

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        return _space()

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        last_epoch = int(values.get("tuner/epochs", self.epochs))
        return float(self._curves.at(values)[last_epoch - 1])

    def true(self, values: Values) -> float:
        return float(self._curves.at(values)[-1])

    def regret(self, values: Values) -> float:
        return 100 * (self.best - self.true(values)) / (self.best - self._median)

    def median_regret(self) -> float:
        return 100.0  # the recorded configurations were drawn at random
