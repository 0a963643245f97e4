"""What a search adds to the training itself: `python -m benchmarks.training --help`.

The same networks are trained for as many epochs by Keras's own `fit` in a loop, by
`kt.RandomSearch` and by `kt_plus.RandomSearch`, which keeps checkpoints and seeds each epoch.
Only the learning rate is searched. Each run has a process of its own, and what is measured is
the processor's time, imports left out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.reporting import positive, print_table, versions

EPOCHS, TRIALS = 10, 4
ITSELF = "Keras's fit"
SEARCHES = ("kt.RandomSearch", "kt_plus.RandomSearch")


def small() -> Any:
    """Two convolutions."""
    import keras

    layers = [keras.layers.Conv2D(8, 3, activation="relu") for _ in range(2)]
    head = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, *head])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def cells() -> Any:
    """Two cells of DARTS: small images, and many layers."""
    import keras_tuner

    from kt_plus.search_spaces import CellSpace

    space = CellSpace((8, 8, 1), 10, preset="darts", width=8, cells=1, reductions=1)
    return space.build(keras_tuner.HyperParameters())


NETWORKS: dict[str, Callable[[], Any]] = {"small": small, "cells": cells}


def seconds_of(method: str, network: str) -> float:
    """The processor's time that a method takes for all trials, in seconds."""
    import keras_tuner
    from sklearn.datasets import load_digits

    import kt_plus

    digits = load_digits()
    data = {"x": digits.images[..., None] / 16, "y": digits.target, "validation_split": 0.2}
    fit = {**data, "epochs": EPOCHS, "batch_size": 64, "verbose": 0}

    def build(hp: Any) -> Any:
        model = NETWORKS[network]()
        model.optimizer.learning_rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        return model

    begun = time.process_time()
    if method == ITSELF:
        for _ in range(TRIALS):
            build(keras_tuner.HyperParameters()).fit(**fit)
        return time.process_time() - begun
    package = {"kt": keras_tuner, "kt_plus": kt_plus}[method.partition(".")[0]]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"max_trials": TRIALS, "seed": 0, "directory": folder}
        package.RandomSearch(build, "val_accuracy", **settings).search(**fit)
    return time.process_time() - begun


def measured(method: str, network: str) -> float:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training", "--one", method, network]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the methods one after another, in rounds, and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "NETWORK"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(seconds_of(*options.one))
        return
    lines = [["network", "trained by", "s, median", f"/ {ITSELF}"]]
    for network in options.networks:
        methods = (ITSELF, *SEARCHES)
        rounds = [[measured(m, network) for m in methods] for _ in range(options.rounds)]
        for method, taken in zip(methods, zip(*rounds, strict=True), strict=True):
            ratios = [s / row[0] for s, row in zip(taken, rounds, strict=True)]
            median, ratio = (sorted(figures)[len(rounds) // 2] for figures in (taken, ratios))
            lines.append([network, method, f"{median:.1f}", f"{ratio:.2f}"])
    print(f"{TRIALS} trials of {EPOCHS} epochs, {options.rounds} rounds\n{versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
