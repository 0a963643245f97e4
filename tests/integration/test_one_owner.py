"""One search at a time in a project: the others are refused, and nothing of it is changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.engine import ownership
from kt_plus.engine.ownership import Ownership
from kt_plus.errors import ProjectInUseError
from tests.distribute.searches import Sums, space
from tests.integration.small_networks import (
    SEARCHES,
    VALIDATION,
    X,
    Y,
    accuracy,
    build_model,
    new,
    scores,
)
from tests.integration.test_kill import run
from tests.owners import fork, owned_elsewhere, owner_of, wait

pytestmark = pytest.mark.usefixtures("eager")

FIT = {"epochs": 2, "validation_data": VALIDATION, "verbose": 0}
OBJECTIVE = kt.Objective("default_objective", "min")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "GRACE", 0.2)
    monkeypatch.setattr(ownership, "RECHECK", 0.0)


class Plain(kt_plus.Tuner):
    """With an oracle of Keras Tuner's."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
        return float(trial.hyperparameters.values["x"])


class OfKerasTuner(kt.engine.base_tuner.BaseTuner):
    """With an oracle of ours."""

    run_trial = Plain.run_trial


def sums(directory: Path, **options: Any) -> Sums:
    options = {"max_trials": 4, "seed": 2, **options}
    return Sums(hyperparameters=space(), directory=directory, project_name="p", **options)


def with_its_oracle(directory: Path, **options: Any) -> Plain:
    oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, 4, seed=2, hyperparameters=space())
    return Plain(oracle, directory=directory, project_name="p", **options)


def with_its_tuner(directory: Path) -> OfKerasTuner:
    oracle = kt_plus.oracles.RandomSearchOracle(OBJECTIVE, 4, seed=2, hyperparameters=space())
    return OfKerasTuner(oracle, directory=directory, project_name="p")


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder, with its time of change and its content."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in paths
    }


def begun(tuner: Any, trials: int = 2) -> None:
    """Runs some trials of a search, and leaves it as an interruption would."""
    run_trial, count = tuner.run_trial, iter(range(trials))

    def limited(*args: Any, **kwargs: Any) -> Any:
        if next(count, None) is None:
            raise KeyboardInterrupt
        return run_trial(*args, **kwargs)

    tuner.run_trial = limited
    with pytest.raises(KeyboardInterrupt):
        tuner.search(verbose=0)


