"""One owner per folder: who may write, and when an owner counts as dead."""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from kt_plus.engine import ownership
from kt_plus.engine.ownership import Ownership
from kt_plus.engine.process_identity import ProcessIdentity
from kt_plus.errors import ProjectInUseError, StorageError
from tests.errors import raises_in_three_parts
from tests.owners import fork, kill, owned_elsewhere, owner_of, wait, wait_for

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")

PLACES = ("{}", "file://{}")
"""A folder with locks, and one at a store that has none."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"GRACE": 0.3, "SETTLING": 0.05, "RECHECK": 0.0, "BEAT": 0.1}.items():
        monkeypatch.setattr(ownership, name, seconds)
    monkeypatch.setattr(ownership, "TIMEOUT", 1.0)


def takes(folder: Path | str) -> float:
    """Takes a folder once; returns the seconds that it took."""
    began = time.monotonic()
    with Ownership(str(folder)).held():
        return time.monotonic() - began


def on_another_machine() -> None:
    """Lets this process pass for one of another machine."""
    elsewhere = replace(ProcessIdentity.current(), host="elsewhere", kernel="another")
    ProcessIdentity.current = classmethod(lambda cls: elsewhere)  # type: ignore[method-assign]


def describe(folder: Path, **changes: Any) -> Path:
    """Writes the description of an owner that has not ended, with some entries changed."""
    with Ownership(str(folder)).held():
        pass
    path = folder / "owner.json"
    content = json.loads(path.read_text())
    process = {**content["process"], **changes.pop("process", {})}
    path.write_text(json.dumps({**content, "ended": False, "process": process, **changes}))
    return path


@pytest.mark.parametrize("place", PLACES)
def test_another_process_is_refused_by_name(place: str, tmp_path: Path) -> None:
    folder = place.format(tmp_path / "p")
    with owned_elsewhere(folder) as pid:
        since = owner_of(folder).since
        with raises_in_three_parts(
            ProjectInUseError,
            happened=f"process {pid} on host {socket.gethostname()} since {since}",
            expected="one search at a time",
        ) as caught:
            takes(folder)
        assert f"end process {pid}" in str(caught.value)
        assert "`project_name`" in str(caught.value)
    takes(folder)


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(number: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with (
        owned_elsewhere(tmp_path) as pid,
        pytest.raises(ProjectInUseError, match=f"process {pid} on host"),
    ):
        takes(tmp_path)
    assert takes(tmp_path) < 0.3
    assert wait(fork(lambda: takes(tmp_path))) == 0


def test_files_that_remain(tmp_path: Path) -> None:
    takes(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["owner.json", "owner.lock"]
    assert owner_of(tmp_path).ended
    assert os.path.getsize(tmp_path / "owner.lock") == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_owner_leaves_the_folder_at_once(place: str, tmp_path: Path) -> None:
    folder = place.format(tmp_path / "p")
    for _ in range(5):
        with owned_elsewhere(folder):
            pass  # it is killed here
        assert takes(folder) < 0.3


def test_a_child_of_a_killed_owner_does_not_keep_the_folder(tmp_path: Path) -> None:
    def work() -> None:
        with Ownership(str(tmp_path / "p")).held():
            (tmp_path / "child").write_text(str(fork(threading.Event().wait)))
            threading.Event().wait()

    owner = fork(work)
    wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    kill(owner)
    child = int((tmp_path / "child").read_text())
    os.kill(child, 0)  # it lives
    try:
        assert takes(tmp_path / "p") < 0.3
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_python_does_not_know_of(tmp_path: Path) -> None:
    """A library forks: the child keeps the lock, and only the dead owner tells that it is free."""

    def work() -> None:
        with Ownership(str(tmp_path / "p")).held():
            child = ctypes.CDLL(None).fork()
            if child:
                (tmp_path / "child").write_text(str(child))
            while True:
                time.sleep(60)

    owner = fork(work)
    wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    try:
        with pytest.raises(ProjectInUseError):
            takes(tmp_path / "p")
        kill(owner)
        with Ownership(str(tmp_path / "p")).held():  # and its lock is one like any other
            refused = fork(lambda: takes(tmp_path / "p"))
            assert wait(refused) == 1
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert takes(tmp_path / "p") < 0.3


def test_a_child_takes_part_but_does_not_search(tmp_path: Path) -> None:
    def in_child(work: Callable[[], Any]) -> None:
        assert wait(fork(work)) == 0

    def search() -> None:
        with pytest.raises(ProjectInUseError):
            owner.acquire()

    def leave() -> None:
        owner.release()  # as an exception would, on its way out of a `with`

    owner = Ownership(str(tmp_path))
    with owner.held():
        owned = owner_of(tmp_path)
        in_child(owner.claim)
        in_child(search)
        in_child(leave)
        assert wait(fork(lambda: takes(tmp_path))) == 1
        assert owner_of(tmp_path) == owned


def test_a_child_of_a_dead_owner_does_not_write_into_the_next_search(tmp_path: Path) -> None:
    def work() -> None:
        owner = Ownership(str(tmp_path / "p"))
        with owner.held():
            pid = fork(lambda: child(owner))
            (tmp_path / "child").write_text(str(pid))
            threading.Event().wait()

    def child(owner: Ownership) -> None:
        owner.claim()
        wait_for((tmp_path / "next").exists)
        try:
            owner.claim()
        except ProjectInUseError as error:
            (tmp_path / "refused.partial").write_text(str(error))
            os.replace(tmp_path / "refused.partial", tmp_path / "refused")

    pid = fork(work)
    wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    kill(pid)
    with Ownership(str(tmp_path / "p")).held():
        (tmp_path / "next").touch()
        wait_for((tmp_path / "refused").exists)
    assert f"was taken over by process {os.getpid()} on" in (tmp_path / "refused").read_text()


def test_copying_the_folder_does_not_unlock_it(tmp_path: Path) -> None:
    """As it would a lock of `fcntl.lockf`, when the copied file is closed."""
    with Ownership(str(tmp_path / "p")).held():
        shutil.copytree(tmp_path / "p", tmp_path / "copy")
        assert wait(fork(lambda: takes(tmp_path / "p"))) == 1
        takes(tmp_path / "copy")  # its description names the owner of the original


def test_a_lock_file_that_was_removed(tmp_path: Path) -> None:
    """Its lock excludes nobody, but the description tells the first owner that it has lost."""
    first = Ownership(str(tmp_path / "p"))
    with first.held():
        shutil.rmtree(tmp_path / "p")
        assert wait(fork(lambda: takes(tmp_path / "p"))) == 0
        with pytest.raises(ProjectInUseError, match="no sign of life"):
            first.claim()
        assert owner_of(tmp_path / "p").process.pid != os.getpid()
    assert owner_of(tmp_path / "p").process.pid != os.getpid()
    takes(tmp_path / "p")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("year", [1990, 2090])
def test_a_heartbeat_on_another_machine(
    place: str, year: int, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """The clocks of store and owner are wrong by decades; only whether the time changes counts."""
    path = describe(tmp_path, process={"host": "elsewhere", "kernel": "another"}, timeout=0.6)
    times = iter(range(10**6))
    end = threading.Event()

    def touch() -> None:
        now = (year - 1970) * 365 * 86400 + next(times)
        os.utime(path, (now, now))

    def beat() -> None:
        while not end.wait(0.1):
            touch()

    touch()
    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(ProjectInUseError, match=r"process .* on host elsewhere since"):
        takes(place.format(tmp_path))
    assert "0.6 seconds for a heartbeat of process" in str(recwarn.pop(UserWarning).message)
    end.set()
    thread.join()
    assert 0.6 <= takes(place.format(tmp_path)) < 5
    assert owner_of(tmp_path).process.pid == os.getpid()


@pytest.mark.parametrize(("place", "timeout"), [*zip(PLACES, (1.0, 2.5), strict=True)])
def test_an_owner_on_another_machine(
    place: str, timeout: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real owner, seen as another machine sees it whose locks do not reach it."""
    # TensorFlow's file systems report whole seconds.
    monkeypatch.setattr(ownership, "TIMEOUT", timeout)
    folder = place.format(tmp_path / "p")
    with owned_elsewhere(folder, on_another_machine) as pid:
        if place == PLACES[0]:
            os.rename(tmp_path / "p" / "owner.lock", tmp_path / "out of reach")
        for _ in range(2):  # its heartbeat continues
            with pytest.raises(ProjectInUseError, match=f"process {pid} on host elsewhere"):
                takes(folder)
        os.kill(pid, signal.SIGSTOP)
        assert takes(folder) >= timeout
        os.kill(pid, signal.SIGCONT)
    assert owner_of(folder).process.pid == os.getpid()


