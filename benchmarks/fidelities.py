"""What ladders of less data and smaller images save, with real training on digits.

`python -m benchmarks.fidelities --help`. Each search is of the same configurations: all of
them trained in full, or halved on a ladder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

import kt_plus
from benchmarks.reporting import positive, print_table, versions

LADDERS: dict[str, tuple[int, Any]] = {
    "epochs": (12, kt_plus.fidelity.Epochs(2, 8)),
    "data fraction": (8, kt_plus.fidelity.DataFraction(1 / 6, 1)),
    "resolution": (12, kt_plus.fidelity.Resolution(1 / 2, 1)),
    "resolution and epochs": (
        5,
        [kt_plus.fidelity.Resolution(1 / 2, 1), kt_plus.fidelity.Epochs(4, 8)],
    ),
    "data fraction and resolution": (
        8,
        [kt_plus.fidelity.DataFraction(1 / 2, 1), kt_plus.fidelity.Resolution(1 / 2, 1)],
    ),
}
"""Of how many configurations one is promoted, and to what, at no more than a third of the cost."""
EPOCHS = 8


def data(seed: int) -> dict[str, Any]:
    """Images of 8 x 8 pixels in ten classes, a third of them for validation."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng([seed, 4]).permutation(len(labels))
    images = (images[order] / 16).reshape(-1, 8, 8, 1).astype("float32")
    labels, train = labels[order], 1200
    return {
        "x": images[:train],
        "y": labels[:train],
        "validation_data": (images[train:], labels[train:]),
        "batch_size": 32,
        "verbose": 0,
    }


def build_model(hp: Any) -> keras.Model:
    """A small convolutional network that takes images of any size."""
    model = keras.Sequential([keras.Input((None, None, 1))])
    for i in range(hp.Int("layers", 1, 3)):
        filters = hp.Int(f"filters_{i}", 4, 32, sampling="log")
        model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
    model.add(keras.layers.GlobalMaxPooling2D())
    model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def search(name: str | None, configurations: int, seed: int) -> tuple[float, float, float, str]:
    """The best accuracy at full fidelity, the cost in full epochs, seconds, and tau."""
    settings: dict[str, Any] = {"objective": "val_accuracy", "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        settings.update(directory=folder, project_name="search")
        if name is None:
            tuner = kt_plus.RandomSearch(build_model, max_trials=configurations, **settings)
        else:
            factor, ladder = LADDERS[name]
            settings.update(configurations=configurations, factor=factor, ladder=ladder)
            tuner = kt_plus.SuccessiveHalving(build_model, **settings)
        begun = time.perf_counter()
        tuner.search(epochs=EPOCHS, **data(seed))
        seconds = time.perf_counter() - begun
        oracle = tuner.oracle
        shares = [oracle.ladder.cost(r.rung) if oracle.ladder else 1.0 for r in oracle.history]
        cost = sum(s * len(r.curve) for s, r in zip(shares, oracle.history, strict=True))
        agreement = kt_plus.results.rank_agreement(tuner)
        tau = str(agreement[0].kendall) if len(agreement) else ""
        return float(oracle.history.best.score), cost, seconds, tau


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelities", description=__doc__)
    parser.add_argument("--configurations", type=positive, default=24)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ladders", nargs="+", choices=LADDERS, default=[*LADDERS])
    options = parser.parse_args(arguments)
    lines = [["ladder", "seed", "best accuracy", "- full", "cost / full", "seconds / full", "tau"]]
    for seed in options.seeds:
        full, cost, seconds, _ = search(None, options.configurations, seed)
        lines.append(["none", str(seed), f"{full:.4f}", "", "1", "1", ""])
        for name in options.ladders:
            best, spent, took, tau = search(name, options.configurations, seed)
            ratios = [f"{best - full:+.4f}", f"{spent / cost:.2f}", f"{took / seconds:.2f}"]
            lines.append([name, str(seed), f"{best:.4f}", *ratios, tau])
            print(" | ".join(lines[-1]), file=sys.stderr)
    print(f"{options.configurations} configurations, {EPOCHS} epochs\n{versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
