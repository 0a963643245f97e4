"""Makes the stored projects of a version, with the package of that version.

Run it once for a release, at its commit, in the environment with the oldest Keras that is tested:

    .venv/tfx/bin/python -m tests.stored_projects.make 0.1

For a version without this folder, copy the folder into a checkout of its commit and run it there.
Give the names of some projects to make only these. The training is the same in every run; only
dates, durations, and the order in which two workers end differ.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import io
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt

import kt_plus
from tests.stored_projects import searches
from tests.stored_projects.searches import (
    FIT,
    HERE,
    INTERRUPTED_BEFORE,
    KINDS,
    TRAINING,
    auto_model,
    fitted,
    opened,
    run,
    trials,
)

REPOSITORY = HERE.parents[1]
PACKAGES = ("keras", "keras-tuner", "numpy", "optuna", "scikit-learn", "scipy", "tensorflow")
AUTO_MODEL_TRIALS = 3, 5
"""How many trials the AutoModel has when it is stored, and in the end."""

Trials = list[dict[str, Any]]

SMALLEST_GAP = 1e-4
"""Scores that differ by less, as a share of the larger one, could be ranked otherwise elsewhere."""


@contextmanager
def ending_after(number: int) -> Iterator[None]:
    """Ends searches as Ctrl-C does, between two trials, after `number` of them."""
    on_trial_end = kt.Tuner.on_trial_end

    def counted(tuner: Any, trial: Any) -> None:
        on_trial_end(tuner, trial)
        if len(tuner.oracle.end_order) == number:
            raise KeyboardInterrupt

    kt.Tuner.on_trial_end = counted
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        kt.Tuner.on_trial_end = on_trial_end


class Interrupt(keras.callbacks.Callback):
    """Kills the process in the middle of a trial; or waits to be killed.

    Args:
        tuner: The tuner, which knows the trial.
        name: The project.
        marks: Where to write that it waits; `None` kills this process.
    """

    def __init__(self, tuner: Any, name: str, marks: Path | None) -> None:
        super().__init__()
        self._tuner, self._name, self._marks = tuner, name, marks

    def __deepcopy__(self, memo: Any) -> Interrupt:
        return self

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        trial = self._tuner._trial_id
        if trial not in KINDS[self._name].killed or epoch != INTERRUPTED_BEFORE:
            return
        if self._marks is None:
            os.kill(os.getpid(), signal.SIGKILL)
        (self._marks / trial).touch()
        time.sleep(600)


def begin(name: str, directory: Path) -> Any:
    """A new search, in the class that began it."""
    kind = KINDS[name]
    search, settings = kind.began_as or (kind.search, kind.settings)
    return searches.made(search, settings, directory, name)


def begin_and_kill(name: str, directory: Path) -> None:
    """Runs the part of a search that is stored, and dies in the middle of a trial."""
    tuner = begin(name, directory)
    run(name, tuner, Interrupt(tuner, name, None))


def begin_with_workers(name: str, directory: Path) -> None:
    """Runs it with two workers, which wait in the middle of a trial each."""

    def make_tuner() -> Any:
        tuner = begin(name, directory)
        callbacks = [Interrupt(tuner, name, directory)]
        x, y = TRAINING
        return tuner, {"x": x, "y": y, "callbacks": callbacks, **FIT, **KINDS[name].fit}

    kt_plus.distribute.search(make_tuner, workers=2)


def killed(function: str, name: str, directory: Path) -> None:
    """Runs a function of this module in other processes, until they are killed."""
    call = f"from pathlib import Path; from tests.stored_projects import make; make.{function}"
    program = f"{call}({name!r}, Path({str(directory)!r}))"
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    if function == "begin_and_kill":
        assert process.wait() == -signal.SIGKILL
        return
    while not all((directory / trial).exists() for trial in KINDS[name].killed):
        assert process.poll() is None, "The search has ended."
        time.sleep(0.1)
    for number in processes_of(process.pid):
        os.kill(number, signal.SIGKILL)
    process.wait()
    for trial in KINDS[name].killed:
        (directory / trial).unlink()


def processes_of(session: int) -> list[int]:
    """All processes of a session, by their ids."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found.append(int(entry.parent.name))
    return found


def make(name: str, place: Path, scratch: Path) -> dict[str, Any]:
    """Stores one project; the trials in it, and those that follow when it resumes."""
    if name == "auto_model":
        return make_auto_model(place, scratch)
    kind, begun = KINDS[name], scratch / "begun"
    begun.mkdir()
    if kind.killed:
        killed("begin_and_kill" if len(kind.killed) == 1 else "begin_with_workers", name, begun)
    else:
        with ending_after(kind.stored):
            run(name, begin(name, begun))
    store(begun / name, place / name)
    stored, continued = resume(name, place, scratch)
    assert len(stored) == kind.stored, [trial["id"] for trial in stored]
    if kind.began_as is None and len(kind.killed) < 2:
        whole = begin(name, scratch / "whole")
        run(name, whole)
        assert trials(whole) == continued, "The resumed search differs from the uninterrupted one."
    return {"stored": stored, "continuation": since(stored, continued)}


