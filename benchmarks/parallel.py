"""The same search with one worker and with several: `python -m benchmarks.parallel --help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kt_plus
from benchmarks.reporting import positive, print_table, versions
from kt_plus.distribute.template import shared

COUNTING = "n = 0\nwhile n < 2 * 10**7: n += 1"


def maker(directory: Path, trials: int, epochs: int) -> Callable[[], Any]:
    """Makes a random search for a convolutional network for scikit-learn's digits."""

    def make_tuner() -> Any:
        import keras
        from sklearn.datasets import load_digits

        digits = load_digits()
        x, y = digits.images[..., None].astype("float32") / 16, digits.target

        def build(hp: Any) -> Any:
            model = keras.Sequential([keras.Input((8, 8, 1))])
            blocks = hp.Int("blocks", 1, 3)
            for i in range(3):  # all asked for at once: what is proposed must not depend on when
                with hp.conditional_scope("blocks", list(range(i + 1, 4))):
                    filters = hp.Int(f"filters_{i}", 8, 32, step=8)
                if i < blocks:
                    model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
                    model.add(keras.layers.MaxPooling2D())
            model.add(keras.layers.Flatten())
            model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
            model.add(keras.layers.Dense(10, activation="softmax"))
            rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
            loss = "sparse_categorical_crossentropy"
            model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
            return model

        tuner = kt_plus.RandomSearch(
            build,
            "val_accuracy",
            max_trials=trials,
            seed=0,
            directory=str(directory),
            project_name="digits",
        )
        return tuner, {"x": x, "y": y, "epochs": epochs, "validation_split": 0.2, "verbose": 0}

    return make_tuner


def counting(processes: int) -> float:
    """Seconds that so many processes take that count at the same time."""
    begun = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", COUNTING]) for _ in range(processes)]
    for process in running:
        process.wait()
    return time.perf_counter() - begun


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parallel", description=__doc__)
    parser.add_argument("--workers", type=positive, default=2, help="beside one")
    parser.add_argument("--trials", type=positive, default=16)
    parser.add_argument("--epochs", type=positive, default=10)
    parser.add_argument("--repetitions", type=positive, default=3)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one table."""
    options = _options(arguments)
    lines = [["run", "1 worker (s)", f"{options.workers} workers (s)", "ratio", "counting"]]
    with tempfile.TemporaryDirectory() as folder, shared():
        kt_plus.distribute.search(maker(Path(folder, "first"), 1, 1), 1)  # imports TensorFlow
        for repetition in range(options.repetitions):
            seconds, scores = [], []
            for workers in (1, options.workers):
                make_tuner = maker(
                    Path(folder, f"{repetition}-{workers}"), options.trials, options.epochs
                )
                begun = time.perf_counter()
                tuner = kt_plus.distribute.search(make_tuner, workers)
                seconds.append(time.perf_counter() - begun)
                scores.append({i: trial.score for i, trial in tuner.oracle.trials.items()})
            allowed = options.workers * counting(1) / counting(options.workers)
            ratio = f"{seconds[0] / seconds[1]:.2f}"
            times = [f"{s:.0f}" for s in seconds]
            lines.append([str(repetition + 1), *times, ratio, f"{allowed:.2f}"])
            same = "the same" if scores[0] == scores[1] else "other"
            print(f"{lines[-1]}, {same} scores", flush=True)
    print(f"\n{versions()}; {options.trials} trials of {options.epochs} epochs\n")
    print_table(lines)


if __name__ == "__main__":
    main()
