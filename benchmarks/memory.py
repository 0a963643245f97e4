"""The memory that trials leave, and what `isolate` gives back: `benchmarks.memory --help`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kt_plus
from benchmarks.reporting import positive, print_table, versions

MIB = 2**10  # of the kilobytes that Linux counts in


def resident() -> int:
    """The memory of this process that is not swapped out, in MiB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / MIB)


def maker(directory: Path, trials: int) -> Callable[[], Any]:
    """Makes a search for a small network, whose trials note the memory of their process."""

    def make_tuner() -> Any:
        import keras
        import numpy as np

        def build(hp: Any) -> Any:
            layers = [keras.layers.Dense(hp.Int("units", 8, 512), "relu") for _ in range(4)]
            model = keras.Sequential([keras.Input((16,)), *layers, keras.layers.Dense(1)])
            rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
            model.compile(keras.optimizers.Adam(rate), "mse")
            return model

        class Noting(kt_plus.RandomSearch):
            def on_trial_end(self, trial: Any) -> None:
                super().on_trial_end(trial)
                with open(directory / "memory", "a") as file:
                    file.write(json.dumps(resident()) + "\n")

        place = {"directory": str(directory), "project_name": "search"}
        tuner = Noting(build, "val_loss", max_trials=trials, seed=1, **place)
        x = np.random.default_rng(0).normal(size=(256, 16)).astype("float32")
        return tuner, {"x": x, "y": x[:, :1], "validation_split": 0.25, "verbose": 0}

    return make_tuner


def in_one_process(make_tuner: Callable[[], Any]) -> None:
    """The search as Keras Tuner runs it."""
    tuner, fit = make_tuner()
    tuner.search(**fit)


def in_a_worker(make_tuner: Callable[[], Any]) -> None:
    """With one worker, which runs all trials."""
    kt_plus.distribute.search(make_tuner, workers=1)


def isolated(make_tuner: Callable[[], Any]) -> None:
    """With one process after another, each for a trial."""
    kt_plus.distribute.search(make_tuner, workers=1, isolate=True)


WAYS = {"isolate=True": isolated, "one worker": in_a_worker, "one process": in_one_process}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the search in each way, and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--trials", nargs="+", type=positive, default=[1, 20, 40, 60])
    options = parser.parse_args(arguments)
    marks = sorted(set(options.trials))
    names = [f"after trial {mark}" for mark in marks]
    lines = [["the search", *names, "a trial", "the caller, before", "after"]]
    for name, search in WAYS.items():  # that in this process last: it imports TensorFlow
        with tempfile.TemporaryDirectory() as folder:
            before = resident()
            search(maker(Path(folder), marks[-1]))
            after = resident()
            found = [*map(json.loads, (Path(folder) / "memory").read_text().splitlines())]
        grown = (found[marks[-1] - 1] - found[marks[0] - 1]) / max(marks[-1] - marks[0], 1)
        cells = [str(found[mark - 1]) for mark in marks]
        lines.append([name, *cells, f"{grown:.1f}", str(before), str(after)])
        print(lines[-1], file=sys.stderr)
    print(f"{versions()}; resident memory in MiB of the process that trains\n")
    print_table(lines)


if __name__ == "__main__":
    main()
