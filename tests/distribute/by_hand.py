"""Chief and workers as Keras Tuner's environment variables make them: the chief is killed.

The processes are forked when TensorFlow is imported, and before it is used. What they told is
printed as one line of JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt

import kt_plus
from benchmarks.kill import Event, Process, Tell, fork
from tests.distribute.searches import Sabotage, hang, once, space, sums

Make = Callable[[], Any]

NAMES = ("chief", "worker0", "worker1")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start(
    name: str, port: int, directory: Path, sabotage: Sabotage | None, make: Make | None = None
) -> Process:
    def work(tell: Tell) -> None:
        os.environ["KERASTUNER_TUNER_ID"] = name
        os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
        os.environ["KERASTUNER_ORACLE_PORT"] = str(port)
        make_tuner = make or sums(directory, sabotage, overwrite=name != "chief")
        tuner, fit_kwargs = make_tuner()
        began = time.monotonic()
        (directory / f"ready-{name}").touch()
        try:
            tuner.search(**fit_kwargs)
            tell({"event": "end"})
        except BaseException as error:
            seconds = time.monotonic() - began
            tell({"event": type(error).__name__, "text": str(error), "seconds": seconds})

    return fork(work)


def fails(tuner: Any, trial: Any, epoch: int) -> None:
    raise ArithmeticError("the model diverged")


def killed(directory: Path) -> dict[str, Any]:
    """The chief is killed while both workers train for ever."""
    port = free_port()
    moments = [once(directory, trial_id, 1, hang) for trial_id in ("05", "06")]

    def sabotage(tuner: Any, trial: Any, epoch: int) -> None:
        for moment in moments:
            moment(tuner, trial, epoch)

    processes = {name: start(name, port, directory, sabotage) for name in NAMES}
    while len([*directory.glob("done-*")]) < 2:
        time.sleep(0.05)
    time.sleep(4)  # they have looked for the chief by then
    processes["chief"].kill()
    began = time.monotonic()
    told = {name: processes[name].finish() for name in NAMES[1:]}
    return {**told, "seconds": time.monotonic() - began}


def whole(directory: Path, sabotage: Sabotage | None = None) -> dict[str, list[Event]]:
    """The workers wait for the chief, so that none comes when all is done."""
    directory.mkdir(exist_ok=True)
    for mark in directory.glob("ready-*"):
        mark.unlink()
    port = free_port()
    processes = {name: start(name, port, directory, sabotage) for name in NAMES[1:]}
    while len([*directory.glob("ready-*")]) < 2:
        time.sleep(0.05)
    processes = {NAMES[0]: start(NAMES[0], port, directory, sabotage), **processes}
    return {name: process.finish() for name, process in processes.items()}


def with_an_oracle_of_keras_tuners(directory: Path) -> dict[str, list[Event]]:
    """Its chief, who takes 20 seconds to end, is Keras Tuner's own."""

    class Plain(kt_plus.Tuner):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.values["x"])

    def make() -> Any:
        objective = kt.Objective("default_objective", "min")
        oracle = kt.oracles.RandomSearchOracle(objective, 5, hyperparameters=space())
        return Plain(oracle, directory=directory, project_name="p"), {"verbose": 0}

    directory.mkdir()
    port = free_port()
    processes = {name: start(name, port, directory, None, make) for name in NAMES}
    told = {name: processes[name].finish() for name in NAMES[1:]}
    processes["chief"].kill()
    return told


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "killed").mkdir()
    told = {"killed": killed(place / "killed"), "resumed": whole(place / "killed")}
    plain = with_an_oracle_of_keras_tuners(place / "plain")
    print(json.dumps({**told, "failed": whole(place / "failed", fails), "plain": plain}))
