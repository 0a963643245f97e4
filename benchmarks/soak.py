"""Parallel searches whose processes are killed at random: `python -m benchmarks.soak --help`."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_tuner

import kt_plus
from benchmarks.kill import Process, fork
from benchmarks.reporting import positive, print_table, versions
from kt_plus.distribute.template import shared

EPOCHS = 4
EPOCH_SECONDS = 0.15
CRASHES = 10  # a process that is killed at random says little about its trial
OBJECTIVE = keras_tuner.Objective("val_loss", "min")


def space() -> keras_tuner.HyperParameters:
    """Two hyperparameters."""
    hp = keras_tuner.HyperParameters()
    hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 1, 64)
    return hp


def loss(values: dict[str, Any], epoch: int) -> float:
    """The loss after an epoch."""
    return abs(values["learning_rate"] - 0.01) + abs(values["units"] - 20) / 64 + 1 / (epoch + 1)


def without_training(tuner: Any, trial: Any) -> float:
    """A trial that takes as long as its epochs, reported one by one, and trains nothing."""
    values = trial.hyperparameters.values
    for epoch in range(EPOCHS):
        time.sleep(EPOCH_SECONDS)
        if isinstance(tuner, kt_plus.Tuner):
            metric = {f"curve:{OBJECTIVE.name}": loss(values, epoch)}
            tuner.oracle.update_trial(trial.trial_id, metric, step=epoch)
    return {OBJECTIVE.name: loss(values, EPOCHS - 1)}


def maker(base: type, directory: Path, trials: int, seed: int) -> Callable[[], Any]:
    """Makes a random search whose trials train nothing."""

    def make_tuner() -> Any:
        class Search(base):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
                return without_training(self, trial)

        tuner = Search(
            objective=OBJECTIVE,
            max_trials=trials,
            seed=seed,
            hyperparameters=space(),
            directory=str(directory),
            project_name="project",
        )
        return tuner, {"verbose": 0}

    return make_tuner


def keras_maker(directory: Path, trials: int, seed: int) -> Callable[[], Any]:
    """Makes a random search that trains a small network with Keras, with checkpoints."""

    def make_tuner() -> Any:
        import keras
        import numpy as np
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)  # tracing takes longer than these trainings
        rng = np.random.default_rng(0)
        x = rng.normal(size=(64, 4)).astype("float32")
        y = (x[:, 0] * x[:, 1] > 0).astype("int32")

        class Slow(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                time.sleep(EPOCH_SECONDS)

        def build(hp: Any) -> Any:
            layers = [keras.layers.Dense(hp.Int("units", 1, 64), "relu"), keras.layers.Dense(2)]
            model = keras.Sequential([keras.Input((4,)), *layers])
            rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
            cost = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(rate), cost)
            return model

        tuner = kt_plus.RandomSearch(
            build,
            OBJECTIVE,
            max_trials=trials,
            seed=seed,
            checkpoint_interval=0,
            directory=str(directory),
            project_name="project",
        )
        fit = {"x": x, "y": y, "epochs": EPOCHS, "validation_split": 0.25}
        return tuner, {**fit, "verbose": 0, "callbacks": [Slow()]}

    return make_tuner


@dataclass
class Outcome:
    """How one search went.

    Args:
        end: `"whole"`, or what is wrong.
        best: Its best score.
        seconds: How long it took.
        kills: How many of its processes were killed.
    """

    end: str
    best: float | None
    seconds: float
    kills: Counter[str]


def judge(directory: Path, trials: int) -> tuple[str, float | None]:
    """What the files of a finished project say: `"whole"`, or what is wrong; the best score."""
    files = sorted(directory.glob("project/trial_*/trial.json"))
    try:
        states = [json.loads(file.read_text()) for file in files]
    except ValueError:
        return "a file is damaged", None
    if len(states) != trials:
        return f"{len(states)} trials", None
    if {state["status"] for state in states} != {"COMPLETED"}:
        return "a trial has not completed", None
    if len({json.dumps(state["hyperparameters"]["values"]) for state in states}) < trials:
        return "a configuration came twice", None
    for state in states:
        curves = state.get("kt_plus", {}).get("curves", [])
        if any(len(curve["values"]) != EPOCHS for curve in curves):
            return "a curve has a gap", None
    return "whole", min(state["score"] for state in states)


@contextmanager
def killing(
    victims: Callable[[], dict[str, int]],
    every: float,
    seed: int,
    progress: Callable[[], int] | None = None,
) -> Iterator[Counter[str]]:
    """Kills one of the processes, chosen at random, every few seconds.

    Args:
        victims: The processes that there are.
        every: The mean of the seconds; 0 kills nothing.
        seed: Draws the processes and the seconds.
        progress: How far the search is: none is killed before that has grown since the last.
    """
    rng, ended, kills = random.Random(seed), threading.Event(), Counter[str]()

    def kill() -> None:
        done = -1
        while not ended.wait(rng.uniform(0.5, 1.5) * every):
            if progress is not None:
                while progress() <= done and not ended.wait(0.1):
                    pass
                done = progress()
            alive = victims()
            if alive:
                name = rng.choice(sorted(alive))
                try:
                    os.kill(alive[name], signal.SIGKILL)
                except ProcessLookupError:
                    continue
                kills["chief" if name == "chief" else "workers"] += 1

    thread = threading.Thread(target=kill)
    if every:
        thread.start()
    try:
        yield kills
    finally:
        ended.set()
        if every:
            thread.join()


def running(directory: Path) -> dict[str, int]:
    """The search's processes that run now, by their logs."""
    alive = {}
    for log in directory.glob("project/logs/*.log"):
        ids = re.findall(r"^--- .*, process (\d+),", log.read_text(errors="replace"), flags=re.M)
        if ids and Path(f"/proc/{ids[-1]}").exists():
            alive[log.stem] = int(ids[-1])
    return alive