def test_a_heartbeat_that_is_read_while_it_is_written(tmp_path: Path) -> None:
    """As at a remote store, whose files are not replaced as a whole."""

    def beat_always() -> None:
        ownership.BEAT = 0.0

    folder = f"file://{tmp_path}"
    with owned_elsewhere(folder, beat_always) as pid:
        time.sleep(4 * ownership.SETTLING)  # the first heartbeat follows
        owners = [owner_of(folder) for _ in range(200)]
        assert {owner and owner.process.pid for owner in owners} == {pid}


def test_a_lock_server_that_does_not_notice_the_death_of_its_client(tmp_path: Path) -> None:
    """The lock is held, but the owner on another machine gives no sign of life."""
    with owned_elsewhere(tmp_path, on_another_machine) as pid:
        os.kill(pid, signal.SIGSTOP)
        with Ownership(str(tmp_path)).held():
            assert wait(fork(lambda: takes(tmp_path))) == 1


@pytest.mark.parametrize("place", PLACES)
def test_an_owner_that_was_suspended_for_too_long(place: str, tmp_path: Path) -> None:
    """It notices that it has lost the folder, and leaves the next owner's description alone."""
    folder = place.format(tmp_path)
    first = Ownership(folder)
    with first.held():
        first.claim()
        taken = replace(owner_of(folder), token="another", since="this morning")
        (tmp_path / "owner.json").write_text(json.dumps(asdict(taken)))
        time.sleep(0.3)  # some heartbeats
        with raises_in_three_parts(
            ProjectInUseError, happened="since this morning", expected="one search at a time"
        ):
            first.claim()
    assert owner_of(folder) == taken


