"""What `kill -9` does to a search: `python -m benchmarks.kill --help`."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import keras_tuner

import kt_plus
from benchmarks.methods import Method, parse
from benchmarks.reporting import positive, print_table, versions
from benchmarks.searches import OBJECTIVE

METHODS = ("kt.RandomSearch", "kt_plus.EvolutionarySearch")
EPOCHS = 4
EPOCH_SECONDS = 0.002

Event = dict[str, Any]
Tell = Callable[[Event], None]


def space() -> keras_tuner.HyperParameters:
    """A small space with a condition."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("optimizer", ["sgd", "adam"])
    hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 8, 512, sampling="log")
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0.0, 0.9, step=0.1)
    return hp


def curve(values: dict[str, Any]) -> Iterator[float]:
    """The accuracy after each epoch that a training with these values would report."""
    best = 0.9 - abs(values["learning_rate"] - 0.01) - values.get("momentum", 0.5) / values["units"]
    for epoch in range(EPOCHS):
        yield best * (1 - 0.5 ** (epoch + 1))


@dataclass
class Process:
    """A forked process: what it has told so far, and its end.

    Args:
        pid: Its number.
        told: Where its events are read.
    """

    pid: int
    told: IO[str]

    def events(self) -> Iterator[Event]:
        """Its events as they come, until it ends; a line that its death cut off is none."""
        for line in self.told:
            if line.endswith("\n"):
                yield json.loads(line)

    def kill(self) -> list[Event]:
        """Kills it; the events that it had told by then and that nobody had read yet."""
        os.kill(self.pid, signal.SIGKILL)
        return self.finish()

    def finish(self) -> list[Event]:
        """Waits for its end; the events that nobody had read yet."""
        rest = list(self.events())
        self.told.close()
        os.waitpid(self.pid, 0)
        return rest


