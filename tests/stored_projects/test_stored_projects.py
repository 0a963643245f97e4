"""Projects of released versions resume: nothing is lost, and proposals are those of the release.

README.md says how to treat a failure.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import shutil
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from tests import on_jax
from tests.stored_projects.searches import (
    FIT,
    HERE,
    INTERRUPTED_BEFORE,
    KINDS,
    TRAINING,
    VALIDATION,
    Epochs,
    X,
    auto_model,
    fitted,
    made,
    opened,
    run,
    trials,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

Trials = list[dict[str, Any]]

VERSIONS = sorted(folder.parent.name for folder in HERE.glob("*/golden.json"))
OTHER_MODEL = {"bayesian", "keras_tuner"}
"""Those that continue with a surrogate which the version that wrote them did not have."""
CASES = [(version, name) for version in VERSIONS for name in KINDS if name not in OTHER_MODEL]
ONE_RUNG = {*KINDS} - {"halving", "asha", "hyperband"}
WITH_STATES = {"halving", "asha", "interrupted", "interrupted_workers"}
"""Those with the state of a training in them, which fits the backend that has written it."""


@cache
def golden(version: str) -> Any:
    return json.loads((HERE / version / "golden.json").read_text())


def made_with(version: str) -> Any:
    return json.loads((HERE / version / "made_with.json").read_text())


def copied(version: str, name: str, directory: Path) -> Path:
    """A copy of a project, in which searches may write."""
    shutil.copytree(HERE / version / name, directory / name)
    return directory


def open_quietly(name: str, directory: Path) -> Any:
    """The tuner of a project, which opens without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return opened(name, directory)


def resume(version: str, name: str, tuner: Any) -> Trials:
    """Resumes a project; all its trials, among them the stored ones as they were."""
    before = golden(version)[name]["stored"]
    assert trials(tuner) == before
    Epochs.begun.clear()
    run(name, tuner)
    after = trials(tuner)
    check_kept(before, after)
    assert len(after) == KINDS[name].settings.get("max_trials", len(after))
    assert {trial["status"] for trial in after} == {"completed"}
    return after


def check_kept(before: Trials, after: Trials) -> None:
    """Raises unless the trials that had ended are the same, and the running ones have ended."""
    for old, new in zip(before, after, strict=False):
        if old["status"] == "completed":
            assert new == old
        else:
            same = ("id", "values", "parent", "rung", "first_epoch")
            assert {key: new[key] for key in same} == {key: old[key] for key in same}
            assert new["curves"][0][: len(old["curves"][0])] == old["curves"][0]


def check_continuation(version: str, name: str, after: Trials) -> None:
    """Raises unless the trials since are those of the uninterrupted search of that version."""
    if name == "optuna" and made_with(version)["optuna"] != importlib.metadata.version("optuna"):
        return  # another version of its sampler may suggest other values
    expected = golden(version)[name]["continuation"]
    found = after[len(after) - len(expected) :]
    for trial, wanted in zip(found, expected, strict=True):
        check_trial(trial, wanted)


