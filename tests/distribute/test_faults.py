"""No death of a process ends a search."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus.errors import ParallelSearchError
from tests.distribute import searches
from tests.distribute.searches import check_complete, once, processes, running, sums

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def test_undisturbed(tmp_path: Path) -> None:
    tuner = kt_plus.distribute.search(sums(tmp_path), workers=2)
    check_complete(tuner, tmp_path)
    assert [len(ids) for ids in processes(tmp_path).values()] == [1, 1, 1]
    # The same call again finds nothing to do.
    again = kt_plus.distribute.search(sums(tmp_path), workers=1)
    assert [*again.oracle.trials] == [*tuner.oracle.trials]
    check_complete(again, tmp_path)


@pytest.mark.parametrize("action", [searches.kill_self, searches.kill_chief])
def test_a_process_dies(action: Any, tmp_path: Path) -> None:
    sabotage = once(tmp_path, "04", 1, action)
    tuner = kt_plus.distribute.search(sums(tmp_path, sabotage), workers=2)
    check_complete(tuner, tmp_path)
    started = {name: len(ids) for name, ids in processes(tmp_path).items()}
    if action is searches.kill_chief:  # the workers outlive it
        assert started == {"chief": 2, "worker0": 1, "worker1": 1}
    else:
        assert started["chief"] == 1
        assert sorted([started["worker0"], started["worker1"]]) == [1, 2]


def test_a_worker_hangs(tmp_path: Path) -> None:
    sabotage = once(tmp_path, "04", 1, searches.hang)
    tuner = kt_plus.distribute.search(sums(tmp_path, sabotage), workers=2, timeout=5)
    check_complete(tuner, tmp_path)
    logs = [path.read_text() for path in tmp_path.glob("p/logs/worker*.log")]
    assert sum("in hang" in log for log in logs) == 1  # where it hung


def test_the_chief_hangs(tmp_path: Path) -> None:
    """First while it makes the tuner, then while it holds the search's lock."""

    def hang_once(where: str) -> None:
        mark = tmp_path / where
        if os.environ.get("KERASTUNER_TUNER_ID") == "chief" and not mark.exists():
            mark.touch()
            searches.hang(tmp_path)

    def make_tuner() -> Any:
        hang_once("making")
        tuner, fit_kwargs = sums(tmp_path)()
        propose = tuner.oracle.propose if isinstance(tuner.oracle, kt_plus.Oracle) else None

        def proposing(trial_id: str) -> Any:
            if trial_id == "05":
                hang_once("proposing")
            return propose(trial_id)

        tuner.oracle.propose = proposing
        return tuner, fit_kwargs

    tuner = kt_plus.distribute.search(make_tuner, workers=2, timeout=8)
    check_complete(tuner, tmp_path)
    assert (tmp_path / "making").exists()
    assert (tmp_path / "proposing").exists()
    assert "in hang" in (tmp_path / "p" / "logs" / "chief.log").read_text()