def fork(work: Callable[[Tell], None]) -> Process:
    """Runs `work` in a copy of this process, which has imported all that takes long.

    Args:
        work: What to do there. It is given a function that tells an event to this process.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Process(pid, os.fdopen(reading, encoding="utf-8"))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    def tell(event: Event) -> None:
        os.write(writing, (json.dumps(event) + "\n").encode())

    try:
        work(tell)
    except BaseException:
        tell({"event": "error", "error": traceback.format_exc()})
    finally:
        os._exit(0)


def search(method: Method, directory: Path, trials: int, tell: Tell) -> None:
    """Runs the search in `directory` to its end, or goes on with it, and tells what happens."""
    make = method.implementation()
    settings = {"max_trials": trials, "seed": 1} | method.settings
    settings = {n: v for n, v in settings.items() if n in inspect.signature(make).parameters}
    oracle = make(objective=OBJECTIVE, hyperparameters=space(), **settings)
    base = kt_plus.Tuner if method.package == "kt_plus" else keras_tuner.Tuner

    class Tuner(base):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            tell({"event": "run", "trial": trial.trial_id})
            model = SimpleNamespace(stop_training=False)
            for epoch, accuracy in enumerate(curve(trial.hyperparameters.values)):
                time.sleep(EPOCH_SECONDS)
                self.on_epoch_end(trial, model, epoch, {OBJECTIVE.name: accuracy})
            return {OBJECTIVE.name: accuracy}

        def on_trial_end(self, trial: Any) -> None:
            self.oracle.end_trial(trial)
            score = self.oracle.trials[trial.trial_id].score
            tell({"event": "completed", "trial": trial.trial_id, "score": score})
            self.save()

    tuner = Tuner(oracle, directory=str(directory), project_name="project")
    tell({"event": "loaded", "waiting": list(oracle._retry_queue), **state(oracle)})
    tuner.search(verbose=0)
    tell({"event": "end", **state(oracle)})


def state(oracle: keras_tuner.Oracle) -> Event:
    """What the oracle knows of each trial."""
    trials = {trial_id: oracle.trials[trial_id] for trial_id in sorted(oracle.trials)}
    return {
        "status": {trial_id: trial.status for trial_id, trial in trials.items()},
        "score": {trial_id: trial.score for trial_id, trial in trials.items()},
        "values": {trial_id: trial.hyperparameters.values for trial_id, trial in trials.items()},
    }


@dataclass(frozen=True)
class Outcome:
    """What a kill has done to a project.

    Args:
        error: Why the project could not be loaded or gone on with; empty if it could.
        lost: The trials told as completed that were not, or not with that score.
        repeated: The trials that ran again although they were completed.
        orphaned: The trials neither ended nor waiting to be run again.
        same: Whether the whole search proposed what it does if it is not killed.
        unfinished: The trials that had not completed when the search had ended.
    """

    error: str
    lost: int = 0
    repeated: int = 0
    orphaned: int = 0
    unfinished: int = 0
    same: bool = False


def judge(before: Sequence[Event], after: Sequence[Event], reference: Event) -> Outcome:
    """Compares what was told before the kill, what after, and what an unkilled search tells."""
    told = {event["event"]: event for event in after}
    if "end" not in told:
        return Outcome(told.get("error", {}).get("error", "It ended without a word."))
    loaded, end = told["loaded"], told["end"]
    completed = {e["trial"]: e["score"] for e in before if e["event"] == "completed"}
    lost = [t for t, score in completed.items() if loaded["score"].get(t) != score]
    completed |= {t: None for t, status in loaded["status"].items() if status == "COMPLETED"}
    running = {t for t, status in loaded["status"].items() if status == "RUNNING"}
    return Outcome(
        error="",
        lost=len(lost),
        repeated=sum(e["event"] == "run" and e["trial"] in completed for e in after),
        orphaned=len(running - set(loaded["waiting"])),
        unfinished=sum(status != "COMPLETED" for status in end["status"].values()),
        same=end["values"] == reference["values"],
    )


class Killer:
    """Kills searches of one method at random moments, and looks at what is left.

    Args:
        method: The method.
        trials: How many trials a search has.
        rng: The source of the moments.
    """

    def __init__(self, method: Method, trials: int, rng: random.Random) -> None:
        self.method, self.trials, self.rng = method, trials, rng
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            self.reference = self._run(Path(folder))[-1]
            seconds = time.monotonic() - began
        if self.reference["event"] != "end":
            raise RuntimeError(
                f"{method.label} cannot be run at all, killed or not:\n{self.reference['error']}"
            )
        self.length = len(self.reference["status"])
        self.pause = seconds / self.length

    def kill_one(self) -> Outcome:
        """Starts a search, kills it somewhere, and goes on with it to its end."""
        with tempfile.TemporaryDirectory() as folder:
            before = self._run(Path(folder), until=self.rng.randrange(self.length))
            return judge(before, self._run(Path(folder)), self.reference)

    def _run(self, folder: Path, until: int | None = None) -> list[Event]:
        """Runs the search; kills it some time after `until` trials have completed."""
        process = fork(lambda tell: search(self.method, folder, self.trials, tell))
        told: list[Event] = []
        if until is None:
            return process.finish()
        for event in process.events() if until else ():
            told.append(event)
            if sum(e["event"] == "completed" for e in told) == until:
                break
        time.sleep(self.rng.uniform(0, 1.5 * self.pause))
        return told + process.kill()


def table(outcomes: dict[str, list[Outcome]]) -> list[list[str]]:
    """The lines to print: in how many projects something was amiss."""
    counts: dict[str, Callable[[Outcome], bool]] = {
        "could not be loaded": lambda o: bool(o.error),
        "had lost a completed trial": lambda o: o.lost > 0,
        "ran a completed trial again": lambda o: o.repeated > 0,
        "had a trial that nothing would ever end": lambda o: o.orphaned > 0,
        "ended with unfinished trials": lambda o: o.unfinished > 0,
        "proposed something else than if not killed": lambda o: not o.error and not o.same,
        "as if nothing had happened": lambda o: o == Outcome(error="", same=True),
    }
    lines = [["projects that", *outcomes]]
    lines += [["were killed", *(str(len(each)) for each in outcomes.values())]]
    for what, holds in counts.items():
        lines += [[what, *(str(sum(map(holds, each))) for each in outcomes.values())]]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Kills searches of each method, and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__)
    parser.add_argument("--kills", type=positive, default=200, help="projects a method")
    parser.add_argument("--trials", type=positive, default=20, help="trials a search")
    parser.add_argument("--methods", nargs="+", type=parse, default=[*map(parse, METHODS)])
    parser.add_argument("--seed", type=int, default=0, help="of the moments of death")
    options = parser.parse_args(arguments)
    outcomes = {}
    for method in options.methods:
        killer = Killer(method, options.trials, random.Random(options.seed))
        outcomes[method.label] = [killer.kill_one() for _ in range(options.kills)]
        print_errors(method.label, outcomes[method.label])
    print(f"SIGKILL at random moments of searches of {options.trials} trials; {versions()}\n")
    print_table(table(outcomes))


def print_errors(label: str, outcomes: Sequence[Outcome]) -> None:
    """Prints each kind of error once, and how often it came."""
    kinds = [outcome.error.strip().splitlines()[-1] for outcome in outcomes if outcome.error]
    for kind in dict.fromkeys(kinds):
        print(f"{label}: {kinds.count(kind)} times {kind}")


if __name__ == "__main__":
    main()
