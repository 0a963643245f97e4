"""Files that are whole whenever they are read."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kt_plus.engine.storage import exists, read_json, trial_files, write_json
from kt_plus.errors import StorageError
from tests.errors import raises_in_three_parts

SMALL = {"trials": [1]}
LARGE = {"trials": list(range(20_000))}


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "project" / "trial_0" / "trial.json")
    for content in ({"a": [1, 2.5, None, "ü"]}, SMALL):
        write_json(path, content)
        assert read_json(path) == content
    assert os.listdir(os.path.dirname(path)) == ["trial.json"]


def test_numpy_scalars_are_written_as_plain_ones(tmp_path):
    path = str(tmp_path / "trial.json")
    write_json(path, {"values": [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("conv")]})
    assert read_json(path) == {"values": [0.5, 3, True, "conv"]}


def test_a_file_that_does_not_exist_has_no_content(tmp_path):
    assert read_json(str(tmp_path / "none.json")) is None
    assert not exists(str(tmp_path / "none.json"))
    assert exists(str(tmp_path))


def test_a_damaged_file_is_not_taken_for_a_missing_one(tmp_path):
    (tmp_path / "half.json").write_text('{"trials": [1,')
    with pytest.raises(ValueError, match="Expecting"):
        read_json(str(tmp_path / "half.json"))


def test_a_reader_never_sees_a_part(tmp_path):
    path, done, seen = str(tmp_path / "oracle.json"), threading.Event(), []
    write_json(path, SMALL)

    def read() -> None:
        while not done.is_set():
            try:
                seen.append(read_json(path) in (SMALL, LARGE))
            except Exception as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(100):
        write_json(path, LARGE if i % 2 else SMALL)
    done.set()
    reader.join()
    assert len(seen) > 10
    assert all(answer is True for answer in seen)


def test_two_threads_write_one_file_without_mixing(tmp_path):
    path = str(tmp_path / "oracle.json")
    contents = [{"from": i, "rows": [i] * 5000} for i in range(4)]
    writers = [
        threading.Thread(target=lambda c=c: [write_json(path, c) for _ in range(25)])
        for c in contents
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert read_json(path) in contents
    assert os.listdir(tmp_path) == ["oracle.json"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_kill_dash_nine_leaves_a_whole_file(tmp_path):
    path = str(tmp_path / "oracle.json")
    write_json(path, SMALL)
    for i in range(15):
        child = _fork_a_writer(path)
        time.sleep(0.01 + 0.003 * i)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert read_json(path) in (SMALL, LARGE)


def _fork_a_writer(path: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        while True:
            write_json(path, LARGE)
            write_json(path, SMALL)
    return child


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Lets every write beyond `size` fail as on a full disk, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_write_that_fails_half_way_is_a_clear_error_and_loses_nothing(tmp_path):
    path = str(tmp_path / "oracle.json")
    write_json(path, SMALL)
    with (
        raises_in_three_parts(StorageError, happened=path, expected="free space") as caught,
        no_file_larger_than(4096),
    ):
        write_json(path, LARGE)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert read_json(path) == SMALL
    assert os.listdir(tmp_path) == ["oracle.json"]


@pytest.fixture
def full_disk(tmp_path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(full_disk):
    path = str(full_disk / "oracle.json")
    write_json(path, SMALL)
    with raises_in_three_parts(
        StorageError, happened="No space left on device", expected="free space"
    ):
        write_json(path, LARGE)
    assert read_json(path) == SMALL
    write_json(path, {"trials": [2]})  # there is room again: nothing was left behind
    assert read_json(path) == {"trials": [2]}


@contextlib.contextmanager
def not_as_root() -> Iterator[None]:
    """Acts as nobody, whom permissions bind, if this is root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_an_unwritable_folder_is_a_clear_error_and_loses_nothing(tmp_path):
    path = str(tmp_path / "oracle.json")
    write_json(path, SMALL)
    tmp_path.chmod(0o555)
    try:
        with (
            raises_in_three_parts(
                StorageError, happened="Permission denied", expected="Expected a writable"
            ),
            not_as_root(),
        ):
            write_json(path, LARGE)
    finally:
        tmp_path.chmod(0o755)
    assert read_json(path) == SMALL


def test_a_file_in_the_place_of_a_folder_is_a_clear_error(tmp_path):
    (tmp_path / "project").write_text("not a folder")
    path = str(tmp_path / "project" / "oracle.json")
    with raises_in_three_parts(StorageError, happened=path, expected="Expected a writable"):
        write_json(path, SMALL)
    assert (tmp_path / "project").read_text() == "not a folder"


def test_what_json_cannot_hold_leaves_the_old_content(tmp_path):
    path = str(tmp_path / "oracle.json")
    write_json(path, SMALL)
    with pytest.raises(TypeError, match="is a set"):
        write_json(path, {"trials": {1, 2}})
    assert read_json(path) == SMALL
    assert os.listdir(tmp_path) == ["oracle.json"]


def test_the_files_of_trials_are_found(tmp_path):
    for name in ("trial_0", "trial_12"):
        write_json(str(tmp_path / name / "trial.json"), {})
    (tmp_path / "trial_3").mkdir()  # killed before its file was written
    (tmp_path / "oracle.json").write_text("{}")
    found = sorted(os.path.relpath(path, tmp_path) for path in trial_files(str(tmp_path)))
    assert found == ["trial_0/trial.json", "trial_12/trial.json"]
    assert list(trial_files(str(tmp_path / "nowhere"))) == []


def test_a_remote_store_is_written_through_tensorflow(tmp_path):
    project = f"file://{tmp_path}/project"  # another scheme is all that makes a path remote
    path = f"{project}/trial_0/trial.json"
    assert read_json(path) is None
    write_json(path, LARGE)
    write_json(path, SMALL)
    assert read_json(path) == SMALL
    assert exists(path)
    assert list(trial_files(project)) == [path]
