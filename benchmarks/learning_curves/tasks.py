"""Recorded learning curves, one task for each search that they may come from."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.recorded import data_file

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """The curves of one search space on one problem. Larger is better.

    Args:
        name: Its name.
        curves: One a row, one value an epoch. May hold NaN, and values like -1e34.
        bounds: Between what values they usually lie; `None` if that is not known.
        diverged: Below it a training has diverged, and its last value means nothing.
    """

    name: str
    curves: Array
    bounds: tuple[float, float] | None = (0.0, 1.0)
    diverged: float = -1.0

    @property
    def horizon(self) -> int:
        return self.curves.shape[1]

    def search(self, order: int, trials: int) -> Array:
        """The curves of some trials, drawn without repetition, in the order of number `order`."""
        # Tasks of one benchmark hold the same configurations: the same order for all would make
        # one lost configuration count in many of them.
        rng = np.random.default_rng([order, zlib.crc32(self.name.encode())])
        return self.curves[rng.permutation(len(self.curves))[:trials]]


def taskset(untrained: bool = False) -> Iterator[Task]:
    """Losses of recurrent networks on six text problems, as (L0 - L) / L0 (Metz et al., 2020).

    L0 is the median over a problem's networks of the loss before training, one number a
    problem, so that curves keep their order: 0 is an untrained network, 1 a loss of zero.

    Args:
        untrained: Whether a curve begins with the checkpoint before training. Keras reports
            no such value; without it, the 51 checkpoints are 50 epochs.
    """
    with np.load(data_file("taskset_rnn.npz", without="`--sets synthetic`")) as data:
        for series in ("train_loss", "valid_loss"):
            for name, losses in zip(data["tasks"], data[series].astype(float), strict=True):
                initial = float(np.nanmedian(losses[:, 0]))
                curves = (initial - losses) / initial
                yield Task(f"{_short(str(name))} {series}", curves[:, 0 if untrained else 1 :])


def lcbench() -> Iterator[Task]:
    """Validation accuracies of small networks on 17 tables, in [0, 1] (Zimmer et al., 2021)."""
    for name, values in _lcbench("val_accuracy"):
        yield Task(name, values / 100)


def lcbench_loss() -> Iterator[Task]:
    """The cross-entropies of the same networks, negated: without bounds, and they overfit."""
    for name, values in _lcbench("val_cross_entropy"):
        yield Task(name, -values, bounds=None, diverged=-10.0)


def _lcbench(series: str) -> Iterator[tuple[str, Array]]:
    with np.load(data_file("lcbench_surrogate.npz", without="`--sets synthetic`")) as data:
        for name, values in zip(data["instances"], data[series], strict=True):
            yield f"{name} {series}", values.astype(float)


def synthetic() -> Iterator[Task]:
    """Made accuracies: power laws with noise, some that overfit, and some that diverge."""
    epochs = np.arange(1.0, 31.0)
    for number in range(3):
        rng = np.random.default_rng([number, 30])
        top, gain = rng.uniform(0.5, 0.95, (200, 1)), rng.uniform(0.1, 0.5, (200, 1))
        curves = top - gain * epochs ** -rng.uniform(0.2, 1.5, (200, 1))
        curves -= rng.choice([0.0, 0.004], (200, 1), p=[0.8, 0.2]) * np.maximum(epochs - 12, 0)
        curves += rng.normal(0, 0.005, curves.shape)
        curves[:10, 12:] = np.nan
        yield Task(f"synthetic {number}", curves)


SETS: dict[str, Callable[[], Iterator[Task]]] = {
    "taskset": taskset,
    "lcbench": lcbench,
    "lcbench-loss": lcbench_loss,
    "synthetic": synthetic,
}
TITLES = {
    "taskset": "TaskSet",
    "lcbench": "LCBench",
    "lcbench-loss": "LCBench, loss",
    "synthetic": "synthetic",
}


def read(name: str, tasks: int | None = None) -> list[Task]:
    """The tasks of a set, or some of them, spread evenly over it.

    Raises:
        DataMissing: If its file is not on this machine.
    """
    found = list(SETS[name]())
    if tasks is None or tasks >= len(found):
        return found
    return [found[at] for at in np.linspace(0, len(found) - 1, tasks).round().astype(int)]


def best(curve: Sequence[float] | Array) -> float:
    """The best finite value; minus infinity if there is none."""
    values = np.asarray(curve, dtype=float)
    return float(values[np.isfinite(values)].max(initial=-np.inf))


def _short(name: str) -> str:
    return name.removeprefix("rnn_text_classification_family_")