def test_an_id_that_was_given_to_another_process(tmp_path: Path) -> None:
    """Where there are no locks, the start time tells whether the process is the same."""
    parent = os.getppid()
    birth = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[19]
    describe(tmp_path, process={"pid": parent, "birth": birth})
    with pytest.raises(ProjectInUseError, match=f"process {parent} on"):
        takes(f"file://{tmp_path}")
    describe(tmp_path, process={"pid": parent, "birth": "1"})
    assert takes(f"file://{tmp_path}") < 0.3


def test_the_last_of_two_claims_counts_where_there_are_no_locks(tmp_path: Path) -> None:
    folder = f"file://{tmp_path / 'p'}"

    def work() -> None:
        ownership.SETTLING = 0.5
        try:
            with Ownership(folder).held():
                (tmp_path / f"owner-{os.getpid()}").touch()
                wait_for((tmp_path / "end").exists)
        except ProjectInUseError:
            (tmp_path / f"refused-{os.getpid()}").touch()

    pids = [fork(work) for _ in range(4)]
    wait_for(lambda: len([*tmp_path.glob("owner-*"), *tmp_path.glob("refused-*")]) == 4)
    (tmp_path / "end").touch()
    assert [wait(pid) for pid in pids] == [0] * 4
    assert len([*tmp_path.glob("owner-*")]) == 1


def test_two_processes_at_the_same_moment(tmp_path: Path) -> None:
    """Ten times: never both, and always one."""

    def work(turn: int) -> None:
        wait_for((tmp_path / f"go-{turn}").exists)
        try:
            with Ownership(str(tmp_path / "p")).held():
                os.close(os.open(tmp_path / f"inside-{turn}", os.O_CREAT | os.O_EXCL))
                wait_for((tmp_path / f"refused-{turn}").exists)
        except ProjectInUseError:
            (tmp_path / f"refused-{turn}").touch()

    for turn in range(10):
        pids = [fork(lambda turn=turn: work(turn)) for _ in range(2)]
        (tmp_path / f"go-{turn}").touch()
        assert [wait(pid) for pid in pids] == [0, 0]
        assert (tmp_path / f"inside-{turn}").exists()
        assert (tmp_path / f"refused-{turn}").exists()


DAMAGED = ("", "{", "[]", "null", "3", '{"process": 3}', "[" * 100_000, "{}")


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_description(content: str, tmp_path: Path) -> None:
    (tmp_path / "owner.json").write_text(content)
    takes(tmp_path)
    assert owner_of(tmp_path).ended


