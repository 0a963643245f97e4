"""Compares Keras Tuner's random search with kt_plus's evolution, in the same number of epochs.

Both search one small convolutional network for scikit-learn's handwritten digits, once for each
seed. Stop the program with Ctrl-C and start it again: it resumes. Finished searches are shown
again at once; `--fresh` repeats them, `--seeds` takes other seeds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from digits_report import Outcome, draw, table, wins

KERAS_TUNER = "keras_tuner.RandomSearch"
KT_PLUS = "kt_plus.EvolutionarySearch"
REINFORCEMENT_LEARNING = "kt_plus.ReinforcementLearning"

CHANGES = """\
The change in a program of your own:

  - import keras_tuner
  + import kt_plus

  - tuner = keras_tuner.RandomSearch(
  + tuner = kt_plus.EvolutionarySearch(
        build_model,
        objective="val_accuracy",
  -     max_trials=10,
  +     max_trials=20,
  +     max_epochs_total=100,
  +     stopping="auto",
    )

The import and the one word are enough. The other lines spend the epochs of 10 complete trials
on up to 20 trials, because hopeless trials stop early."""


def main() -> int:
    arguments = parse_arguments()
    folder = arguments.output / ("small" if arguments.small else "digits")
    if arguments.fresh:
        for seed in arguments.seeds:
            shutil.rmtree(folder / f"seed_{seed}", ignore_errors=True)
    third = [REINFORCEMENT_LEARNING] if arguments.reinforcement_learning else []
    names = [KERAS_TUNER, KT_PLUS, *third]
    try:
        outcomes = race(folder, names, arguments.small, arguments.seeds)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second press would only garble the end
        print("\nInterrupted. The same command resumes from here.", flush=True)
        return 130
    picture = draw(outcomes, folder / "searches.png")
    print(f"\n{table(outcomes)}\n\n{wins(outcomes, KT_PLUS, KERAS_TUNER)}\n")
    print(f"Learning curves, and best so far: {picture}\n\n{CHANGES}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="the seeds; each runs all searches"
    )
    parser.add_argument("--fresh", action="store_true", help="delete earlier results of the seeds")
    parser.add_argument("--small", action="store_true", help="a few short trials only")
    parser.add_argument(
        "--reinforcement-learning", action="store_true", help=f"also {REINFORCEMENT_LEARNING}"
    )
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="where to work")
    return parser.parse_args()


def race(folder: Path, names: list[str], small: bool, seeds: list[int]) -> list[Outcome]:
    """Returns the outcome of each search for each seed; runs those that have not finished."""
    files = {
        (seed, name): folder / f"seed_{seed}" / name / "outcome.json"
        for seed in seeds
        for name in names
    }
    if all(file.exists() for file in files.values()):
        print(f"These searches have finished before; --fresh repeats them. Files: {folder}.")
        return [Outcome.read(file) for file in files.values()]
    print("Loading TensorFlow and Keras ...", flush=True)
    with quiet():
        import digits_search
    for (seed, name), file in files.items():
        print(f"\nSeed {seed}: {name}", flush=True)
        if not file.exists():
            settings = digits_search.settings(small, seed)
            digits_search.search(name, folder / f"seed_{seed}", settings).write(file)
        print(f"finished: {Outcome.read(file)}", flush=True)
    return [Outcome.read(file) for file in files.values()]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides messages that TensorFlow prints before it reads its log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


if __name__ == "__main__":
    sys.exit(main())
