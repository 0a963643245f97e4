"""What may be given to a parallel search, and what it gives back."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.distribute.processes import Machine, visible_gpus
from tests.distribute.searches import check_complete, processes, space, sums


class TunerFnResult(NamedTuple):
    """As TFX has it."""

    tuner: Any
    fit_kwargs: dict[str, Any]


@pytest.mark.slow
def test_isolated_trials(tmp_path: Path) -> None:
    def make_tuner() -> Any:
        return TunerFnResult(*sums(tmp_path, max_trials=5)())

    tuner = kt_plus.distribute.search(make_tuner, workers=2, isolate=True)
    assert [t.status for t in tuner.oracle.trials.values()] == ["COMPLETED"] * 5
    started = processes(tmp_path)
    ids = started["worker0"] + started["worker1"]
    assert len(started["chief"]) == 1
    assert len(set(ids)) == len(ids) >= 5


@pytest.mark.slow
def test_overwrite_counts_once(tmp_path: Path) -> None:
    kt_plus.distribute.search(sums(tmp_path, max_trials=3), workers=1)
    assert (tmp_path / "p" / "trial_2").exists()
    tuner = kt_plus.distribute.search(sums(tmp_path, max_trials=2, overwrite=True), workers=1)
    assert [*tuner.oracle.trials] == ["0", "1"]
    assert not (tmp_path / "p" / "trial_2").exists()
    assert len(processes(tmp_path)["chief"]) == 1


@pytest.mark.slow
def test_a_tuner_of_keras_tuners_own(tmp_path: Path) -> None:
    """With an oracle of ours, and its arguments apart."""

    def make_tuner() -> Any:
        class Plain(kt.engine.base_tuner.BaseTuner):
            def run_trial(self, trial: Any, factor: int, *, offset: int) -> float:
                return factor * trial.hyperparameters.values["x"] + offset

        oracle = kt_plus.oracles.RandomSearchOracle(
            kt.Objective("default_objective", "min"), 10, seed=1, hyperparameters=space()
        )
        tuner = Plain(oracle, directory=tmp_path, project_name="p")
        return tuner, (2,), {"offset": 7}

    tuner = kt_plus.distribute.search(make_tuner, workers=2)
    scores = sorted(trial.score for trial in tuner.oracle.trials.values())
    assert scores == [2 * x + 7 for x in range(10)]


@pytest.mark.slow
def test_a_directory_of_ones_own(tmp_path: Path) -> None:
    """A worker that has not the chief's directory says so at the start."""

    def make_tuner() -> Any:
        return sums(tmp_path / os.environ.get("KERASTUNER_TUNER_ID", "caller"))()

    with pytest.raises(kt_plus.errors.StorageError, match="cannot see what the chief has written"):
        kt_plus.distribute.search(make_tuner, workers=1)


@pytest.mark.slow
def test_a_remote_directory(tmp_path: Path) -> None:
    """One that is reached through tf.io.gfile, as gs:// is."""
    tuner = kt_plus.distribute.search(sums(f"file://{tmp_path}"), workers=2)
    check_complete(tuner, tmp_path)
    assert (tmp_path / "p" / "worker1.json").exists()


@pytest.mark.parametrize("place", ["ram://searches", "ram://a/b"])
def test_a_directory_that_loses_files(place: str) -> None:
    """TensorFlow's own in-memory file system appends where a file should be replaced."""
    with pytest.raises(ValueError, match=r"ram://.*would be damaged.*/dev/shm"):
        sums(place)()


@pytest.mark.slow
def test_an_address_of_another_machine(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1.*the chief's own machine"):
        kt_plus.distribute.search(sums(tmp_path), workers=1, address="192.0.2.1")


@pytest.mark.slow
def test_verbose_2_shows_every_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kt_plus.distribute.search(sums(tmp_path, max_trials=3, verbose=2), workers=2)
    shown = capsys.readouterr()
    for number in (1, 2, 3):
        assert f"Search: Running Trial #{number}" in shown.out
        assert f"Trial {number} Complete" in shown.out
    assert "Trials" not in shown.err  # no bar


@pytest.mark.slow
def test_each_worker_has_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA would be told in each process, of those that the caller may use."""
    names = ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH", "OMP_NUM_THREADS")

    def make_tuner() -> Any:
        told = [os.environ.get(name) for name in names]
        place = tmp_path / os.environ.get("KERASTUNER_TUNER_ID", "caller")
        place.with_suffix(".json").write_text(json.dumps(told))
        return sums(tmp_path, max_trials=6)()

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5ad1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kt_plus.distribute.search(make_tuner, workers=3)
    told = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert told == {
        "caller": ["3, GPU-5ad1", None, "1"],
        "chief": ["-1", None, "1"],
        "worker0": ["3", "true", "1"],
        "worker1": ["GPU-5ad1", "true", "1"],
        "worker2": ["3", "true", "1"],
    }


def test_gpus_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the program of the driver, unless the user has chosen, or none."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
    program = tmp_path / "nvidia-smi"
    for script, found in (("printf '0\\n1\\n'", ["0", "1"]), ("echo No devices; exit 6", [])):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert visible_gpus() == found
    for chosen, found in (("2,5", ["2", "5"]), ("", []), ("-1", []), ("MIG-7/1/0", ["MIG-7/1/0"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert visible_gpus() == found


@pytest.mark.slow
def test_another_address_warns(tmp_path: Path) -> None:
    for address, warns in (("localhost", False), ("0.0.0.0", True)):
        place = tmp_path / address
        tuner = kt_plus.distribute.search(sums(place), workers=1, address=address)
        check_complete(tuner, place)
        log = (place / "p" / "logs" / "chief.log").read_text()
        assert ("no authentication" in log.replace("\n", " ")) == warns


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "error"),
    [
        (None, TypeError),
        (({}, {}), TypeError),
        ("plain", ValueError),
    ],
)
def test_bad_make_tuner(made: Any, error: type[Exception], tmp_path: Path) -> None:
    def make_tuner() -> Any:
        if made == "plain":
            return kt.RandomSearch(lambda hp: None, "loss", 1, directory=tmp_path), {}
        return made

    with pytest.raises(error, match="Expected"):
        kt_plus.distribute.search(make_tuner, workers=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"workers": 0},
        {"workers": True},
        {"backend": "threads"},
        {"timeout": 0},
        {"max_restarts": -1},
        {"max_crashes_per_trial": 0},
        {"resources": {"num_cpus": 1}},
    ],
)
def test_bad_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kt_plus.distribute.search(lambda: None, **arguments)
    with pytest.raises(ValueError, match="make_tuner"):
        kt_plus.distribute.search("tuner")


def test_what_cannot_be_pickled() -> None:
    lock = threading.Lock()
    with pytest.raises(ValueError, match="Make what cannot be pickled"):
        kt_plus.distribute.search(lambda: lock, workers=1)


def test_shares_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kt_plus.distribute.processes.processors", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    machine = Machine(workers=3)
    environments = [machine.environment(place) for place in range(3)]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments] == ["2", "5", "2"]
    assert {e["TF_FORCE_GPU_ALLOW_GROWTH"] for e in environments} == {"true"}
    assert {e["OMP_NUM_THREADS"] for e in environments} == {"2"}
    assert {e["TF_NUM_INTEROP_THREADS"] for e in environments} == {"7"}
    assert machine.environment(None)["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in Machine(workers=2).environment(0)
    assert Machine(workers=1, gpus=[1]).environment(0)["CUDA_VISIBLE_DEVICES"] == "1"