@pytest.mark.parametrize(
    "changes",
    [
        {"timeout": -1},
        {"timeout": "soon"},
        {"timeout": float("inf")},
        {"process": {"pid": 0}},
        {"process": {"pid": -1}},
        {"process": {"pid": 2**70}},
        {"process": {"pid": "1"}},
        {"supervisor": {}},
    ],
    ids=str,
)
def test_a_description_with_impossible_values(changes: dict[str, Any], tmp_path: Path) -> None:
    describe(tmp_path, **changes)
    assert owner_of(tmp_path) is None
    takes(f"file://{tmp_path}")


@pytest.mark.parametrize("name", ["owner.json", "owner.lock"])
def test_a_folder_in_the_place_of_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    owner = Ownership(str(tmp_path))
    with raises_in_three_parts(
        StorageError, happened="irectory", expected="a writable project directory"
    ):
        owner.acquire()


def test_within_a_process_the_newest_owner_wins(tmp_path: Path) -> None:
    changes: list[str] = []
    old, new = Ownership(str(tmp_path)), Ownership(str(tmp_path))
    with old.held(lambda: changes.append("old")):
        old.claim()
        with new.held(lambda: changes.append("new")):
            for use in (old.claim, old.acquire):
                with raises_in_three_parts(
                    ProjectInUseError, happened="by a newer tuner", expected="one tuner to search"
                ):
                    use()
    assert changes == ["new"]  # it was created before the old one had written
    with pytest.raises(ProjectInUseError):
        old.acquire()
    with new.held(lambda: changes.append("new")), new.held(lambda: changes.append("new")):
        pass
    assert changes == ["new"]
    assert wait(fork(lambda: takes(tmp_path))) == 0


def test_changes_by_others_are_noticed(tmp_path: Path) -> None:
    changes: list[int] = []

    def note() -> None:
        changes.append(1)

    waiting = Ownership(str(tmp_path / "p"))
    with waiting.held(note):
        pass
    with waiting.held(note):
        pass
    assert not changes
    assert wait(fork(lambda: takes(tmp_path / "p"))) == 0
    with owned_elsewhere(tmp_path / "p"):
        during = Ownership(str(tmp_path / "p"))
    after = Ownership(str(tmp_path / "p"))
    for owner, changed in ((waiting, 1), (during, 2), (after, 3)):  # each after the one before
        with owner.held(note):
            pass
        assert len(changes) == changed
    last = Ownership(str(tmp_path / "p"))
    with last.held(note):
        pass
    assert len(changes) == 3


def test_a_failed_reload_releases_the_folder(tmp_path: Path) -> None:
    def fail() -> None:
        raise LookupError

    owner = Ownership(str(tmp_path))
    assert wait(fork(lambda: takes(tmp_path))) == 0
    with pytest.raises(LookupError):
        owner.acquire(fail)
    assert wait(fork(lambda: takes(tmp_path))) == 0


def test_a_claim_lasts_until_it_is_given_up_or_forgotten(tmp_path: Path) -> None:
    owner = Ownership(str(tmp_path))
    owner.claim()
    owner.claim()
    assert wait(fork(lambda: takes(tmp_path))) == 1
    owner.give_up_claim()
    owner.give_up_claim()
    assert wait(fork(lambda: takes(tmp_path))) == 0
    owner.claim()
    assert wait(fork(lambda: takes(tmp_path))) == 1
    del owner
    gc.collect()
    assert wait(fork(lambda: takes(tmp_path))) == 0


def test_the_disk_is_left_alone_by_readers(tmp_path: Path) -> None:
    Ownership(str(tmp_path / "p")).mark_read()
    assert not (tmp_path / "p").exists()


def test_forks_and_locks_in_many_threads(tmp_path: Path) -> None:
    """No child keeps a lock, even if it is forked while the lock is taken or released."""
    end = threading.Event()

    def take_and_release() -> None:
        while not end.is_set():
            takes(tmp_path / threading.current_thread().name)

    threads = [threading.Thread(target=take_and_release) for _ in range(2)]
    for thread in threads:
        thread.start()
    children = [fork(lambda: time.sleep(30)) for _ in range(20)]
    end.set()
    for thread in threads:
        thread.join()
    try:
        for thread in threads:
            assert wait(fork(lambda t=thread: takes(tmp_path / t.name))) == 0
    finally:
        for child in children:
            kill(child)