def make_auto_model(place: Path, scratch: Path) -> dict[str, Any]:
    """Stores a finished AutoModel; its trials and predictions, and the trials that follow."""
    auto = fitted(auto_model(scratch, AUTO_MODEL_TRIALS[0]))
    predicted = auto.predict_proba(searches.X[:5]).tolist()
    store(scratch / "auto_model", place / "auto_model")
    stored, continued = resume("auto_model", place, scratch)
    return {"stored": stored, "predicted": predicted, "continuation": since(stored, continued)}


def resume(name: str, place: Path, scratch: Path) -> tuple[Trials, Trials]:
    """The trials of a stored project, and those after a copy of it has resumed."""
    folder = scratch / "resumed"
    shutil.copytree(place / name, folder / name)
    if name == "auto_model":
        auto = fitted(auto_model(folder, AUTO_MODEL_TRIALS[1]))
        continued = trials(auto.tuner)
        return continued[: AUTO_MODEL_TRIALS[0]], continued
    tuner = opened(name, folder)
    stored = trials(tuner)
    run(name, tuner)
    continued = trials(tuner)
    check_gaps(continued)
    return stored, continued


def since(stored: Trials, continued: Trials) -> Trials:
    """The trials that began, or ended, after the project was stored."""
    assert [t["id"] for t in continued[: len(stored)]] == [t["id"] for t in stored]
    return [trial for trial in continued if trial not in stored]


def store(project: Path, target: Path) -> None:
    """Copies a project, without its logs."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(project, target, ignore=shutil.ignore_patterns("logs"))
    forbidden = {socket.gethostname(), str(Path.home()), tempfile.gettempdir()}
    forbidden |= {str(REPOSITORY), sys.prefix}
    for path in target.rglob("*"):
        if path.is_file():
            content = b"".join(contents(path.read_bytes()))
            found = [word for word in forbidden if word.encode() in content]
            assert not found, f"{path} names this machine: {found}"


def contents(file: bytes) -> Iterator[bytes]:
    """What is in a file, and in the files in it if it is an archive."""
    yield file
    if zipfile.is_zipfile(io.BytesIO(file)):
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            for name in archive.namelist():
                yield from contents(archive.read(name))


def check_gaps(continued: list[dict[str, Any]]) -> None:
    """Raises if two scores are nearly the same."""
    scores = sorted(trial["score"] for trial in continued)
    gaps = [(high - low) / max(abs(low), abs(high)) for low, high in pairwise(scores)]
    print(f"  smallest gap between scores: {min(gaps):.1e}", flush=True)
    assert min(gaps) > SMALLEST_GAP


def made_with() -> dict[str, str]:
    """The versions that matter, and the commit of the package."""
    git = ["git", "-C", str(REPOSITORY)]
    assert Path(kt_plus.__file__).is_relative_to(REPOSITORY), kt_plus.__file__
    changed = subprocess.check_output([*git, "status", "--porcelain", "kt_plus"], text=True)
    assert not changed, f"The package is not that of the commit: {changed}"
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"commit": commit, "python": platform.python_version(), **versions}


def write(path: Path, golden: dict[str, Any]) -> None:
    """Writes the expectations, a trial a line."""
    sections = []
    for name in sorted(golden):
        parts = []
        for part, value in golden[name].items():
            lines = ",\n".join(f"   {json.dumps(each)}" for each in value)
            parts.append(f"  {json.dumps(part)}: [\n{lines}\n  ]")
        sections.append(f" {json.dumps(name)}: {{\n" + ",\n".join(parts) + "\n }")
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n")


def main() -> None:
    """Makes projects, or updates the expected continuations of stored ones."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("version", help="the folder, such as 0.1")
    parser.add_argument("names", nargs="*", help="the projects; all by default")
    parser.add_argument(
        "--continuation",
        action="store_true",
        help="keep the projects, and expect of the named ones the trials of this version",
    )
    options = parser.parse_args()
    place = HERE / options.version
    file = place / "golden.json"
    golden = json.loads(file.read_text()) if file.exists() else {}
    place.mkdir(exist_ok=True)
    versions = {} if options.continuation else made_with()
    for name in options.names or (*KINDS, "auto_model"):
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            if options.continuation:
                stored, continued = resume(name, place, Path(folder))
                golden[name]["continuation"] = since(stored, continued)
            else:
                golden[name] = make(name, place, Path(folder))
    write(file, golden)
    if not options.continuation:
        (place / "made_with.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    gc.collect()
    gc.freeze()  # Keras Tuner collects garbage before each build
    main()
