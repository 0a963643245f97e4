"""What inheriting weights saves, with real training on digits.

`python -m benchmarks.inheritance --help`. Evolution with and without inheritance, from the same
first trials on. What is asked is after how many epochs, of all trials together, the search with
inheritance has an accuracy as high as the best one that the search without it has found. The
networks found are trained again from scratch: that is what they are worth alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import keras

import kt_plus
from benchmarks.fidelities import data
from benchmarks.reporting import positive, print_table, versions


def build_model(hp: Any) -> keras.Model:
    """Convolutions with batch normalization, wider or more of them, and a hidden layer."""
    x = inputs = keras.Input((8, 8, 1))
    for i in range(hp.Int("layers", 1, 3)):
        filters = hp.Int(f"filters_{i}", 8, 32, step=8)
        x = keras.layers.Conv2D(filters, 3, padding="same", name=f"conv_{i}")(x)
        # With Keras's momentum, 0.99, so few steps would not bring the statistics to their place.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")(x)
        x = keras.layers.ReLU()(x)
        if i == 0:
            x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(hp.Int("units", 16, 64, step=16), "relu", name="hidden")(x)
    x = keras.layers.Dropout(hp.Float("dropout", 0.0, 0.4, step=0.1))(x)
    model = keras.Model(inputs, keras.layers.Dense(10, "softmax", name="classes")(x))
    rate = hp.Choice("learning_rate", [0.0003, 0.001, 0.003])
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def search(
    inherit: bool, trials: int, epochs: int, seed: int, full: int
) -> tuple[list[tuple[int, float]], float]:
    """After how many epochs the best accuracy has become which; the best one's from scratch.

    Args:
        inherit: Whether children inherit weights.
        trials: The number of trials.
        epochs: How many epochs each is trained.
        seed: The seed of the search, and of the division of the data.
        full: How many epochs the best one is trained from scratch.
    """
    with tempfile.TemporaryDirectory() as folder:
        tuner = kt_plus.EvolutionarySearch(
            build_model,
            "val_accuracy",
            max_trials=trials,
            seed=seed,
            random_trials=4,
            population_size=8,
            tournament_size=3,
            crossover=0.2,
            inherit_weights=inherit,
            directory=folder,
            project_name="search",
        )
        tuner.search(epochs=epochs, **data(seed))
        steps, total, best = [], 0, 0.0
        for record in tuner.oracle.history:
            for accuracy in record.curve:
                total += 1
                if accuracy > best:
                    best = float(accuracy)
                    steps.append((total, best))
        (scratch,) = tuner.retrain_best(1, epochs=full, **data(seed))
        return steps, float(scratch.score or 0.0)


def reached(steps: Sequence[tuple[int, float]], accuracy: float) -> int | None:
    """After how many epochs the best accuracy was at least this one."""
    return next((epochs for epochs, best in steps if best >= accuracy), None)


def lines_of(options: argparse.Namespace, seed: int) -> list[list[str]]:
    """The lines of the table for one seed."""
    plain, alone = search(False, options.trials, options.epochs, seed, options.epochs)
    needed, target = plain[-1]
    lines = [
        ["no", str(options.epochs), str(seed), f"{target:.4f}", str(needed), "1", f"{alone:.4f}"]
    ]
    for epochs in options.inherited_epochs:
        trials = options.trials * options.epochs // epochs
        steps, alone = search(True, trials, epochs, seed, options.epochs)
        there = reached(steps, target)
        share = [str(there), f"{there / needed:.2f}"] if there else ["never", ""]
        found = f"{steps[-1][1]:.4f}"
        lines.append(["yes", str(epochs), str(seed), found, *share, f"{alone:.4f}"])
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inheritance", description=__doc__)
    parser.add_argument("--trials", type=positive, default=12, help="without inheritance")
    parser.add_argument("--epochs", type=positive, default=8, help="of a trial without it")
    parser.add_argument("--inherited-epochs", type=positive, nargs="+", default=[3])
    parser.add_argument("--seeds", type=positive, nargs="+", default=[1, 2, 3])
    options = parser.parse_args(arguments)
    head = ["inherits", "epochs a trial", "seed", "best accuracy"]
    lines = [[*head, "epochs to the best without", "ratio", "best one from scratch"]]
    for seed in options.seeds:
        lines += lines_of(options, seed)
        print(f"seed {seed}: {lines[-1 - len(options.inherited_epochs) :]}", file=sys.stderr)
    total = options.trials * options.epochs
    print(f"{total} epochs in each search\n{versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
