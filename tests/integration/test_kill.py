"""A search that is killed loses nothing, repeats nothing, and goes on as if it had not been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from tests.integration.small_networks import SEARCHES
from tests.tiers import mostly_full

REPOSITORY = Path(__file__).parents[2]
METHODS = (
    "kt_plus.RandomSearch",
    "kt_plus.EvolutionarySearch(random_trials=4)",
    "kt_plus.ReinforcementLearning(batch_size=2)",
    "kt_plus.GridSearch",
    "kt_plus.Hyperband(max_epochs=4)",
    "kt_plus.SuccessiveHalving(configurations=4, max_epochs=4)",
    "kt_plus.BayesianOptimization",
)
FEW = METHODS[1], METHODS[5], METHODS[6]

CRASHING = ("kt_plus.EvolutionarySearch", "kt_plus.ReinforcementLearning", "kt_plus.Hyperband")


def run(module: str, *arguments: str) -> str:
    """What a module prints that is run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "kills"), mostly_full([(FEW, "2"), (METHODS, "3")], [(FEW, "2")])
)
def test_kill_at_random_moments(methods: tuple[str, ...], kills: str) -> None:
    printed = run("benchmarks.kill", "--kills", kills, "--trials", "9", "--methods", *methods)
    lines = [line.strip("| ").split("|") for line in printed.splitlines() if line[:2] == "| "]
    table = {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}
    assert table.pop("projects that") == list(methods)
    assert table.pop("were killed") == [kills] * len(methods)
    assert table.pop("as if nothing had happened") == [kills] * len(methods)
    assert len(table) == 6
    assert all(cells == ["0"] * len(methods) for cells in table.values())


@pytest.mark.slow
def test_training_killed_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    printed = run("tests.integration.killed_training", str(tmp_path))
    told = json.loads(printed.splitlines()[-1])
    undisturbed, resumed = (told[which][-1] for which in ("undisturbed", "resumed"))
    assert undisturbed["event"] == "end"
    assert resumed == undisturbed
    assert told["killed"][-1]["event"] == "batch"
    trained = {e["trial"] for e in told["resumed"] if e["event"] == "batch"}
    assert trained == {"2", "3", "4"}
    first = told["resumed"][0]
    assert (first["trial"], first["epoch"], first["batch"]) == ("2", 0, 0)
    scores = [trial["score"] for trial in resumed.values() if isinstance(trial, dict)]
    assert resumed["best"] == max(scores)
    assert resumed["4"]["parent"] is not None


class Crash(BaseException):
    """The end of the process, as far as the search can tell."""


class Disk:
    """Counts what is written, and crashes before or after one of the writes."""

    def __init__(self, crash_at: int, before: bool) -> None:
        self.crash_at, self.before, self.writes = crash_at, before, 0
        self.replace = os.replace

    def __call__(self, source: str, target: str) -> None:
        self.writes += 1
        if self.writes == self.crash_at and self.before:
            raise Crash
        self.replace(source, target)
        if self.writes == self.crash_at:
            raise Crash


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("kind", ["fails", "works"])
    hp.Float("x", -1.0, 1.0)
    with hp.conditional_scope("kind", ["works"]):
        hp.Int("y", 1, 9)
    return hp


def search(name: str, directory: Path, runs: list[str]) -> list[dict[str, Any]]:
    """Runs a search to its end, in which one kind of trial fails twice; what it was told."""

    class Search(SEARCHES[name][0]):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            runs.append(trial.trial_id)
            values = trial.hyperparameters.values
            for epoch in range(2):
                self.oracle.update_trial(
                    trial.trial_id, {"curve:default_objective": values["x"]}, step=epoch
                )
            if values["kind"] == "fails":
                raise ArithmeticError
            return values["x"] * values["y"]

    settings = {"max_epochs": 3} if name == "kt_plus.Hyperband" else {"max_trials": 9}
    tuner = Search(
        seed=1,
        hyperparameters=space(),
        max_retries_per_trial=1,
        max_consecutive_failed_trials=9,
        directory=directory,
        **settings,
    )
    before = [t for t, trial in tuner.oracle.trials.items() if trial.status == "COMPLETED"]
    first = len(runs)
    tuner.search(verbose=0)
    assert not set(before) & set(runs[first:])
    return [
        {
            "values": trial.hyperparameters.values,
            "status": trial.status,
            "score": trial.score,
            "attempts": tuner.oracle.notes[trial.trial_id].attempts,
            "record": tuner.oracle.history.get(trial.trial_id),
        }
        for trial in tuner.oracle.trials.values()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("name", mostly_full(CRASHING, CRASHING[::2]))
def test_a_crash_at_any_write(
    name: str, before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(0, before)
    monkeypatch.setattr(os, "replace", disk)
    expected = search(name, tmp_path / "undisturbed", [])
    assert {trial["status"] for trial in expected} == {"COMPLETED", "FAILED"}
    assert disk.writes > 40
    for write in range(1, disk.writes + 1):
        directory = tmp_path / str(write)
        crashing = Disk(write, before)
        monkeypatch.setattr(os, "replace", crashing)
        runs: list[str] = []
        try:
            search(name, directory, runs)
        except Crash:
            monkeypatch.setattr(os, "replace", disk)
            assert search(name, directory, runs) == expected
        else:
            assert crashing.writes < write  # fewer summaries were due in this run
