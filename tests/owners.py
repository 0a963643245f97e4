"""Processes that own a project folder, for tests."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kt_plus.engine import ownership
from kt_plus.engine.ownership import Ownership


def fork(work: Callable[[], Any]) -> int:
    """Runs a function in a forked process; returns its id. Its exit status is 1 after an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with other threads
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """Waits for the end of a process; returns its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(pid: int) -> None:
    """Kills a process, and waits for its end."""
    os.kill(pid, signal.SIGKILL)
    wait(pid)


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Waits until a condition holds.

    Raises:
        AssertionError: If it does not hold in time.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.005)


def owner_of(folder: Path | str, name: str = ownership.SEARCH) -> ownership.Owner | None:
    """Returns the owner that a folder describes."""
    return ownership.read(os.path.join(folder, f"{name}.json"))


@contextlib.contextmanager
def owned_elsewhere(
    folder: Path | str, before: Callable[[], Any] = lambda: None, name: str = ownership.SEARCH
) -> Iterator[int]:
    """Lets another process own a folder within the context.

    Args:
        folder: The folder.
        before: Called in that process first.
        name: The thing to own.
    """

    def work() -> None:
        before()
        with Ownership(str(folder), name).held():
            threading.Event().wait()

    pid = fork(work)
    wait_for(lambda: (owner := owner_of(folder, name)) and owner.process.pid == pid)
    try:
        yield pid
    finally:
        kill(pid)
