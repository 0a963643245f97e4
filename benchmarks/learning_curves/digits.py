"""Real training with and without the default stopping: `python -m ... --help`.

Random search of small networks for scikit-learn's digits. Each search runs in a process of
its own and keeps its project: killed, the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.reporting import positive, print_table, versions

KINDS = ["relu", "tanh", "sigmoid"]
_ROOT = Path(__file__).resolve().parents[2]
WITH, WITHOUT = "auto", "none"


@dataclass(frozen=True)
class Result:
    """What a search came to.

    Args:
        epochs: Trained in all.
        accuracy: The best validation accuracy.
        stopped: How many trials the rule has ended.
        seconds: How long it took; of the last process only, if it was killed.
    """

    epochs: int
    accuracy: float
    stopped: int
    seconds: float


def build(hp: Any) -> Any:
    """A small multilayer perceptron."""
    import keras

    layers: list[Any] = [keras.Input((64,))]
    for _ in range(hp.Int("layers", 1, 2)):
        units, activation = hp.Int("units", 8, 128, sampling="log"), hp.Choice("activation", KINDS)
        layers.append(keras.layers.Dense(units, activation))
        layers.append(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.6)))
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    rule = hp.Choice("optimizer", ["sgd", "adam", "rmsprop"])
    optimizer = keras.optimizers.get({"class_name": rule, "config": {"learning_rate": rate}})
    # So small a network trains for less time than its compilation by XLA would take.
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    return model


def data() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Training and validation images, a fixed half each."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order].astype("float32") / 16, labels[order]
    half = len(images) // 2
    return (images[:half], labels[:half]), (images[half:], labels[half:])


def search(folder: Path, stopping: str, seed: int, trials: int, epochs: int) -> Result:
    """Runs one search, or goes on with it."""
    import keras

    import kt_plus

    keras.utils.set_random_seed(seed)
    tuner = kt_plus.RandomSearch(
        build,
        objective="val_accuracy",
        max_trials=trials,
        seed=seed,
        stopping="auto" if stopping == WITH else None,
        directory=folder,
        project_name="search",
    )
    train, valid = data()
    begun = time.perf_counter()
    sizes = {"batch_size": 128, "validation_batch_size": 1_024}
    tuner.search(*train, epochs=epochs, validation_data=valid, verbose=0, **sizes)
    took = time.perf_counter() - begun
    found = list(tuner.oracle.history)
    return Result(
        epochs=sum(len(record.curve) for record in found),
        accuracy=max(record.fitness for record in found),
        stopped=sum(r.verdict is not None and r.verdict.stop for r in found),
        seconds=took,
    )


def in_a_process(stopping: str, seed: int, options: argparse.Namespace) -> Result:
    """The result of a search: read if it is there, else run, or gone on with."""
    folder = options.output.resolve() / f"{options.trials}x{options.epochs}" / f"{stopping}_{seed}"
    file = folder / "result.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        sizes = [str(n) for n in (seed, options.trials, options.epochs)]
        command = [sys.executable, "-m", __spec__.name, "--one", stopping, str(folder), *sizes]
        subprocess.run(command, check=True, cwd=_ROOT)
    return Result(**json.loads(file.read_text()))


def _one(stopping: str, folder: str, *sizes: str) -> None:
    """What the process does: runs the search, then writes its result in one go."""
    seed, trials, epochs = map(int, sizes)
    result = search(Path(folder), stopping, seed, trials, epochs)
    unfinished = Path(folder, "result.json.part")
    unfinished.write_text(json.dumps(asdict(result)))
    unfinished.replace(Path(folder, "result.json"))


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    for seed in range(options.seeds):
        without, with_ = (in_a_process(s, seed, options) for s in (WITHOUT, WITH))
        yield [
            str(seed),
            f"{without.epochs:,}",
            f"{with_.epochs:,}",
            f"{with_.epochs / without.epochs:.3f}",
            f"{without.accuracy:.4f}",
            f"{with_.accuracy:.4f}",
            f"{with_.stopped} of {options.trials}",
            f"{without.seconds:.0f}",
            f"{with_.seconds:.0f}",
        ]


HEAD = [
    "seed",
    "epochs without",
    "epochs with",
    "ratio",
    "best accuracy without",
    "best accuracy with",
    "stopped",
    "s without",
    "s with",
]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_curves.digits", description=__doc__
    )
    parser.add_argument("--trials", type=positive, default=60)
    parser.add_argument("--epochs", type=positive, default=30)
    parser.add_argument("--seeds", type=positive, default=3)
    parser.add_argument("--output", type=Path, default=Path("demo_output/digits_stopping"))
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing and prints one table."""
    options = _options(arguments)
    if options.one:
        _one(*options.one)
        return
    lines = list(rows(options))
    print(f"{options.trials} trials x {options.epochs} epochs on digits; {versions()}\n")
    print_table([HEAD, *lines])


if __name__ == "__main__":
    main()