def test_a_process_that_hangs_before_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is sent is more than a pipe holds; still the search ends, with an error."""
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(600)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("kt_plus.distribute.template._shared", [0, None])
    monkeypatch.setattr("kt_plus.distribute.template.PATIENCE", 1.0)
    monkeypatch.setattr("kt_plus.distribute.supervisor.START", 1.0)
    data = os.urandom(2**20)
    began = time.monotonic()
    with pytest.raises(ParallelSearchError, match="it hung: 1 seconds for it to import"):
        kt_plus.distribute.search(lambda: data, workers=1, max_restarts=1)
    assert time.monotonic() - began < 30


def test_a_trial_kills_its_process_every_time(tmp_path: Path) -> None:
    def sabotage(tuner: Any, trial: Any, epoch: int) -> None:
        if trial.trial_id in ("02", "07") and epoch == 1:
            searches.kill_self(tmp_path)

    make_tuner = sums(tmp_path, sabotage)
    tuner = kt_plus.distribute.search(make_tuner, workers=2, max_crashes_per_trial=2)
    for trial_id, trial in tuner.oracle.trials.items():
        assert trial.status == ("FAILED" if trial_id in ("02", "07") else "COMPLETED")
    message = tuner.oracle.trials["07"].message
    assert "killed by SIGKILL" in message
    assert "died 2 times without a new epoch" in message
    scores = [trial.score for trial in tuner.oracle.trials.values() if trial.score is not None]
    assert tuner.oracle.get_best_trials()[0].score == min(scores)
    assert not running(tmp_path)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_caller_is_ended(end: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C, or a kill: nothing is left, and the same call resumes the search."""
    sabotage = once(tmp_path, "06", 1, searches.hang)
    program = [sys.executable, "-m", "tests.distribute.interrupted", str(tmp_path)]
    caller = subprocess.Popen(program, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    mark = tmp_path / "done-06-1"
    until = time.monotonic() + 300  # it imports TensorFlow
    while not mark.exists() and caller.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert mark.exists(), "the search has not come to its seventh trial"
    os.kill(caller.pid, end)
    began = time.monotonic()
    _, errors = caller.communicate(timeout=30)
    while running(tmp_path) and time.monotonic() - began < 30:
        time.sleep(0.05)
    assert time.monotonic() - began < 12
    assert not running(tmp_path)
    assert ("KeyboardInterrupt" in errors) == (end == signal.SIGINT)
    before = {path: path.read_text() for path in tmp_path.glob("p/trial_0[0-4]/trial.json")}
    tuner = kt_plus.distribute.search(sums(tmp_path, sabotage), workers=3)
    check_complete(tuner, tmp_path)
    assert before == {path: path.read_text() for path in before}


def test_a_worker_that_cannot_be_kept_running(tmp_path: Path) -> None:
    """The search goes on without one such worker, and ends with an error without any."""

    def broken_in(*names: str) -> Any:
        def make_tuner() -> Any:
            if os.environ.get("KERASTUNER_TUNER_ID") in names:
                print("No such device")
                os.kill(os.getpid(), signal.SIGKILL)
            return sums(tmp_path)()

        return make_tuner

    with pytest.raises(ParallelSearchError, match=r"(?s)worker0 has died 2 times.*No such device"):
        kt_plus.distribute.search(broken_in("worker0"), workers=1, max_restarts=1)
    with pytest.raises(ParallelSearchError, match=r"(?s)chief has died 2 times.*the same call"):
        kt_plus.distribute.search(broken_in("chief"), workers=1, max_restarts=1)
    with pytest.warns(UserWarning, match=r"(?s)worker1 has died 2 times.*goes on without it"):
        tuner = kt_plus.distribute.search(broken_in("worker1"), workers=2, max_restarts=1)
    check_complete(tuner, tmp_path)


def test_errors_arrive_with_their_traceback(tmp_path: Path) -> None:
    def raises(tuner: Any, trial: Any, epoch: int) -> None:
        if epoch == 1:
            a_name_to_be_found()

    def a_name_to_be_found() -> None:
        raise ArithmeticError("the model diverged")

    with pytest.raises(RuntimeError, match="consecutive failures") as caught:
        kt_plus.distribute.search(sums(tmp_path, raises), workers=2)
    assert "a_name_to_be_found" in str(caught.value)
    assert "ArithmeticError: the model diverged" in str(caught.value)

    def fails() -> Any:
        return a_name_to_be_found()

    with pytest.raises(ArithmeticError, match="the model diverged") as caught_too:
        kt_plus.distribute.search(fails, workers=1)
    assert "a_name_to_be_found" in str(caught_too.value.__cause__)

    def fails_in_worker() -> Any:
        if "worker" in os.environ.get("KERASTUNER_TUNER_ID", ""):
            a_name_to_be_found()
        return sums(tmp_path / "other")()

    with pytest.raises(ArithmeticError, match="the model diverged"):
        kt_plus.distribute.search(fails_in_worker, workers=1)
    assert not running(tmp_path)


def test_a_few_failed_trials_say_why(tmp_path: Path) -> None:
    def raises(tuner: Any, trial: Any, epoch: int) -> None:
        if trial.trial_id == "03":
            raise ArithmeticError("the model diverged")

    tuner = kt_plus.distribute.search(sums(tmp_path, raises), workers=2)
    assert tuner.oracle.trials["03"].status == "FAILED"
    assert "ArithmeticError: the model diverged" in tuner.oracle.trials["03"].message
    assert [t.status for t in tuner.oracle.trials.values()].count("COMPLETED") == 9