WRITES: dict[str, Callable[[Path], Any]] = {
    "search": lambda place: sums(place).search(verbose=0),
    "overwrite": lambda place: sums(place, overwrite=True),
    "retrain_best": lambda place: sums(place).retrain_best(1, verbose=0),
    "save": lambda place: sums(place).save(),
    "a trial by hand": lambda place: sums(place).oracle.create_trial("tuner0"),
    "search with an oracle of Keras Tuner's": lambda place: with_its_oracle(place).search(),
    "overwrite with it": lambda place: with_its_oracle(place, overwrite=True),
    "search by a tuner of Keras Tuner's": lambda place: with_its_tuner(place).search(),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_project_that_another_process_searches_in(write: str, tmp_path: Path) -> None:
    begun(with_its_oracle(tmp_path) if "with" in write else sums(tmp_path))
    with owned_elsewhere(tmp_path / "p") as pid:
        before = files(tmp_path)
        with pytest.raises(ProjectInUseError, match=f"process {pid} on host .* since 20"):
            WRITES[write](tmp_path)
        assert files(tmp_path) == before
    WRITES[write](tmp_path)  # that process was killed


def black_box(search: str, directory: Path, name: str = "p", **options: Any) -> Any:
    """A search of that name that trains nothing."""
    made, settings = SEARCHES[search]

    class BlackBox(made):
        run_trial = Plain.run_trial

    place = {"directory": directory, "project_name": name}
    return BlackBox(hyperparameters=space(), seed=3, **settings, **place, **options)


@pytest.mark.parametrize("search", [name for name in SEARCHES if name != "kt.RandomSearch"])
def test_constructing_and_reading_change_nothing(search: str, tmp_path: Path) -> None:
    """Even where the summary of the running search is older than its trials."""
    black_box("kt_plus.RandomSearch", tmp_path, "earlier").search(verbose=0)
    black_box(search, tmp_path).search(verbose=0)
    summary = tmp_path / "p" / "oracle.json"
    content = json.loads(summary.read_text())
    assert content["hyperparameters"]["space"].pop()
    summary.write_text(json.dumps(content))
    with owned_elsewhere(tmp_path / "p"):
        before = files(tmp_path)
        tuner = black_box(search, tmp_path, history=str(tmp_path / "earlier"))
        assert tuner.get_best_hyperparameters()
        tuner.results_summary()
        kt_plus.results.to_dataframe(str(tmp_path / "p"))
        kt_plus.results.to_dataframe(tuner)
        assert len(with_its_oracle(tmp_path).oracle.trials) == len(tuner.oracle.trials) > 2
        assert files(tmp_path) == before


def test_trials_of_earlier_projects_are_kept_once_the_search_runs(tmp_path: Path) -> None:
    black_box("kt_plus.RandomSearch", tmp_path, "earlier").search(verbose=0)
    learning = {"history": str(tmp_path / "earlier")}
    later = black_box("kt_plus.EvolutionarySearch", tmp_path, **learning)
    kept = tmp_path / "p" / "earlier_trials.json"
    assert not kept.exists()
    later.search(verbose=0)
    assert len(json.loads(kept.read_text())) == 3
    shutil.rmtree(tmp_path / "earlier")
    again = black_box("kt_plus.EvolutionarySearch", tmp_path, **learning)
    assert len(again.oracle.history) == len(later.oracle.history) == 7


def test_a_newer_tuner_takes_over(tmp_path: Path) -> None:
    """A notebook cell that is run twice."""
    place = {"objective": "val_accuracy", "directory": tmp_path}
    old = new("kt_plus.RandomSearch", build_model, **place)
    old.search(X, Y, **FIT)
    newer = new("kt_plus.RandomSearch", build_model, **place, max_trials=5)
    newer.search(X, Y, **FIT)
    before = files(tmp_path)
    for write in (
        lambda: old.search(X, Y, **FIT),
        lambda: old.oracle.create_trial("tuner0"),
        lambda: old.retrain_best(1, X, Y, **FIT),
        old.save,
    ):
        with pytest.raises(ProjectInUseError, match="taken over by a newer tuner of this process"):
            write()
    assert files(tmp_path) == before
    assert accuracy(old.get_best_models()[0]) == max(scores(old).values())
    assert scores(old).items() < scores(newer).items()
    assert len(scores(newer)) == 5


def test_a_newer_tuner_takes_over_a_running_search(tmp_path: Path) -> None:
    """As from another thread: the older search ends at its next report."""
    begun(sums(tmp_path), trials=1)
    old = sums(tmp_path)
    newer: list[Sums] = []

    def take_over(tuner: Sums, trial: Any, epoch: int) -> None:
        if not newer and epoch == 1:
            newer.append(sums(tmp_path))
            newer[0].search(verbose=0)

    type(old).sabotage = take_over
    try:
        with pytest.raises(ProjectInUseError, match="taken over by a newer tuner"):
            old.search(verbose=0)
    finally:
        type(old).sabotage = None
    assert len(newer[0].oracle.end_order) == 4
    again = sums(tmp_path)
    assert scores(again) == scores(newer[0])


def test_the_older_of_two_tuners_may_search_first(tmp_path: Path) -> None:
    """The newer one then reads the trials of the older, and loses none."""
    old, newer = sums(tmp_path, max_trials=3), sums(tmp_path, max_trials=6)
    old.search(verbose=0)
    with pytest.warns(UserWarning, match="Another search has written to"):
        newer.search(verbose=0)
    assert scores(old).items() < scores(newer).items()
    assert len(scores(newer)) == 6


def test_a_search_releases_its_project(tmp_path: Path) -> None:
    """At its end, at an error, at an interruption; and it can be called again."""

    def is_free() -> bool:
        def take() -> None:
            with Ownership(str(tmp_path / "p")).held():
                pass

        before = owner_of(tmp_path / "p")
        assert wait(fork(take)) == 0
        return before.ended

    class Failing(Sums):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            if errors:
                raise errors.pop()
            return super().run_trial(trial, *args, **kwargs)

    errors: list[BaseException] = [KeyboardInterrupt(), kt.errors.FatalRuntimeError("no")]
    place = {"hyperparameters": space(), "directory": tmp_path, "project_name": "p"}
    tuner = Failing(max_trials=4, **place)
    for expected in (kt.errors.FatalRuntimeError, KeyboardInterrupt):
        with pytest.raises(expected):
            tuner.search(verbose=0)
        assert is_free()
    tuner.search(verbose=0)
    assert is_free()
    tuner.search(verbose=0)
    assert len(scores(tuner)) == 4
    assert is_free()


def test_overwriting_leaves_nothing_else(tmp_path: Path) -> None:
    begun(sums(tmp_path))
    (tmp_path / "p" / "notes").mkdir()
    tuner = sums(tmp_path, overwrite=True)
    assert set(files(tmp_path / "p")) == {"owner.json", "owner.lock"}
    assert not (tmp_path / "p" / "notes").exists()
    tuner.search(verbose=0)
    assert len(scores(sums(tmp_path))) == 4


def test_a_tuner_and_an_oracle_of_keras_tuners_hold_the_project(tmp_path: Path) -> None:
    def take() -> None:
        with Ownership(str(tmp_path / "p")).held():
            pass

    class Looking(Plain):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            refused.append(wait(fork(take)))
            return super().run_trial(trial, *args, **kwargs)

    class LookingToo(OfKerasTuner):
        run_trial = Looking.run_trial

    refused: list[int] = []
    oracle = kt.oracles.RandomSearchOracle(OBJECTIVE, 2, seed=2, hyperparameters=space())
    Looking(oracle, directory=tmp_path, project_name="p").search(verbose=0)
    oracle = kt_plus.oracles.RandomSearchOracle(OBJECTIVE, 4, seed=2, hyperparameters=space())
    LookingToo(oracle, directory=tmp_path, project_name="p").search(verbose=0)
    assert refused == [1] * 4
    assert wait(fork(take)) == 0


def check(printed: str, times: int) -> None:
    """Checks the output of the program."""
    found = json.loads(printed.splitlines()[-1])
    for each in found["collisions"]:
        assert each == {"refused": 1, "ended": 1, "lost": [], "trials": 10}
    for each in found["kills"]:
        assert each["ended"], each
        assert each["lost"] == each["repeated"] == []
        assert each["trials"] == 10
    assert len(found["collisions"]) == len(found["kills"]) == times
    assert max(each["seconds"] for each in found["kills"]) < 10, "the next owner has waited"


def test_two_processes_and_killed_owners(tmp_path: Path) -> None:
    check(run("tests.integration.owned_searches", str(tmp_path), "2"), 2)


@pytest.mark.full
def test_two_processes_and_killed_owners_twenty_times(tmp_path: Path) -> None:
    printed = run("tests.integration.owned_searches", str(tmp_path), "20")
    check(printed, 20)
    kills = json.loads(printed.splitlines()[-1])["kills"]
    completed = [each["completed"] for each in kills]
    assert min(completed) < 3
    assert max(completed) > 5, "no owner was killed late in its search"
