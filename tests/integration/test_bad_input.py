"""Each mistake has its error: what happened, what was expected, how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from kt_plus.errors import BuildError, ResumeError, StorageError
from kt_plus.search_strategies.exhaustive import RandomSampling
from tests.errors import raises_in_three_parts
from tests.integration import full_disk
from tests.integration.small_networks import (
    SEARCHES,
    VALIDATION,
    X,
    Y,
    build_model,
    compiled,
    new,
    scores,
    statuses,
)

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
]
OURS = [
    "kt_plus.RandomSearch",
    "kt_plus.EvolutionarySearch",
    "kt_plus.GridSearch",
    "kt_plus.BayesianOptimization",
    "kt_plus.Hyperband",
]
every_search = pytest.mark.parametrize("search", OURS)
FIT = {"epochs": 2, "validation_data": VALIDATION, "verbose": 0}


def one_float() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Float("x", -1.0, 1.0)
    return hp


def parabola(search: str, directory: Path, **kwargs: Any) -> Any:
    """A tuner that runs no network, and whose trials take no time."""

    class Parabola(SEARCHES[search][0]):
        def run_trial(self, trial: Any, *args: Any, **_: Any) -> float:
            return float(trial.hyperparameters.get("x") ** 2)

    settings = {"seed": 2, "hyperparameters": one_float(), "directory": directory}
    return Parabola(**{**settings, **kwargs})


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below the folder, with the time of its last change and its content."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


# The objective


@every_search
def test_an_objective_that_needs_validation_data(search: str, tmp_path: Path) -> None:
    tuner = new(search, build_model, objective="val_accuracy", directory=tmp_path)
    with raises_in_three_parts(
        kt.errors.FatalError, happened="'val_accuracy'", expected="['accuracy', 'loss']"
    ) as caught:
        tuner.search(X, Y, epochs=2, verbose=0)
    assert "validation data" in str(caught.value)


def test_a_misspelt_objective(tmp_path: Path) -> None:
    objective = kt.Objective("val_acuracy", "max")
    tuner = new("kt_plus.EvolutionarySearch", build_model, objective=objective, directory=tmp_path)
    metrics = "['accuracy', 'loss', 'val_accuracy', 'val_loss']"
    with raises_in_three_parts(kt.errors.FatalError, happened="'val_acuracy'", expected=metrics):
        tuner.search(X, Y, **FIT)


def test_one_misspelt_objective_of_several(tmp_path: Path) -> None:
    objective = [kt.Objective("val_loss", "min"), kt.Objective("val_acuracy", "max")]
    tuner = new("kt_plus.RandomSearch", build_model, objective=objective, directory=tmp_path)
    metrics = "['accuracy', 'loss', 'val_accuracy', 'val_loss']"
    with raises_in_three_parts(kt.errors.FatalError, happened="val_acuracy", expected=metrics):
        tuner.search(X, Y, **FIT)


def test_an_objective_of_a_custom_fit_that_it_does_not_return(tmp_path: Path) -> None:
    class Fit(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build_model(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            model.fit(*args, **kwargs)
            return {"accuracy": 0.5}

    tuner = new("kt_plus.RandomSearch", Fit(), objective="val_accuracy", directory=tmp_path)
    with pytest.raises(kt.errors.FatalError, match=r"val_accuracy.*Received: \{'accuracy': 0.5\}"):
        tuner.search(X, Y, epochs=2, verbose=0)


@every_search
def test_a_direction_that_cannot_be_told(search: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got 'usefulness', whose direction is not known.*Give"):
        new(search, build_model, objective="usefulness", directory=tmp_path)


# Arguments


def test_a_population_larger_than_the_search(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="population_size=50 is larger than max_trials=20.*Choose"):
        parabola("kt_plus.EvolutionarySearch", tmp_path, population_size=50, max_trials=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        parabola("kt_plus.EvolutionarySearch", tmp_path, population_size=20, max_trials=20)


def test_a_tournament_larger_than_the_population(tmp_path: Path) -> None:
    sizes = {"population_size": 10, "tournament_size": 11}
    with raises_in_three_parts(
        ValueError, happened="tournament_size=11", expected="population_size=10"
    ):
        parabola("kt_plus.EvolutionarySearch", tmp_path, max_trials=20, **sizes)


BUDGETS = [
    ("max_trials", -1),
    ("max_trials", 0),
    ("max_trials", 2.5),
    ("max_time", -5),
    ("max_time", 0),
    ("max_time", float("nan")),
    ("max_epochs_total", -1),
    ("max_epochs_total", 0),
]


@pytest.mark.parametrize(("name", "value"), BUDGETS)
@every_search
def test_impossible_budgets(search: str, name: str, value: float, tmp_path: Path) -> None:
    if (search, name) == ("kt_plus.Hyperband", "max_trials"):
        return  # it has max_epochs in its place
    with raises_in_three_parts(ValueError, happened=f"{name}={value!r}", expected="Expected a"):
        parabola(search, tmp_path, **{name: value})


@every_search
def test_misspelt_arguments(search: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\['max_tme'\] for .*max_time"):
        new(search, build_model, directory=tmp_path, max_tme=3)
    with pytest.raises(ValueError, match="executions_per_trial"):
        new(search, build_model, directory=tmp_path, execution_per_trial=3)
    with pytest.raises(
        ValueError, match=r"\['qqq'\].*Expected some of \[.*'directory'.*'stopping'"
    ):
        new(search, build_model, directory=tmp_path, qqq=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("configuration", "happened", "expected"),
    [
        ({"unit": 4}, "'unit'", "['learning_rate', 'units']"),
        ({"units": 5}, "5", "units"),
        ({"units": 400}, "400", "units"),
        ({"units": "four"}, "'four'", "units"),
        ({"learning_rate": 7.0}, "7.0", "learning_rate"),
    ],
)
@pytest.mark.parametrize("search", ["kt_plus.EvolutionarySearch", "kt_plus.Hyperband"])
def test_initial_configurations_outside_the_space(
    search: str, configuration: dict[str, Any], happened: str, expected: str, tmp_path: Path
) -> None:
    with raises_in_three_parts(ValueError, happened=happened, expected=expected):
        new(
            search,
            build_model,
            objective="val_loss",
            directory=tmp_path,
            initial_configurations=[{"units": 4}, configuration],
        )


def test_history_that_is_no_project(tmp_path: Path) -> None:
    tuner = parabola("kt_plus.EvolutionarySearch", tmp_path, history=tmp_path / "nothing")
    with pytest.raises(ResumeError, match=r"nothing.*is not a project directory.*Give the f"):
        tuner.search(verbose=0)


# The user's own code


@every_search
def test_a_model_that_cannot_be_built_with_default_values(search: str, tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        layer = keras.layers.Dense(4, hp.Choice("act", ["relu"]))
        return compiled([layer, keras.layers.Dropout(hp.Float("rate", -1.0, 0.5))])

    with raises_in_three_parts(
        BuildError, happened="act='relu', rate=-1.0", expected="default values"
    ) as caught:
        new(search, build, objective="val_loss", directory=tmp_path)
    assert "ValueError: Invalid value received for argument `rate`" in str(caught.value)


def test_a_model_that_cannot_be_built_in_one_of_its_branches(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        kind = hp.Choice("kind", ["plain", "odd"])
        with hp.conditional_scope("kind", ["odd"]):
            if kind == "odd":
                hp.Int("odd units", 3, 9)
                raise OverflowError("too odd")
        return build_model(hp)

    with raises_in_three_parts(BuildError, happened="kind='odd'", expected="too odd"):
        new("kt_plus.RandomSearch", build, objective="val_loss", directory=tmp_path)


class RaisesOnce:
    """Random search, but for one proposal."""

    def __init__(self) -> None:
        self.calls = 0

    def propose(
        self, space: kt_plus.Space, history: kt_plus.History, rng: np.random.Generator
    ) -> Any:
        self.calls += 1
        if self.calls == 3:
            raise LookupError("no idea")
        return RandomSampling().propose(space, history, rng)


def test_a_strategy_that_raises_leaves_the_lock_to_others(tmp_path: Path) -> None:
    def run(tuner_id: str) -> None:
        try:
            while (trial := oracle.create_trial(tuner_id)).status != "STOPPED":
                oracle.update_trial(trial.trial_id, {"score": trial.hyperparameters.get("x")})
                trial.status = "COMPLETED"
                oracle.end_trial(trial)
        except LookupError as error:
            errors.append(error)

    errors: list[LookupError] = []
    objective = kt.Objective("score", "max")
    oracle = kt_plus.Oracle(objective, 8, one_float(), strategy=RaisesOnce())
    oracle.verbose = 0
    oracle._set_project_dir(str(tmp_path), "project")
    threads = [threading.Thread(target=run, args=(f"tuner{i}",), daemon=True) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [str(error) for error in errors] == ["no idea"]
    assert not any(thread.is_alive() for thread in threads)
    assert len(oracle.end_order) == 8


def test_a_search_whose_strategy_raised_can_be_resumed(tmp_path: Path) -> None:
    class Identity(kt_plus.Tuner):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.get("x"))

    def tuner(strategy: Any, name: str) -> Any:
        oracle = kt_plus.Oracle(None, 6, one_float(), seed=1, strategy=strategy)
        return Identity(oracle, directory=tmp_path, project_name=name)

    with pytest.raises(LookupError, match="no idea"):
        tuner(RaisesOnce(), "project").search(verbose=0)
    strategy = RaisesOnce()
    strategy.calls = 3
    resumed = tuner(strategy, "project")
    assert len(resumed.oracle.trials) == 2
    resumed.search(verbose=0)
    strategy.calls = 3
    undisturbed = tuner(strategy, "undisturbed")
    undisturbed.search(verbose=0)
    assert scores(resumed) == scores(undisturbed)
    assert len(scores(resumed)) == 6


# The project directory


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.name == "nt"
        or os.geteuid()
        or not mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", place)
    ):
        pytest.skip("Only root, where it may mount, can make a file system small enough to fill")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def mount(*arguments: str | Path) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@every_search
def test_a_disk_that_is_full(search: str, small_disk: Path) -> None:
    (small_disk / "other").write_bytes(b"0" * 480 * 1024)
    budget = {"max_epochs": 9} if search == "kt_plus.Hyperband" else {"max_trials": 12}
    tuner = parabola(search, small_disk, **budget)
    with raises_in_three_parts(
        StorageError, happened="No space left on device", expected="with free space"
    ) as caught:
        tuner.search(verbose=0)
    assert str(small_disk / "untitled_project") in str(caught.value)
    (small_disk / "other").unlink()
    resumed = parabola(search, small_disk, **budget)
    completed = {t: s for t, s in scores(resumed).items() if s is not None}
    assert completed == {t: scores(tuner)[t] for t in completed}
    assert set(tuner.oracle.end_order) <= set(completed)
    resumed.search(verbose=0)
    assert statuses(resumed) == {"COMPLETED"}
    assert completed.items() <= scores(resumed).items()
    undisturbed = parabola(search, small_disk, project_name="undisturbed", **budget)
    undisturbed.search(verbose=0)
    assert scores(undisturbed) == scores(resumed)


@pytest.mark.slow
def test_a_disk_that_is_full_while_a_network_is_saved(small_disk: Path) -> None:
    done = subprocess.run(  # HDF5 ends its process with a segmentation fault
        [sys.executable, "-m", "tests.integration.full_disk", small_disk],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("kt_plus.errors.StorageError: ")
    assert "could not be written" in error
    assert "Expected a writable project directory with free space" in error
    assert "mend the directory" in error
    (small_disk / full_disk.OTHER).unlink()
    resumed = full_disk.new_tuner(small_disk)
    assert [t.status for t in resumed.oracle.trials.values()] == ["COMPLETED", "RUNNING"]
    before = scores(resumed)["0"]
    resumed.search(X, Y, **FIT)
    assert statuses(resumed) == {"COMPLETED"}
    assert scores(resumed)["0"] == before


def test_a_folder_that_becomes_unwritable(small_disk: Path) -> None:
    class Parabola(kt_plus.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            if trial.trial_id == "2" and not mended:
                assert mount("-o", "remount,ro", small_disk)
            return float(trial.hyperparameters.get("x") ** 2)

    mended = False
    settings = {"max_trials": 5, "seed": 0, "directory": small_disk}
    tuner = Parabola(hyperparameters=one_float(), **settings)
    with raises_in_three_parts(
        StorageError, happened="Read-only file system", expected="a writable project directory"
    ):
        tuner.search(verbose=0)
    before = tree(small_disk)
    assert mount("-o", "remount,rw", small_disk)
    mended = True
    resumed = Parabola(hyperparameters=one_float(), **settings)
    assert list(scores(resumed).values())[:2] == list(scores(tuner).values())[:2]
    resumed.search(verbose=0)
    assert statuses(resumed) == {"COMPLETED"}
    assert len(scores(resumed)) == 5
    completed = [path for path in before if "trial_0" in path or "trial_1" in path]
    assert {path: tree(small_disk)[path] for path in completed} == {
        path: before[path] for path in completed
    }


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises_in_three_parts(
        StorageError, happened="irectory", expected="a writable project directory"
    ):
        parabola("kt_plus.RandomSearch", tmp_path / "file").search(verbose=0)


@pytest.mark.parametrize(
    ("search", "other", "before", "now"),
    [
        ("kt_plus.EvolutionarySearch", "kt_plus.RandomSearch", "Evolution", "RandomSampling"),
        ("kt_plus.RandomSearch", "kt_plus.EvolutionarySearch", "RandomSampling", "Evolution"),
        ("kt_plus.GridSearch", "kt_plus.BayesianOptimization", "Grid", "BayesianOptimization"),
        ("kt_plus.Hyperband", "kt_plus.EvolutionarySearch", "Hyperband", "Evolution"),
        ("kt_plus.RandomSearch", "kt_plus.Hyperband", "RandomSampling", "Hyperband"),
    ],
)
def test_going_on_with_another_strategy(
    search: str, other: str, before: str, now: str, tmp_path: Path
) -> None:
    parabola(search, tmp_path).search(verbose=0)
    files = tree(tmp_path)
    with raises_in_three_parts(ResumeError, happened=before, expected=now) as caught:
        parabola(other, tmp_path)
    for remedy in ("`project_name`", "`overwrite=True`", "`history="):
        assert remedy in str(caught.value)
    assert tree(tmp_path) == files
    assert not parabola(other, tmp_path, overwrite=True).oracle.trials


@every_search
def test_going_on_with_another_objective(search: str, tmp_path: Path) -> None:
    parabola(search, tmp_path, objective=kt.Objective("cost", "min")).search(verbose=0)
    files = tree(tmp_path)
    for objective in (kt.Objective("cost", "max"), kt.Objective("price", "min"), None):
        name = getattr(objective, "name", "default_objective")
        with raises_in_three_parts(ResumeError, happened="'cost', 'min'", expected=name) as caught:
            parabola(search, tmp_path, objective=objective)
        for remedy in ("`project_name`", "`overwrite=True`", "`history="):
            assert remedy in str(caught.value)
    assert tree(tmp_path) == files
    again = parabola(search, tmp_path, objective=kt.Objective("cost", "min"))
    assert statuses(again) == {"COMPLETED"}


def test_going_on_with_another_objective_than_plain_keras_tuner(tmp_path: Path) -> None:
    class Plain(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            return {"cost": trial.hyperparameters.get("x")}

    objective = kt.Objective("cost", "min")
    settings = {"max_trials": 3, "hyperparameters": one_float(), "directory": tmp_path}
    Plain(objective=objective, **settings).search(verbose=0)
    files = tree(tmp_path)
    with raises_in_three_parts(ResumeError, happened="no metric 'price'", expected="objective"):
        parabola("kt_plus.RandomSearch", tmp_path, objective=kt.Objective("price", "min"))
    assert tree(tmp_path) == files


@pytest.mark.parametrize(
    "damage", ["", '{"trial_id": "1", "hyp', '{"trial_id": "1"}', "[]", "null"]
)
def test_a_damaged_trial_is_named_and_left_out(damage: str, tmp_path: Path) -> None:
    tuner = parabola("kt_plus.EvolutionarySearch", tmp_path, max_trials=4)
    tuner.search(verbose=0)
    damaged = tmp_path / "untitled_project" / "trial_1" / "trial.json"
    damaged.write_text(damage)
    with pytest.warns(UserWarning, match=f"{damaged} is damaged and is left out"):
        resumed = parabola("kt_plus.EvolutionarySearch", tmp_path, max_trials=6)
    rest = {trial_id: score for trial_id, score in scores(tuner).items() if trial_id != "1"}
    assert scores(resumed) == rest
    resumed.search(verbose=0)
    assert rest.items() <= scores(resumed).items()
    assert len(scores(resumed)) == 6
    assert statuses(resumed) == {"COMPLETED"}


@pytest.mark.parametrize("damage", ["", '{"trials": ['])
@every_search
def test_a_damaged_summary_is_made_again_of_the_trials(
    search: str, damage: str, tmp_path: Path
) -> None:
    tuner = parabola(search, tmp_path)
    tuner.search(verbose=0)
    damaged = tmp_path / "untitled_project" / "oracle.json"
    damaged.write_text(damage)
    with pytest.warns(UserWarning, match=f"{damaged} is damaged"):
        resumed = parabola(search, tmp_path)
    assert scores(resumed) == scores(tuner)
    resumed.search(verbose=0)
    assert scores(resumed) == scores(tuner)
