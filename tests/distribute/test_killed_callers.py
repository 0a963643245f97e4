"""The caller of a parallel search is killed while its workers run: the next call needs nobody."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus.errors import ProjectInUseError
from tests.distribute.killed_caller import EPOCH_SECONDS, make_tuner
from tests.distribute.searches import check_complete, hang, once, processes, running, sums
from tests.owners import owned_elsewhere, owner_of, wait_for

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def begin(program: str, directory: Path, until: Callable[[], bool]) -> subprocess.Popen[bytes]:
    """Starts a parallel search by another process; returns when its workers run trials."""
    command = [sys.executable, "-m", f"tests.distribute.{program}", str(directory)]
    caller = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    wait_for(lambda: until() or caller.poll() is not None, 300)  # it imports TensorFlow
    assert caller.poll() is None
    return caller


def kill_and_call(caller: subprocess.Popen[bytes], make_tuner: Any, directory: Path) -> None:
    """Kills the caller of a search, and makes the same call at once."""
    assert owner_of(directory / "p").supervisor.pid == caller.pid
    os.kill(caller.pid, signal.SIGKILL)
    before = {path: path.read_text() for path in directory.glob("p/trial_*/trial.json")}
    completed = {path: text for path, text in before.items() if '"COMPLETED"' in text}
    tuner = kt_plus.distribute.search(make_tuner, workers=2)
    caller.wait()
    check_complete(tuner, directory)
    assert {path: path.read_text() for path in completed} == completed


def kill_at_a_random_moment(directory: Path, turn: int) -> None:
    directory.mkdir()
    caller = begin("killed_caller", directory, lambda: len([*directory.glob("p/trial_*")]) >= 2)
    time.sleep(random.Random(turn).uniform(0, 12 * EPOCH_SECONDS))
    kill_and_call(caller, functools.partial(make_tuner, directory), directory)


def test_the_caller_is_killed(tmp_path: Path) -> None:
    kill_at_a_random_moment(tmp_path / "p", 0)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_caller_is_killed_twenty_times(tmp_path: Path) -> None:
    for turn in range(20):
        kill_at_a_random_moment(tmp_path / str(turn), turn)


def test_a_second_call_is_refused(tmp_path: Path) -> None:
    """Nothing of the first one's project changes, its logs included; then that one is killed."""
    again = sums(tmp_path, once(tmp_path, "06", 1, hang))
    caller = begin("interrupted", tmp_path, (tmp_path / "done-06-1").exists)
    try:
        started = processes(tmp_path)
        with pytest.raises(ProjectInUseError, match=f"started by process {caller.pid}") as caught:
            kt_plus.distribute.search(again, workers=1)
        assert f"end process {caller.pid}" in str(caught.value)
        assert processes(tmp_path) == started
        kill_and_call(caller, again, tmp_path)
    finally:
        caller.kill()


def test_overwriting_the_project_of_another_process(tmp_path: Path) -> None:
    kt_plus.distribute.search(sums(tmp_path, max_trials=3), workers=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with owned_elsewhere(tmp_path / "p") as pid:
        before[tmp_path / "p" / "owner.json"] = (tmp_path / "p" / "owner.json").read_bytes()
        with pytest.raises(ProjectInUseError, match=f"process {pid} on"):
            kt_plus.distribute.search(sums(tmp_path, max_trials=3, overwrite=True), workers=1)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before
    assert not running(tmp_path)
