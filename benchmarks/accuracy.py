"""What searches find in real training: `python -m benchmarks.accuracy --help`.

Networks of a conditional convolutional space are trained on generated data: signals, whose
class is the shape of a bump in noise, and images of shapes. A search keeps the trial with the
best validation accuracy so far; the table has the test accuracy of that trial's best epoch.
"""

from __future__ import annotations

# isort: off
import benchmarks.process  # noqa: F401

# isort: on
import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.methods import parse, spread
from benchmarks.reporting import positive, print_table, versions

METHODS = (
    "kt.RandomSearch",
    "kt.BayesianOptimization",
    "kt_plus.OptunaSearch",
    "kt_plus.EvolutionarySearch(surrogate=None)",
    "kt_plus.EvolutionarySearch",
)
CHECKPOINTS = (10, 20, 30)
EXAMPLES = {"train": 700, "validation": 500, "test": 2000}
CLASSES = 6


def signals(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Signals of 64 steps: one of six shapes at a random place, in noise of twice its height."""
    labels = rng.integers(CLASSES, size=count)
    steps, centers = np.arange(64.0), rng.uniform(14, 50, size=(count, 1))
    t = (steps - centers) / rng.uniform(7, 11, size=(count, 1))
    inside = np.abs(t) < 1
    shapes = (
        np.exp(-4 * t**2),
        np.where(inside, 1 - np.abs(t), 0),
        np.where(inside, (t + 1) / 2, 0),
        np.where(inside, (1 - t) / 2, 0),
        np.where(inside, np.sin(np.pi * t), 0),
        np.where(inside, np.sign(np.sin(2 * np.pi * t)), 0),
    )
    signal = np.choose(labels[:, None], [2 * shape for shape in shapes])
    signal += rng.normal(scale=0.8, size=signal.shape)
    return signal[..., None].astype("float32"), labels


def shapes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images of 28 x 28 pixels: one of six outlines at a random place and size, in noise."""
    labels = rng.integers(CLASSES, size=count)
    rows, columns = np.mgrid[0:28, 0:28]
    place, turn = rng.uniform(9, 19, size=(2, count, 1, 1)), rng.uniform(-0.4, 0.4, (count, 1, 1))
    y, x = rows - place[0], columns - place[1]
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    radius = rng.uniform(5, 8, size=(count, 1, 1))
    square, diamond = np.maximum(abs(x), abs(y)), abs(x) + abs(y)
    outlines = (
        abs(np.hypot(x, y) - radius),
        abs(square - radius),
        abs(diamond - 1.3 * radius),
        np.where(square < radius, np.minimum(abs(x), abs(y)), 9.0),
        np.where(square < radius, np.minimum(abs(x - y), abs(x + y)), 9.0),
        np.abs(np.maximum(-y - radius / 2, abs(x) * 1.7 + y - radius / 2) - radius / 4),
    )
    distance = np.choose(labels[:, None, None], outlines)
    image = (distance < 1) + rng.normal(scale=0.7, size=distance.shape)
    return image[..., None].astype("float32"), labels


DATA = {"signals": signals, "shapes": shapes}


def build(hp: Any, shape: tuple[int, ...]) -> Any:
    """A convolutional network of one to four blocks, some of whose settings are conditional."""
    import keras

    one = len(shape) == 2
    convolution = keras.layers.Conv1D if one else keras.layers.Conv2D
    pool = keras.layers.MaxPooling1D if one else keras.layers.MaxPooling2D
    flat = keras.layers.GlobalAveragePooling1D if one else keras.layers.GlobalAveragePooling2D
    x = inputs = keras.Input(shape)
    blocks = hp.Int("blocks", 1, 4, default=1)
    for i in range(4):
        with hp.conditional_scope("blocks", [*range(i + 1, 5)]):
            filters = hp.Choice(f"filters_{i}", [4, 8, 16, 32])
            kernel = hp.Choice(f"kernel_{i}", [3, 5, 7])
            norm = hp.Boolean(f"norm_{i}")
        if i < blocks:
            x = convolution(filters, kernel, padding="same", use_bias=not norm)(x)
            x = keras.layers.BatchNormalization()(x) if norm else x
            x = pool(2)(keras.layers.Activation(hp.Choice("activation", ["relu", "tanh"]))(x))
    if hp.Choice("head", ["average", "flatten"]) == "average":
        x = flat()(x)
    else:
        with hp.conditional_scope("head", "flatten"):
            x = keras.layers.Dense(hp.Int("units", 8, 64, step=8), "relu")(
                keras.layers.Flatten()(x)
            )
    x = keras.layers.Dropout(hp.Float("dropout", 0.0, 0.6))(x)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, "softmax")(x))
    rate = hp.Float("learning_rate", 1e-5, 1e-1, sampling="log")
    if hp.Choice("optimizer", ["sgd", "adam"]) == "adam":
        optimizer = keras.optimizers.Adam(rate)
    else:
        with hp.conditional_scope("optimizer", "sgd"):
            momentum = hp.Float("momentum", 0.0, 0.95)
        optimizer = keras.optimizers.SGD(rate, momentum=momentum)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def accuracies(method: str, data: str, seed: int, trials: int, epochs: int) -> list[float]:
    """Test accuracy of the trial in hand after each trial of one search."""
    import keras
    import keras_tuner

    import kt_plus

    rng = np.random.default_rng([seed, 8])
    parts = {name: DATA[data](count, rng) for name, count in EXAMPLES.items()}
    found: list[tuple[float, float]] = []

    class Watch(keras.callbacks.Callback):
        """Measures the test accuracy at each new best epoch of a trial."""

        best = (-1.0, 0.0)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if logs["val_accuracy"] > self.best[0]:
                test = self.model.evaluate(*parts["test"], verbose=0, batch_size=500)[1]
                self.best = logs["val_accuracy"], test

    class Network(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            return build(hp, parts["train"][0].shape[1:])

        def fit(self, hp: Any, model: Any, *args: Any, callbacks: Any, **kwargs: Any) -> Any:
            watch = Watch()
            history = model.fit(*args, callbacks=[*callbacks, watch], **kwargs)
            found.append(watch.best)
            return history

    read = parse(method)
    with tempfile.TemporaryDirectory() as folder:
        given = {"max_trials": trials, "seed": spread(seed), "directory": folder} | read.settings
        search = getattr({"kt": keras_tuner, "kt_plus": kt_plus}[read.package], read.name)
        tuner = search(Network(), "val_accuracy", max_consecutive_failed_trials=trials, **given)
        tuner.search(
            *parts["train"],
            validation_data=parts["validation"],
            epochs=epochs,
            batch_size=64,
            verbose=0,
        )
    best = np.maximum.accumulate([validation for validation, _ in found])
    return [
        found[int(np.argmax(np.array(found)[: i + 1, 0] == best[i]))][1] for i in range(len(found))
    ]


def _run(task: tuple[str, str, int, int, int]) -> list[float]:
    return accuracies(*task)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one table for each kind of data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=[*DATA])
    parser.add_argument("--methods", nargs="+", default=[*METHODS])
    parser.add_argument("--seeds", type=positive, default=3)
    parser.add_argument("--trials", type=positive, default=CHECKPOINTS[-1])
    parser.add_argument("--epochs", type=positive, default=10)
    parser.add_argument("--jobs", type=positive, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="file for the accuracies after each trial")
    options = parser.parse_args(arguments)
    seeds = range(options.seeds)
    tasks = [
        (method, data, seed, options.trials, options.epochs)
        for data in options.data
        for method in options.methods
        for seed in seeds
    ]
    with ProcessPoolExecutor(
        options.jobs, multiprocessing.get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        found = dict(zip(tasks, pool.map(_run, tasks), strict=True))
    print(
        f"{options.trials} trials of {options.epochs} epochs, {options.seeds} seeds\n{versions()}"
    )
    checkpoints = [n for n in CHECKPOINTS if n <= options.trials] or [options.trials]
    for data in options.data:
        lines = [[data, *(f"after {n}" for n in checkpoints), "of each seed"]]
        for method in options.methods:
            runs = [found[method, data, seed, options.trials, options.epochs] for seed in seeds]
            means = [
                f"{np.mean([run[min(n, len(run)) - 1] for run in runs]):.3f}" for n in checkpoints
            ]
            lines.append([method, *means, " ".join(f"{run[-1]:.3f}" for run in runs)])
        print()
        print_table(lines)
    if options.json:
        options.json.write_text(json.dumps([[*task, runs] for task, runs in found.items()]) + "\n")


if __name__ == "__main__":
    main()
