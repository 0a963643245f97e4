"""Runs of searches over tables, each made once: finished ones are read from a file."""

from __future__ import annotations

import ast
import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.methods import Method, Unavailable, parse, prototype_file
from benchmarks.simulator import Run, simulate
from benchmarks.tables import TABLES

HERE = Path(__file__).resolve().parent
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
_PEERS = {"kt": "keras-tuner", "optuna": "optuna", "smac": "smac"}
# The files that decide the outcome of a run: of every method, and of ours.
_SHARED = (
    *sorted((HERE / "tables").glob("*.py")),
    *(HERE / name for name in ("methods.py", "searches.py", "simulator.py")),
)
_OWN = ("oracles.py", "engine/*.py", "search_strategies/**/*.py")


@dataclass(frozen=True)
class Task:
    """One run.

    Attributes:
        method: As `benchmarks.methods.parse` reads it.
        family: One of `TABLES`.
        seed: Draws the table, its noise and the proposals.
        trials: Budget in full trainings.
        workers: Number of virtual workers.
    """

    method: str
    family: str
    seed: int
    trials: int
    workers: int = 1


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes:
        steps: Each change of the configuration that the search would return: the number of
            full trainings finished by then, and its normalized regret.
        trials: Number of finished trials.
        seconds: Processor time spent in the search itself, in seconds.
    """

    steps: Sequence[tuple[float, float]]
    trials: int
    seconds: float

    def after(self, budget: float) -> float:
        """Normalized regret after `budget` full trainings; 1 before the first result."""
        return next((r for spent, r in reversed(self.steps) if spent <= budget + 1e-9), 1.0)


def run(method: Method, family: str, seed: int, trials: int, workers: int) -> Run:
    """Runs a method once, from an empty project that is removed after.

    Raises:
        Unavailable: If the method is not installed or does not fit the table.
    """
    table = TABLES[family](seed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        search = method.start(table, trials, seed, Path(folder))
        return simulate(search, table, trials, workers, seed)


def outcome(task: Task) -> Outcome | str:
    """Runs a task. Returns the reason where the method is unavailable."""
    try:
        finished = run(parse(task.method), task.family, task.seed, task.trials, task.workers)
    except Unavailable as error:
        return str(error)
    return normalized(finished, task.family, task.seed)


def normalized(finished: Run, family: str, seed: int) -> Outcome:
    """What a run found, with regrets between 0 (best) and 1 (median of random)."""
    median, floor = _scale(family, seed)
    steps, spent, best = [], 0.0, -np.inf
    for trial in finished.completed:
        spent += trial.cost
        if trial.score > best:
            best = trial.score
            regret = float(np.clip(trial.regret / median, 0.0, 1.0) - floor)
            steps.append((round(spent, 6), round(regret, 6)))
    return Outcome(steps, len(finished.completed), round(finished.seconds, 4))


@lru_cache(maxsize=64)
def _scale(family: str, seed: int) -> tuple[float, float]:
    """Regret of a median configuration, and the share of it that noise alone leaves."""
    table = TABLES[family](seed)
    median = table.median_regret()
    return median, (table.exhausted_regret() or 0.0) / median


@lru_cache(maxsize=64)
def fingerprint(method: str) -> str:
    """Identifies the code that decides a run of `method`: a peer's version, our own source."""
    package = parse(method).package
    files = list(_SHARED)
    if package == "kt_plus":
        files += sorted(f for pattern in _OWN for f in (HERE.parent / "kt_plus").glob(pattern))
    elif package == "prototype" and prototype_file().is_file():
        files.append(prototype_file())
    digest = hashlib.sha256()
    for file in files:
        # Comments and layout change nothing.
        digest.update(ast.dump(ast.parse(file.read_bytes())).encode())
    try:
        release = version(_PEERS[package]) if package in _PEERS else ""
    except PackageNotFoundError:
        release = "absent"
    return f"{release}-{digest.hexdigest()[:16]}"


class Results:
    """Outcomes in a file of JSON lines, so that an interrupted benchmark resumes.

    Args:
        path: The file. Several processes may append to it at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Outcome] = {}
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                content = json.loads(line)
            except ValueError:  # an empty line, or one that a kill cut short
                continue
            steps = [(spent, regret) for spent, regret in content["outcome"].pop("steps")]
            self._known[content["key"]] = Outcome(steps, **content["outcome"])

    def get(self, task: Task) -> Outcome | None:
        return self._known.get(self._key(task))

    def put(self, task: Task, found: Outcome) -> None:
        key = self._key(task)
        self._known[key] = found
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            # A kill may have cut the line before short.
            file.write("\n" + json.dumps({"key": key, "outcome": asdict(found)}) + "\n")

    def _key(self, task: Task) -> str:
        return json.dumps([*asdict(task).values(), fingerprint(task.method)])


def complete(
    tasks: Sequence[Task], results: Results, jobs: int = 1
) -> tuple[Mapping[Task, Outcome], Mapping[str, str]]:
    """Runs those of the tasks that `results` lacks.

    Args:
        tasks: What to run.
        results: Where outcomes are read and kept.
        jobs: Number of processes.

    Returns:
        The outcomes of the methods that are available, and the reason for each other one.
    """
    outcomes = {task: found for task in tasks if (found := results.get(task))}
    missing = [task for task in tasks if task not in outcomes]
    reasons: dict[str, str] = {}
    begun = time.perf_counter()
    for number, (task, found) in enumerate(_outcomes(missing, jobs, reasons), start=1):
        if isinstance(found, str):
            reasons[task.method] = found
            continue
        outcomes[task] = found
        results.put(task, found)
        took = time.perf_counter() - begun
        done = f"{number}/{len(missing)} runs, {took:.0f} s: {task.method}, {task.family}"
        print(f"\r{done[:100]:100}", end="", file=sys.stderr)
    if missing:
        print(file=sys.stderr)
    available = [task for task in tasks if task.method not in reasons]
    return {task: outcomes[task] for task in available}, reasons


def _outcomes(
    tasks: Sequence[Task], jobs: int, reasons: Mapping[str, str]
) -> Iterator[tuple[Task, Any]]:
    """Yields each task with what `outcome` gives, in the order in which they finish."""
    if jobs == 1:
        for task in tasks:
            yield task, reasons.get(task.method) or outcome(task)
        return
    # A fork would copy the threads' locks of TensorFlow.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(outcome, task): task for task in tasks}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