def epochs(directory: Path) -> int:
    """How many epochs the trials of a project have reported."""
    states = [json.loads(file.read_text()) for file in directory.glob("project/trial_*/trial.json")]
    return sum(len(c["values"]) for state in states for c in state["kt_plus"]["curves"])


def soak(
    make_tuner: Callable[[], Any], directory: Path, options: argparse.Namespace, seed: int
) -> Outcome:
    """One search of ours, under fire if `options.every` is not 0."""
    begun = time.monotonic()
    end = None
    progress = (lambda: epochs(directory)) if options.after_progress else None
    with killing(lambda: running(directory), options.every, seed, progress) as kills:
        try:
            kt_plus.distribute.search(
                make_tuner, options.workers, max_restarts=20, max_crashes_per_trial=CRASHES
            )
        except Exception as error:
            end = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.monotonic() - begun
    found, best = judge(directory, options.trials)
    return Outcome(end or found, best, seconds, kills)


def soak_keras_tuner(directory: Path, options: argparse.Namespace, seed: int) -> Outcome:
    """One search of plain Keras Tuner's, whose processes are started again when they die."""
    begun = time.monotonic()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = ["chief", *(f"worker{i}" for i in range(options.workers))]

    def start(name: str) -> Process:
        def work(tell: Any) -> None:
            os.environ["KERASTUNER_TUNER_ID"] = name
            os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
            os.environ["KERASTUNER_ORACLE_PORT"] = str(port)
            tuner, fit = maker(keras_tuner.RandomSearch, directory, options.trials, 1)()
            tuner.search(**fit)
            tell({"event": "end"})

        return fork(work)

    processes, ended, kills = {name: start(name) for name in names}, set(), Counter[str]()
    rng, due = random.Random(seed), time.monotonic() + options.every
    limit = begun + options.limit
    # The chief takes up to 20 seconds to notice the end: the workers' ends count.
    while len(ended - {"chief"}) < options.workers and time.monotonic() < limit:
        time.sleep(0.05)
        if options.every and time.monotonic() > due:
            due = time.monotonic() + rng.uniform(0.5, 1.5) * options.every
            name = rng.choice([n for n in names if n not in ended])
            os.kill(processes[name].pid, signal.SIGKILL)
            kills["chief" if name == "chief" else "workers"] += 1
        for name, process in processes.items():
            if name not in ended and os.waitpid(process.pid, os.WNOHANG)[0]:
                told = [event["event"] for event in process.events()]
                process.told.close()
                if told == ["end"]:
                    ended.add(name)
                else:
                    processes[name] = start(name)
    in_time = len(ended - {"chief"}) == options.workers
    seconds = time.monotonic() - begun
    for name in set(names) - ended:
        processes[name].kill()
    end, best = judge(directory, options.trials)
    return Outcome(end if in_time else f"did not end in {options.limit} s", best, seconds, kills)


