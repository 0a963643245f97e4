"""Project directories shared with plain Keras Tuner, and what a search leaves behind elsewhere."""

from __future__ import annotations

import gc
import json
import warnings
import weakref
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from tests.integration.small_networks import (
    VALIDATION,
    X,
    Y,
    accuracy,
    build_model,
    new,
    scores,
    statuses,
)
from tests.tiers import mostly_full

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]
OURS = [
    "kt_plus.RandomSearch",
    "kt_plus.EvolutionarySearch",
    "kt_plus.GridSearch",
    "kt_plus.BayesianOptimization",
    "kt_plus.Hyperband",
]
FIT = {"epochs": 2, "validation_data": VALIDATION, "verbose": 0}


@pytest.mark.versions
@pytest.mark.parametrize(
    "search", mostly_full(OURS, ["kt_plus.EvolutionarySearch", "kt_plus.Hyperband"])
)
def test_plain_keras_tuner_reads_our_project(search: str, tmp_path: Path) -> None:
    place = {"objective": "val_accuracy", "directory": tmp_path}
    ours = new(search, build_model, **place)
    ours.search(X, Y, **FIT)
    theirs = getattr(kt, search.removeprefix("kt_plus."), kt.RandomSearch)
    settings = {} if search == "kt_plus.Hyperband" else {"max_trials": 6}
    plain = theirs(build_model, **place, **settings)
    assert scores(plain) == scores(ours)
    assert plain.oracle.start_order == ours.oracle.start_order
    for trial_id, trial in ours.oracle.trials.items():
        assert plain.oracle.trials[trial_id].hyperparameters.values == trial.hyperparameters.values
    assert plain.get_best_hyperparameters()[0].values in [
        trial.hyperparameters.values
        for trial in ours.oracle.trials.values()
        if trial.score == max(scores(ours).values())
    ]
    assert accuracy(plain.get_best_models()[0]) == max(scores(ours).values())


@pytest.mark.versions
@pytest.mark.parametrize(
    "search", mostly_full(["kt_plus.RandomSearch", "kt_plus.EvolutionarySearch"], OURS[1:2])
)
def test_plain_keras_tuner_goes_on_with_our_project_and_we_with_that(
    search: str, tmp_path: Path
) -> None:
    place = {"objective": "val_accuracy", "directory": tmp_path}
    ours = new(search, build_model, **place)
    ours.search(X, Y, **FIT)
    plain = kt.RandomSearch(build_model, max_trials=6, **place)
    plain.search(X, Y, **FIT)
    assert statuses(plain) == {"COMPLETED"}
    assert len(scores(plain)) == 6
    resumed = new(search, build_model, **{**place, "max_trials": 8})
    assert scores(resumed) == scores(plain)
    resumed.search(X, Y, **FIT)
    assert len(scores(resumed)) == 8
    assert scores(plain).items() <= scores(resumed).items()
    first = ours.oracle.start_order[0]
    assert resumed.oracle.history.get(first) == ours.oracle.history.get(first)


def test_evolution_goes_on_with_a_project_of_plain_keras_tuner(tmp_path: Path) -> None:
    place = {"objective": "val_accuracy", "directory": tmp_path}
    plain = kt.RandomSearch(build_model, max_trials=4, **place)
    plain.search(X, Y, **FIT)
    ours = new("kt_plus.EvolutionarySearch", build_model, **{**place, "max_trials": 7})
    assert ours.oracle.start_order == plain.oracle.start_order
    assert scores(ours) == scores(plain)
    ours.search(X, Y, **FIT)
    assert len(scores(ours)) == 7
    assert scores(plain).items() <= scores(ours).items()
    for record in list(ours.oracle.history)[4:]:
        assert record.parent in ours.oracle.trials
        assert len(record.curve) == 2
    assert accuracy(ours.get_best_models()[0]) == max(scores(ours).values())


