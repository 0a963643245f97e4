"""A chief and two workers, as three processes that talk over Keras Tuner's own service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.integration.test_kill import run as run_module

pytestmark = pytest.mark.slow

TRIALS = [str(number) for number in range(7)]


class Parallel(NamedTuple):
    """What the chief and the workers have printed, and the files of the chief's project."""

    chief: dict[str, Any]
    workers: list[dict[str, int]]
    saved: dict[str, Any]


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Parallel:
    """The search, run once for all tests."""
    return run(tmp_path_factory.mktemp("parallel"), "EvolutionarySearch")


def run(directory: Path, *search: str) -> Parallel:
    """Runs a whole search of `parallel_search` with a chief and two workers."""
    printed = run_module("tests.integration.parallel_search", str(directory), *search)
    told = json.loads(printed.splitlines()[-1])
    assert [[event["event"] for event in events] for events in told] == [["end"]] * 3, told
    chief, *workers = [events[0] for events in told]
    project = directory / "parallel"
    saved = {
        path.parent.name.removeprefix("trial_"): json.loads(path.read_text())
        for path in project.glob("trial_*/trial.json")
    }
    return Parallel(chief, [worker["trained"] for worker in workers], saved)


def test_each_trial_is_done_once(parallel: Parallel) -> None:
    done = [trial_id for worker in parallel.workers for trial_id in worker]
    assert sorted(done) == TRIALS
    assert all(parallel.workers), "one worker did everything"
    assert parallel.chief["trained"] == {}
    assert sorted(parallel.saved) == TRIALS
    assert {trial["status"] for trial in parallel.saved.values()} == {"COMPLETED"}
    assert sorted(trial["kt_plus"]["ended"] for trial in parallel.saved.values()) == [*range(7)]
    assert {trial["kt_plus"]["attempts"] for trial in parallel.saved.values()} == {1}


def test_the_workers_are_told_to_stop(parallel: Parallel) -> None:
    trained = parallel.workers[0] | parallel.workers[1]
    for trial_id, trial in parallel.saved.items():
        note = trial["kt_plus"]
        stopped = int(trial_id) % 2 == 1
        assert trained[trial_id] == (2 if stopped else 4)
        assert [len(curve["values"]) for curve in note["curves"]] == [trained[trial_id]]
        assert note["horizon"] == 4
        assert bool(note["stop"]) == stopped
        if stopped:
            curve = note["curves"][0]["values"]
            assert note["stop"]["epoch"] == 2
            assert note["stop"]["reason"] == f"odd, and {curve[-1]:.4g}"
            assert note["stop"]["mean"] == pytest.approx(min(curve))
            assert note["stop"]["low"] < note["stop"]["mean"] < note["stop"]["high"]
        assert trial["score"] == min(note["curves"][0]["values"])


def test_values_are_not_rounded_on_their_way(parallel: Parallel) -> None:
    for trial_id, trial in parallel.saved.items():
        values = trial["hyperparameters"]["values"]
        assert parallel.chief["proposed"][trial_id].items() <= values.items()
        assert values["learning_rate"] in (0.1, 0.01, 0.3)
    dropouts = [trial["hyperparameters"]["values"]["dropout"] for trial in parallel.saved.values()]
    assert any(dropout != float(np.float32(dropout)) for dropout in dropouts)


def test_conditions_hold_in_every_trial(parallel: Parallel) -> None:
    kinds = set()
    for trial in parallel.saved.values():
        values = trial["hyperparameters"]["values"]
        own = {"wide": "units", "deep": "layers"}[values["kind"]]
        assert set(values) == {"kind", own, "dropout", "learning_rate"}
        kinds.add(values["kind"])
    assert kinds == {"wide", "deep"}


def test_children_have_parents_that_were_completed(parallel: Parallel) -> None:
    notes = [parallel.saved[trial_id]["kt_plus"] for trial_id in TRIALS]
    assert [note["parent"] for note in notes[:4]] == [None] * 4
    for number, note in enumerate(notes[4:], start=4):
        assert note["parent"] in (None, *TRIALS[:number])  # one drawn at random has no parent
    assert any(note["parent"] for note in notes)


def test_the_chief_has_the_best_model(parallel: Parallel) -> None:
    assert parallel.chief["loss"] == min(trial["score"] for trial in parallel.saved.values())


def test_reinforcement_learning_learns_from_results_that_come_late(tmp_path: Path) -> None:
    parallel = run(tmp_path, "ReinforcementLearning")
    assert all(parallel.workers), "one worker did everything"
    assert sorted([*parallel.workers[0], *parallel.workers[1]]) == TRIALS
    notes = [parallel.saved[trial_id]["kt_plus"] for trial_id in TRIALS]
    assert sorted(note["ended"] for note in notes) == [*range(7)]
    for number, note in enumerate(notes):
        # What had ended when it was proposed had started before it, all but one at most.
        assert number - 1 <= note["seen"] <= number
        assert note["ended"] >= note["seen"]
    assert any(note["ended"] > note["seen"] for note in notes), "nothing came late"


def test_optuna_proposes_to_two_workers(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    parallel = run(tmp_path, "OptunaSearch")
    test_each_trial_is_done_once(parallel)
    test_the_workers_are_told_to_stop(parallel)
    test_values_are_not_rounded_on_their_way(parallel)
    test_conditions_hold_in_every_trial(parallel)
    test_the_chief_has_the_best_model(parallel)
    values = [json.dumps(parallel.chief["proposed"][trial_id]) for trial_id in TRIALS]
    assert len(set(values)) == len(TRIALS), "a configuration was proposed twice"