def rows(label: str, calm: Outcome, outcomes: Sequence[Outcome]) -> list[str]:
    """The cells of one line."""
    whole = [o for o in outcomes if o.end == "whole"]
    kills = sum((o.kills for o in outcomes), Counter())
    mean = sum(o.seconds for o in whole) / len(whole) if whole else float("nan")
    equal = sum(o.best == calm.best for o in whole)
    return [
        label,
        f"{len(outcomes)}",
        f"{kills['chief']} + {kills['workers']}",
        f"{len(whole)}",
        f"{equal}",
        f"{calm.seconds:.0f}",
        f"{mean:.0f}",
    ]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--repetitions", type=positive, default=20, help="searches under fire")
    parser.add_argument("--trials", type=positive, default=60)
    parser.add_argument("--workers", type=positive, default=3)
    parser.add_argument("--every", type=float, default=3.0, help="mean seconds between kills")
    parser.add_argument(
        "--after-progress",
        action="store_true",
        help="kill only after an epoch since the last: on a busy machine all die as they start",
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that Keras Tuner has")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=["kt", "kt_plus", "keras"],
        default=["kt", "kt_plus"],
        help="Keras Tuner; kt_plus; kt_plus with networks that Keras really trains",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints one table."""
    options = _options(arguments)
    times = ["undisturbed (s)", "under fire (s)"]
    lines = [["searches", "number", "killed: chief + workers", "whole", "same best score", *times]]
    wrong: list[str] = []
    # First, since it forks this process, which must not have threads by then.
    for name in sorted(options.methods, key=["kt", "kt_plus", "keras"].index):
        outcomes = []
        with tempfile.TemporaryDirectory() as folder, shared():
            if name != "kt":  # so that the first search is not the one that imports TensorFlow
                kt_plus.distribute.search(_ours(Path(folder, "first"), 1, 1), workers=1)
            for repetition in range(-1, options.repetitions):
                place = Path(folder, str(repetition))
                now = argparse.Namespace(**vars(options))
                now.every = options.every if repetition >= 0 else 0.0
                if name == "kt":
                    outcome = soak_keras_tuner(place, now, repetition + 1)
                else:
                    make = keras_maker if name == "keras" else _ours
                    make_tuner = make(place, options.trials, 1)
                    outcome = soak(make_tuner, place, now, repetition + 1)
                outcomes.append(outcome)
                print(name, repetition, outcome, flush=True)
        calm, *outcomes = outcomes
        lines.append(rows(name, calm, outcomes))
        wrong += [f"{name}: {outcome.end}" for outcome in outcomes if outcome.end != "whole"]
    print(f"\n{versions()}, {options.trials} trials of {EPOCHS * EPOCH_SECONDS:g} s\n")
    print_table(lines)
    print("\n".join(f"{count} x {what}" for what, count in Counter(wrong).most_common()))


def _ours(directory: Path, trials: int, seed: int) -> Callable[[], Any]:
    return maker(kt_plus.RandomSearch, directory, trials, seed)


if __name__ == "__main__":
    main()