def check_trial(trial: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises if it was proposed otherwise, or trained otherwise but for rounding."""
    assert trial["values"].keys() == wanted["values"].keys(), wanted["id"]
    for key, value in wanted["values"].items():
        assert trial["values"][key] == approximately(value, 1e-6), (wanted["id"], key)
    for key in ("id", "parent", "rung", "status", "stopped", "first_epoch"):
        assert trial[key] == wanted[key], (wanted["id"], key)
    assert trial["score"] == approximately(wanted["score"], 1e-4), wanted["id"]
    for curve, wanted_curve in zip(trial["curves"], wanted["curves"], strict=True):
        assert curve == approximately(wanted_curve, 1e-4), wanted["id"]


def approximately(value: Any, share: float) -> Any:
    return pytest.approx(value, rel=share) if type(value) in (float, list) else value


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_project_resumes_as_in_its_own_version(version: str, name: str, tmp_path: Path) -> None:
    if name == "optuna":
        pytest.importorskip("optuna")
    tuner = open_quietly(name, copied(version, name, tmp_path))
    after = resume(version, name, tuner)
    check_continuation(version, name, after)
    if KINDS[name].killed:
        assert Epochs.begun[0] == INTERRUPTED_BEFORE  # its checkpoint was used
        # One epoch of each interrupted trial was left.
        before = golden(version)[name]["stored"]
        whole = sum(len(trial["curves"][0]) for trial in after[len(before) :])
        assert len(Epochs.begun) == whole + len(KINDS[name].killed)


@pytest.mark.parametrize("version", VERSIONS)
def test_bayesian_optimization_resumes_with_another_model(version: str, tmp_path: Path) -> None:
    """Version 0.1 used Keras Tuner's model: what it proposed next is not what ours proposes."""
    with pytest.warns(UserWarning, match="began with Keras Tuner's Gaussian process") as caught:
        tuner = opened("bayesian", copied(version, "bayesian", tmp_path))
    assert [w.filename for w in caught] == [opened.__code__.co_filename]
    after = resume(version, "bayesian", tuner)
    assert all(trial["score"] is not None for trial in after)
    open_quietly("bayesian", tmp_path)  # warned once


@pytest.mark.parametrize("version", VERSIONS)
def test_a_project_of_keras_tuner_continues_with_a_surrogate(version: str, tmp_path: Path) -> None:
    tuner = open_quietly("keras_tuner", copied(version, "keras_tuner", tmp_path))
    assert tuner.oracle.strategy.surrogate == "gaussian_process"
    after = resume(version, "keras_tuner", tuner)
    assert all(trial["parent"] is not None for trial in after[4:])


@pytest.mark.parametrize(("version", "name"), [(v, n) for v in VERSIONS for n in KINDS])
def test_plain_keras_tuner_opens_a_project(
    version: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = getattr(kt, KINDS[name].search.__name__, kt.RandomSearch)
    known = inspect.signature(theirs).parameters
    settings = {k: v for k, v in KINDS[name].settings.items() if k in known}
    if name == "interrupted_workers":  # Keras Tuner opens the project of its own tuner id only
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    plain = made(theirs, settings, copied(version, name, tmp_path), name)
    stored = golden(version)[name]["stored"]
    assert sorted(plain.oracle.trials) == [trial["id"] for trial in stored]
    for trial in stored:
        read = plain.oracle.trials[trial["id"]]
        assert trial["values"].items() <= read.hyperparameters.values.items()
        assert read.score == (None if trial["score"] is None else -trial["score"])
    if name in ONE_RUNG:
        best = max((t for t in stored if t["score"] is not None), key=lambda t: t["score"])
        assert best["values"].items() <= plain.get_best_hyperparameters()[0].values.items()
        model = plain.get_best_models()[0]
        if name != "rule_and_folds":  # whose score is the mean of the folds
            loss = model.evaluate(*VALIDATION, verbose=0)
            assert loss == pytest.approx(-best["score"], rel=1e-4)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_finished_auto_model_predicts_and_resumes(version: str, tmp_path: Path) -> None:
    stored = golden(version)["auto_model"]
    copied(version, "auto_model", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = kt_plus.AutoModel.load(str(tmp_path))
    assert loaded.predict_proba(X[:5]) == pytest.approx(np.array(stored["predicted"]), rel=1e-4)
    expected = stored["continuation"]
    total = len(stored["stored"]) + len(expected)
    auto = fitted(auto_model(tmp_path, total))
    after = trials(auto.tuner)
    check_kept(stored["stored"], after)
    assert len(after) == total
    # The scores follow from random initial weights, which differ between versions of Keras; the
    # proposals do not, as all are draws at random.
    for trial, wanted in zip(
        after[-len(stored["continuation"]) :], stored["continuation"], strict=True
    ):
        assert (trial["id"], trial["parent"]) == (wanted["id"], wanted["parent"])
        assert trial["values"] == {k: approximately(v, 1e-6) for k, v in wanted["values"].items()}
    assert set(auto.predict(X)) <= {"large", "small"}


@pytest.mark.full
@pytest.mark.parametrize("names", [[*KINDS][first::4] for first in range(4)], ids=" ".join)
@pytest.mark.parametrize("version", VERSIONS)
def test_projects_resume_on_jax(version: str, names: list[str], tmp_path: Path) -> None:
    for name in names:
        copied(version, name, tmp_path)
    printed = on_jax.printed("-m", "tests.stored_projects.searches", str(tmp_path), *names)
    for name, after in json.loads(printed.splitlines()[-1]).items():
        before = golden(version)[name]["stored"]
        ended = [trial for trial in before if trial["status"] == "completed"]
        assert after[: len(ended)] == ended
        assert {trial["status"] for trial in after} == {"completed"}
        expected = golden(version)[name]["continuation"]
        assert {trial["id"] for trial in expected} <= {trial["id"] for trial in after}
        if name not in WITH_STATES | OTHER_MODEL:
            check_continuation(version, name, after)


@pytest.mark.full
@pytest.mark.parametrize("name", ["evolution", "interrupted", "interrupted_workers", "asha"])
@pytest.mark.parametrize("version", VERSIONS)
def test_projects_resume_with_two_workers(version: str, name: str, tmp_path: Path) -> None:
    copied(version, name, tmp_path)

    def make_tuner() -> Any:
        x, y = TRAINING
        return opened(name, tmp_path), {"x": x, "y": y, **FIT, **KINDS[name].fit}

    tuner = kt_plus.distribute.search(make_tuner, workers=2)
    before, after = golden(version)[name]["stored"], trials(tuner)
    check_kept(before, after)
    assert {trial["status"] for trial in after} == {"completed"}
    assert len(after) == KINDS[name].settings.get("max_trials", len(after))
    assert len(after) > len(before)
