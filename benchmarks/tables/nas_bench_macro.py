"""NAS-Bench-Macro: every chain of eight blocks, each trained three times on CIFAR-10."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import keras_tuner
import numpy as np

from benchmarks.tables.base import Table, Values, data_file

OPERATIONS = ("identity", "mb3_k3", "mb6_k5")
POSITIONS = 8


@lru_cache(maxsize=1)
def _read(path: Path) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
    with np.load(path) as data:
        rows = {str(arch): row for row, arch in enumerate(data["arch"])}
        return rows, data["test_acc"].astype(float), data["flops"].astype(float)


class NASBenchMacro(Table):
    """8 positions x 3 operations: 6,561 architectures (Su et al., CVPR 2021).

    A trial sees the accuracy of one of the three runs, drawn at random; the search is
    judged by the mean of the three. A trial lasts in proportion to the architecture's
    FLOPs.

    Args:
        path: The `.npz` file; found by `data_file` if not given.
    """

    name = "NAS-Bench-Macro"
    unit = "% accuracy"

    def __init__(self, path: Path | None = None):
        self._rows, self._accuracy, flops = _read(path or data_file("nas_bench_macro.npz"))
        self._mean = self._accuracy.mean(axis=1)
        self._duration = flops / flops.mean()
        self.best = float(self._mean.max())

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        space = keras_tuner.HyperParameters()
        for position in range(POSITIONS):
            space.Choice(f"position_{position}", list(OPERATIONS))
        return space

    def _row(self, values: Values) -> int:
        genes = (values[f"position_{position}"] for position in range(POSITIONS))
        return self._rows["".join(str(OPERATIONS.index(str(gene))) for gene in genes)]

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        return float(rng.choice(self._accuracy[self._row(values)]))

    def true(self, values: Values) -> float:
        return float(self._mean[self._row(values)])

    def exhausted_regret(self) -> float:
        rng = np.random.default_rng(0)
        architectures = np.arange(len(self._mean))
        regrets = []
        for _ in range(1_000):
            runs = rng.integers(self._accuracy.shape[1], size=len(architectures))
            returned = self._accuracy[architectures, runs].argmax()
            regrets.append(self.best - self._mean[returned])
        return float(np.mean(regrets))

    def duration(self, values: Values) -> float:
        return float(self._duration[self._row(values)])
