"""What each search space finds for digits: `python -m benchmarks.architectures --help`.

Each space is searched by evolution, which stops hopeless trials and lets children inherit weights,
and by plain random search, which does neither; the networks found are judged on images that no
search has seen, beside a network written by hand that takes about as many multiply-adds as they
may. "xception" is Keras Tuner's own space, `kt.applications.HyperXception`, as it is: its
networks are as large as they come. Each line is printed as it comes.
"""

from __future__ import annotations

import argparse
import inspect
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import keras_tuner
import numpy as np
from sklearn.datasets import load_digits

import kt_plus
from benchmarks.reporting import positive, versions
from kt_plus.search_spaces import BranchingSpace, CellSpace, ChainSpace

DIGITS: tuple[Any, ...] = ((8, 8, 1), 10)
BOUND = {"max_flops": 1_000_000}  # the network by hand takes 0.9 million multiply-adds
CELLS = {"cells": 1, "reductions": 1, **BOUND}
SPACES: dict[str, Callable[[], Any]] = {
    "chain": partial(ChainSpace, *DIGITS, widths=(8, 16, 32), **BOUND),
    "branching": partial(BranchingSpace, *DIGITS, blocks=4, widths=(8, 16, 32), **BOUND),
    "darts": partial(CellSpace, *DIGITS, preset="darts", width=8, **CELLS),
    "nasnet": partial(CellSpace, *DIGITS, preset="nasnet", width=8, **CELLS),
    "nas_bench_201": partial(CellSpace, *DIGITS, preset="nas_bench_201", width=16, **CELLS),
    "xception": partial(
        keras_tuner.applications.HyperXception, input_shape=DIGITS[0], classes=DIGITS[1]
    ),
}
ITS_OWN = {"xception": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}}
"""What a space's models are compiled with instead: Keras Tuner's take one-hot labels."""
SEARCHES = ("evolution", "random")
INHERITS = "inherit_weights" in inspect.signature(kt_plus.EvolutionarySearch.__init__).parameters
COLUMNS = ("space", "search", "seed", "test accuracy", "validation", "parameters", "epochs", "s")


class Data(NamedTuple):
    """Images in three parts: to train on, to choose by, and to judge by."""

    fit: dict[str, Any]
    test: tuple[np.ndarray, np.ndarray]


class Result(NamedTuple):
    """A network, and what it took to find it."""

    model: keras.Model
    validation: float
    epochs: int
    seconds: float


def data(seed: int) -> Data:
    """897 digits to train on, 300 to choose by, 600 to judge by."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng([seed, 4]).permutation(len(labels))
    x, y = (images[order] / 16).reshape(-1, 8, 8, 1).astype("float32"), labels[order]
    train, chosen = slice(897), slice(897, 1197)
    fit = {"x": x[train], "y": y[train], "validation_data": (x[chosen], y[chosen])}
    return Data({**fit, "batch_size": 64, "verbose": 0}, (x[1197:], y[1197:]))


def by_hand() -> keras.Model:
    """What one would write: three convolutions with batch normalization, and pooling."""
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters, pooled in ((32, False), (32, True), (64, False)):
        model.add(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(keras.layers.BatchNormalization(momentum=0.9))
        model.add(keras.layers.Activation("relu"))
        if pooled:
            model.add(keras.layers.MaxPooling2D())
    model.add(keras.layers.GlobalAveragePooling2D())
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train_by_hand(given: Data, epochs: int, seed: int) -> Result:
    """The network by hand, with the weights of its best epoch."""
    keras.utils.set_random_seed(seed)
    model, begun = by_hand(), time.perf_counter()
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=epochs, restore_best_weights=True, mode="max"
    )
    history = model.fit(**given.fit, epochs=epochs, callbacks=[best]).history
    validation = max(history["val_accuracy"])
    return Result(model, validation, epochs, time.perf_counter() - begun)


def search(tuner_class: Any, space: Any, given: Data, epochs: int, **settings: Any) -> Result:
    """The best network of a search, with the weights of its best epoch."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuner = tuner_class(space, "val_accuracy", directory=folder, **settings)
        begun = time.perf_counter()
        tuner.search(**given.fit, epochs=epochs)
        seconds = time.perf_counter() - begun
        history = tuner.oracle.history
        spent = sum(len(record.curve) for record in history)
        model = tuner.get_best_models()[0]
        return Result(model, float(history.best.score), spent, seconds)


def results(options: Any) -> Iterator[tuple[str, str, int, Result]]:
    """Each network in turn."""
    extra = {"inherit_weights": True} if INHERITS else {}
    for seed in options.seeds:
        given = data(seed)
        yield "by hand", "", seed, train_by_hand(given, options.epochs, seed)
        for name in options.space:
            common = {"max_trials": options.trials, "seed": seed, **ITS_OWN.get(name, {})}
            run = partial(search, given=given, epochs=options.epochs, **common)
            if "evolution" in options.search:
                found = run(kt_plus.EvolutionarySearch, SPACES[name](), stopping="auto", **extra)
                yield name, "evolution", seed, found
            if "random" in options.search:
                yield name, "random", seed, run(kt_plus.RandomSearch, SPACES[name]())


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("--space", nargs="+", choices=SPACES, default=[*SPACES])
    parser.add_argument("--trials", type=positive, default=30)
    parser.add_argument("--epochs", type=positive, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--search", nargs="+", choices=SEARCHES, default=[*SEARCHES])
    options = parser.parse_args(arguments)
    inherited = "" if INHERITS else " (this version has no inheritance of weights)"
    print(f"{options.trials} trials of {options.epochs} epochs{inherited}\n{versions()}\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for space, how, seed, result in results(options):
        x, y = data(seed).test
        accuracy = float(np.mean(np.argmax(result.model.predict(x, verbose=0), axis=-1) == y))
        cells = [space, how, str(seed), f"{accuracy:.4f}", f"{result.validation:.4f}"]
        cells += [f"{result.model.count_params():,}", str(result.epochs), f"{result.seconds:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
