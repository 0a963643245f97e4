"""The same epochs for Keras Tuner's random search and for kt_plus's evolution, on real images.

Both search one small convolutional network for scikit-learn's handwritten digits. Stop it
with Ctrl-C and start it again: it goes on where it was. A finished race is shown again at
once; `--fresh` runs it anew, `--seed` runs another one.
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

from digits_report import Outcome, draw, table

KERAS_TUNER = "keras_tuner.RandomSearch"
KT_PLUS = "kt_plus.EvolutionarySearch"
REINFORCEMENT_LEARNING = "kt_plus.ReinforcementLearning"

CHANGES = """\
What it takes in a program of your own:

  - import keras_tuner
  + import kt_plus

  - tuner = keras_tuner.RandomSearch(
  + tuner = kt_plus.EvolutionarySearch(
        build_model,
        objective="val_accuracy",
  -     max_trials=20,
  +     max_trials=40,
  +     max_epochs_total=200,
  +     stopping=kt_plus.stopping.MedianRule(min_trials=3, min_epochs=2),
    )

The import and the one word are enough. The other lines spend the epochs of 20 whole trials
on as many as 40, of which the hopeless ones stop early."""


def main() -> int:
    arguments = parse_arguments()
    name = f"{'small_' if arguments.small else ''}seed_{arguments.seed}"
    folder = arguments.output / name
    if arguments.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        third = [REINFORCEMENT_LEARNING] if arguments.reinforcement_learning else []
        names = [KERAS_TUNER, KT_PLUS, *third]
        outcomes = race(folder, names, arguments.small, arguments.seed)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second press would only garble the end
        print("\nInterrupted. The same command goes on from here.", flush=True)
        return 130
    picture = draw(outcomes, folder / "searches.png")
    print(f"\n{table(outcomes)}\n\nLearning curves, and best so far: {picture}\n\n{CHANGES}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="another seed, another race")
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")
    parser.add_argument("--small", action="store_true", help="a few short trials only")
    parser.add_argument(
        "--reinforcement-learning", action="store_true", help=f"also {REINFORCEMENT_LEARNING}"
    )
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="where to work")
    return parser.parse_args()


def race(folder: Path, names: list[str], small: bool, seed: int) -> list[Outcome]:
    """The outcomes of the searches: read if they are there, else searched for."""
    files = {name: folder / name / "outcome.json" for name in names}
    if all(file.exists() for file in files.values()):
        print(f"This race was run before; --fresh runs it anew. Its files are in {folder}.")
        return [Outcome.read(file) for file in files.values()]
    print("Loading TensorFlow and Keras ...", flush=True)
    with quiet():
        import digits_search
    settings = digits_search.settings(small, seed)
    print(f"Each search may train {settings.trials * settings.epochs} epochs.", flush=True)
    for name, file in files.items():
        print(f"\n{name}", flush=True)
        if not file.exists():
            digits_search.search(name, folder, settings).write(file)
        print(f"finished: {Outcome.read(file)}", flush=True)
    return [Outcome.read(file) for file in files.values()]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what TensorFlow tells while it loads, before it has read how much it should tell."""
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