def test_what_is_kept_of_a_trial(tmp_path: Path) -> None:
    tuner = new(
        "kt_plus.EvolutionarySearch", build_model, objective="val_accuracy", directory=tmp_path
    )
    tuner.search(X, Y, **FIT)
    last = tuner.oracle.start_order[-1]
    content = json.loads(Path(tuner.get_trial_dir(last), "trial.json").read_text())
    assert content["status"] == "COMPLETED"
    assert content["score"] == max(content["kt_plus"]["curves"][0]["values"])
    lineage = content["kt_plus"]
    assert lineage["parent"] in tuner.oracle.trials
    parent = tuner.oracle.trials[lineage["parent"]].hyperparameters.values
    values = content["hyperparameters"]["values"]
    assert lineage["changed"] == [name for name in values if values[name] != parent[name]]
    assert not list(tmp_path.rglob("*.partial"))


def test_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tuner = new("kt_plus.EvolutionarySearch", build_model, objective="loss", directory=tmp_path)
    tuner.search(X, Y, **FIT)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "Trial" not in printed.err
    assert "best" not in printed.err


@pytest.mark.parametrize("fit", [{}, {"verbose": 1}, {"verbose": "auto"}])
def test_one_bar(fit: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = {"objective": "val_loss", "directory": tmp_path}
    tuner = new("kt_plus.RandomSearch", build_model, **place)
    tuner.search(X, Y, epochs=2, validation_data=VALIDATION, **fit)
    printed = capfd.readouterr()
    last = printed.err.rpartition("\r")[2]
    best = tuner.oracle.get_best_trials()[0]
    assert "Trials 3/3" in last
    assert f"best val_loss {best.score:.4g} (trial {best.trial_id})" in last
    assert "6 epochs" in last
    assert "saved" not in last  # there is no rule that could
    assert "Epoch 1/" not in printed.out  # Keras's own bars stay away
    assert "Search: Running Trial" not in printed.out


def test_a_failed_trial_is_told_beside_the_bar(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Fails(kt_plus.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            if trial.trial_id == "1":
                raise ValueError("Not as many:\n 51 inputs\n    3 targets")
            return 1.0

    Fails(build_model, max_trials=3, directory=tmp_path).search()
    printed = capfd.readouterr()
    before = printed.err.partition("Traceback (most recent call last)")[0]
    assert "Trials 0/3" in before
    assert before.rpartition("\r")[2].strip() == ""  # the traceback has lines of its own
    assert "Trial 1 has failed: ValueError: Not as many: 51 inputs 3 targets" in printed.out
    assert "Trials 3/3" in printed.err.rpartition("\r")[2]


def test_the_tables_of_keras_tuner(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tuner = new("kt_plus.RandomSearch", build_model, objective="val_loss", directory=tmp_path)
    tuner.search(X, Y, **{**FIT, "verbose": 2})
    printed = capfd.readouterr().out
    for number in (1, 2, 3):
        assert f"Search: Running Trial #{number}" in printed
        assert f"Trial {number} Complete" in printed
    assert "Best val_loss So Far:" in printed
    assert "Epoch 2/2" in printed


@pytest.mark.parametrize("search", ["kt_plus.EvolutionarySearch", "kt_plus.Hyperband"])
def test_no_deprecated_thing_is_used(search: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):  # a new project, then the same again
            tuner = new(search, build_model, objective="val_accuracy", directory=tmp_path)
            tuner.search(X, Y, **FIT)
            tuner.get_best_models()
    deprecated = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    packages = (Path(kt_plus.__file__).parent, Path(kt.__file__).parent)
    assert not [
        str(warning)
        for warning in caught
        if issubclass(warning.category, deprecated)
        and any(Path(warning.filename).is_relative_to(package) for package in packages)
    ]


@pytest.mark.parametrize("search", ["kt_plus.EvolutionarySearch", "kt_plus.Hyperband"])
def test_a_search_is_forgotten_after_use(search: str, tmp_path: Path) -> None:
    tuner = new(search, build_model, objective="val_accuracy", directory=tmp_path)
    tuner.search(X, Y, **FIT)
    remaining = [weakref.ref(tuner), weakref.ref(tuner.oracle)]
    del tuner
    gc.collect()
    assert [reference() for reference in remaining] == [None, None]
