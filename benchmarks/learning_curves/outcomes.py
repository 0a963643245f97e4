"""Many searches under many rules, over some processes, kept in a file as they come."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from benchmarks.learning_curves.pool import Pool
from benchmarks.learning_curves.rules import make
from benchmarks.learning_curves.searches import Search, run
from benchmarks.learning_curves.tasks import Task, read


class Key(NamedTuple):
    """Which search it is: of a rule, on a task, in one order of its trials."""

    rule: str
    set_name: str
    task: str
    order: int
    trials: int


class Outcomes:
    """The outcomes of searches: read from the file if they are there, else run and added.

    Args:
        path: A file of JSON lines; `None` to keep nothing. What was run before a kill
            is not run again. Remove the file when a rule has changed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[Key, Search] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                with_key = _parsed(line)
                if with_key is not None:
                    self._known[with_key[0]] = with_key[1]

    def of(self, rule: str, keys: Sequence[Key], jobs: int) -> list[Search]:
        """The outcomes of a rule's searches.

        Raises:
            Unavailable: If there is no such rule here.
        """
        make(rule)
        missing = [key for key in keys if key not in self._known]
        begun = time.perf_counter()
        with Pool(jobs) as pool:
            for key, search in zip(missing, pool.map(_run, missing), strict=True):
                self._add(key, search)
        if missing:
            took = time.perf_counter() - begun
            print(f"{rule}: {len(missing)} searches, {took:.0f} s", file=sys.stderr)
        return [self._known[key] for key in keys]

    def _add(self, key: Key, search: Search) -> None:
        self._known[key] = search
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "search": asdict(search)}) + "\n")


def keys(
    rule: str, set_names: Iterable[str], tasks: int | None, orders: int, trials: int
) -> Iterator[Key]:
    """One key a task and order."""
    for set_name in set_names:
        for task in _tasks(set_name, tasks):
            for order in range(orders):
                yield Key(rule, set_name, task, order, trials)


def curves_of(key: Key) -> Task:
    """The search's trials, in their order."""
    task = _tasks(key.set_name, None)[key.task]
    return Task(task.name, task.search(key.order, key.trials), task.bounds, task.diverged)


@lru_cache(maxsize=8)
def _tasks(set_name: str, count: int | None) -> dict[str, Task]:
    return {task.name: task for task in read(set_name, count)}


def _run(key: Key) -> Search:
    try:
        return run(key.rule, curves_of(key).curves)
    except Exception as error:
        raise RuntimeError(f"{key} could not be run") from error


def _parsed(line: str) -> tuple[Key, Search] | None:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:  # the line at which the run was killed
        return None
    search = found["search"]
    return Key(*found["key"]), Search(**(search | {"lengths": tuple(search["lengths"])}))
