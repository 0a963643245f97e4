"""Processes that search in one project: some at the same moment, some after one was killed.

They are forked when TensorFlow is imported, and before it is used. The outcome of each project is
printed as one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.kill import Event, Process, Tell, fork
from kt_plus.engine import ownership
from tests.distribute.searches import Sums, space

TRIALS = 10
GRACE = 0.5
"""Less than a search takes, so that the second process does not wait for its end."""

EPOCH_SECONDS = 0.03


def search(directory: Path, tell: Tell, **options: Any) -> None:
    """Searches, and tells which trials it runs and completes."""

    class Reporting(Sums):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            tell({"event": "run", "trial": trial.trial_id, "at": time.monotonic()})
            return super().run_trial(trial, *args, **kwargs)

        def on_trial_end(self, trial: Any) -> None:
            self.oracle.end_trial(trial)
            score = self.oracle.trials[trial.trial_id].score
            tell({"event": "completed", "trial": trial.trial_id, "score": score})
            self.save()

    Reporting.sabotage = lambda self, trial, epoch: time.sleep(EPOCH_SECONDS)
    tuner = Reporting(
        hyperparameters=space(),
        directory=directory,
        project_name="p",
        max_trials=TRIALS,
        seed=2,
        **options,
    )
    tell({"event": "created"})
    tuner.search(verbose=0)
    tell({"event": "end"})


def start(directory: Path, with_child: bool = False, **options: Any) -> Process:
    """Starts a search in another process, which may have a child that outlives it."""

    def work(tell: Tell) -> None:
        try:
            search(directory, tell, **options)
        except ownership.ProjectInUseError as error:
            tell({"event": "refused", "text": str(error)})

    def work_with_child(tell: Tell) -> None:
        begin = ownership.Ownership.acquire

        def acquire(self: Any, *args: Any) -> None:
            begin(self, *args)
            if not os.fork():
                while not (directory / "end").exists():
                    time.sleep(0.05)
                os._exit(0)
            ownership.Ownership.acquire = begin  # type: ignore[method-assign]

        ownership.Ownership.acquire = acquire  # type: ignore[method-assign]
        work(tell)

    return fork(work_with_child if with_child else work)


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


def saved(directory: Path) -> dict[str, Any]:
    """The score of each completed trial in the project."""
    trials = [json.loads(path.read_text()) for path in directory.glob("p/trial_*/trial.json")]
    return {t["trial_id"]: t["score"] for t in trials if t["status"] == "COMPLETED"}


def lost(directory: Path, completed: list[Event]) -> list[str]:
    """The trials that were reported as completed, and that the project does not hold so."""
    found = saved(directory)
    return [e["trial"] for e in completed if found.get(e["trial"]) != e["score"]]


def collide(directory: Path, turn: int) -> Event:
    """Two processes: at the same moment, or the second later, and with `overwrite=True`."""
    directory.mkdir()
    first = start(directory)
    early: list[Event] = []
    if turn % 2:
        until = random.Random(turn).randrange(1, 6)
        for event in first.events():
            early.append(event)
            if len(of(early, "completed")) == until:
                break
    second = start(directory, overwrite=bool(turn % 2))
    everything = [*early, *first.finish(), *second.finish()]
    return {
        "refused": len(of(everything, "refused")),
        "ended": len(of(everything, "end")),
        "lost": lost(directory, of(everything, "completed")),
        "trials": len(saved(directory)),
    }


def kill(directory: Path, turn: int) -> Event:
    """One is killed at a random moment, and the next starts at once."""
    directory.mkdir()
    owner = start(directory, with_child=bool(turn % 2))
    time.sleep(random.Random(turn).uniform(0.0, 0.15 + 4 * TRIALS * EPOCH_SECONDS))
    os.kill(owner.pid, signal.SIGKILL)
    began = time.monotonic()
    following = start(directory)
    after = following.finish()
    (directory / "end").touch()
    before = owner.finish()
    completed = of(before, "completed")
    runs = [e["trial"] for e in of(after, "run")]
    return {
        "ended": bool(of(after, "end")),
        "lost": lost(directory, [*completed, *of(after, "completed")]),
        "repeated": [e["trial"] for e in completed if e["trial"] in runs],
        "trials": len(saved(directory)),
        "completed": len(completed),
        "seconds": (of(after, "run")[0]["at"] - began) if runs else 0.0,
        "events": [] if of(after, "end") else after,
    }


def main(place: Path, times: int) -> dict[str, list[Event]]:
    """Runs both experiments `times` times."""
    ownership.GRACE = GRACE
    collisions = [collide(place / f"collision-{turn}", turn) for turn in range(times)]
    ownership.GRACE = 3.0
    return {
        "collisions": collisions,
        "kills": [kill(place / f"kill-{turn}", turn) for turn in range(times)],
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
