"""Searches that take seconds, and in which processes die at chosen moments."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt

import kt_plus

Sabotage = Callable[["Sums", Any, int], None]


class Sums(kt_plus.RandomSearch):
    """Trains nothing: each trial reports three epochs, of which the last is the score."""

    sabotage: Sabotage | None = None

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
        x = trial.hyperparameters.values["x"]
        for epoch in range(3):
            if self.sabotage is not None:
                self.sabotage(trial, epoch)
            value = {"curve:default_objective": x + epoch}
            self.oracle.update_trial(trial.trial_id, value, step=epoch)
            time.sleep(0.02)
        return x + 2


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Int("x", 0, 9)
    return hp


def sums(
    directory: Path | str, sabotage: Sabotage | None = None, verbose: int = 0, **options: Any
) -> Callable[[], Any]:
    """A `make_tuner` for a search of ten trials, all different."""

    def make_tuner() -> Any:
        class Sabotaged(Sums):
            pass

        Sabotaged.sabotage = sabotage
        settings = {"max_trials": 10, "seed": 2, **options}
        hp = space()
        return Sabotaged(hyperparameters=hp, directory=directory, project_name="p", **settings), {
            "verbose": verbose
        }

    return make_tuner


def once(directory: Path, trial_id: str, epoch: int, action: Callable[[Path], None]) -> Sabotage:
    """Does something at one moment of one trial, the first time only."""

    def sabotage(tuner: Any, trial: Any, now: int) -> None:
        mark = directory / f"done-{trial_id}-{epoch}"
        if (trial.trial_id, now) == (trial_id, epoch) and not mark.exists():
            mark.touch()
            action(directory)

    return sabotage


def kill_self(directory: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_actor(directory: Path) -> None:
    """Kills the Ray actor that has started this process."""
    pid = os.getpid()
    while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::"):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
    time.sleep(60)  # this process ends with it


def kill_chief(directory: Path) -> None:
    os.kill(processes(directory)["chief"][-1], signal.SIGKILL)


def hang(directory: Path) -> None:
    time.sleep(600)


def processes(directory: Path) -> dict[str, list[int]]:
    """The ids of the processes that have played the chief and each worker, by their logs."""
    started = {}
    for log in directory.glob("*/logs/*.log"):
        ids = re.findall(r"^--- .*, process (\d+),", log.read_text(), flags=re.M)
        started[log.stem] = [*map(int, ids)]
    return started


def running(directory: Path) -> list[int]:
    """Those of them that still run."""
    alive = []
    for pid in (pid for ids in processes(directory).values() for pid in ids):
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and ") Z " not in state.read_text():
            alive.append(pid)
    return alive


def check_complete(tuner: Any, directory: Path, trials: int = 10) -> None:
    """Raises unless every trial is there once and has its score, and no process is left."""
    ids = [str(number).zfill(len(str(trials))) for number in range(trials)]
    assert [*tuner.oracle.trials] == tuner.oracle.start_order == ids
    assert sorted(tuner.oracle.end_order) == ids
    values = [trial.hyperparameters.values["x"] for trial in tuner.oracle.trials.values()]
    assert sorted(values) == [*range(trials)]
    for trial_id, x in zip(ids, values, strict=True):
        trial, note = tuner.oracle.trials[trial_id], tuner.oracle.notes[trial_id]
        assert (trial.status, trial.score, note.attempts) == ("COMPLETED", x + 2, 1)
        assert [curve.values for curve in note.curves] == [[x, x + 1, x + 2]]
    assert not running(directory)
