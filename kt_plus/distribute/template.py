"""A process that has imported TensorFlow and does nothing else, to be forked.

Importing TensorFlow takes longer than many a trial, so that on Linux one process does it for
all. It has a single thread, never uses what it imports, and is forked for the chief and for
each worker: what is copied is a module, not a live TensorFlow. Elsewhere, and with other
backends of Keras, whose import is quick, each process imports for itself.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kt_plus.distribute import keras_choice

PAUSE = 0.05
"""Seconds between two looks for processes that have ended."""

PATIENCE = 600.0
"""Seconds in which the template has imported TensorFlow; beyond, each process does it itself."""

UNKNOWN = 255
"""Exit status of a process whose own is not known, because the template was killed."""

LONGEST_REQUEST = 2**20

FORK_SAFE = "jemalloc_bg_thd"
"""The thread of Arrow's memory allocator, which starts it anew in a forked process."""


class Forked:
    """A process forked from the template, with what is used of a `subprocess.Popen`."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None
        self.ended = threading.Event()

    def wait(self, timeout: float | None = None) -> int:
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return UNKNOWN if self.returncode is None else self.returncode


class Template:
    """The template, as seen by who has it forked.

    Args:
        environment: The template's environment variables.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._born: dict[int, Forked] = {}
        self._pids: list[int] = []
        self._news = threading.Condition()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kt_plus.distribute.template", str(theirs.fileno())],
                # With one thread each for BLAS and OpenMP the imports start no thread.
                env={**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.alive, self.served = True, False
        threading.Thread(target=self._listen, daemon=True).start()

    def fork(self, environment: dict[str, str], log: str, log_number: int) -> Forked | None:
        """A new process; `None` if the template is dead, or cannot be forked safely."""
        request = json.dumps({"environment": environment, "log": log}).encode()
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        stdin, stdout = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        pid = 0
        try:
            with self._lock, contextlib.suppress(OSError):
                size, numbers = len(request), [theirs_in, theirs_out, log_number]
                socket.send_fds(self._socket, [size.to_bytes(8, "big")], numbers)
                self._socket.sendall(request)
                pid = self._next_pid()
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
            if not pid:
                self._process.kill()  # what it may fork yet must not be taken for the next one
                stdin.close()
                stdout.close()
        if not pid:
            return None
        with self._news:
            return self._born.setdefault(pid, Forked(pid, stdin, stdout))

    def close(self) -> None:
        """Ends the template. What was forked from it lives on."""
        self.alive = False
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _next_pid(self) -> int:
        """The process that was forked last; 0 if the template is dead, or cannot be waited for."""
        with self._news:
            self._news.wait_for(lambda: self._pids or not self.alive, PATIENCE)
            return self._pids.pop(0) if self._pids else 0

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._socket.makefile("rb") as news:
            for line in news:
                self._hear(json.loads(line))
        self.alive = False
        with self._news:
            self._news.notify_all()
            born = list(self._born.values())
        while born:  # nobody reaps them: the system does, and tells no status
            for process in [process for process in born if not _exists(process.pid)]:
                process.ended.set()
            born = [process for process in born if not process.ended.is_set()]
            time.sleep(PAUSE)

    def _hear(self, message: dict[str, int]) -> None:
        with self._news:
            if "forked" in message:
                self.served = True
                self._pids.append(message["forked"])
                self._news.notify_all()
                return
            while message["ended"] not in self._born and self.alive:
                self._news.wait(0.01)  # it ended before `fork` knew of it
            process = self._born.pop(message["ended"])
        process.returncode = message["status"]
        process.ended.set()


_shared: list[Any] = [0, None]  # how many use the template, and the template


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Within it, searches use one template."""
    _shared[0] += 1
    try:
        yield
    finally:
        _shared[0] -= 1
        if not _shared[0] and _shared[1] is not None:
            _shared[1].close()
            _shared[1] = None


def shared_template(environment: dict[str, str]) -> Template | None:
    """The template to fork; `None` where forking is not safe or not worth it."""
    worthwhile = environment.get("KERAS_BACKEND", "tensorflow") == "tensorflow"
    if not sys.platform.startswith("linux") or not worthwhile:
        return None
    template: Template | None = _shared[1]
    if template is not None and not template.alive and not template.served:
        return None  # it cannot be forked, and would not be the next time
    if template is None or not template.alive:
        template = _shared[1] = Template(environment)
    return template


def main() -> None:
    """Imports, and forks as often as it is asked to."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import grpc  # noqa: F401

    keras_choice.adopt()
    import tensorflow  # noqa: F401

    import kt_plus.engine.client
    import kt_plus.engine.tuner  # noqa: F401

    if not _is_forkable():
        return  # who asks is answered by the end of this process, and starts a fresh one
    gc.collect()
    gc.freeze()  # or the first collection in each process would copy all of it
    while True:
        readable, _, _ = select.select([connection], [], [], PAUSE)
        _report_ended(connection)
        if readable:
            size, numbers, _, _ = socket.recv_fds(connection, 8, 3)
            if not size:
                return
            request = _receive(connection, int.from_bytes(size, "big"))
            _fork(connection, json.loads(request), numbers)


def _is_forkable() -> bool:
    """Whether the only thread is this one, but for those that a fork is prepared for."""
    tasks = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    names = [Path(f"/proc/self/task/{task}/comm").read_text().strip() for task in tasks]
    return set(names) <= {FORK_SAFE}


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = connection.recv(min(size - len(content), LONGEST_REQUEST))
        if not part:
            sys.exit()  # who asks is gone
        content += part
    return content


def _fork(connection: socket.socket, request: dict[str, Any], numbers: list[int]) -> None:
    pid = os.fork()
    if pid:
        for number in numbers:
            os.close(number)
        connection.sendall(json.dumps({"forked": pid}).encode() + b"\n")
        return
    connection.close()
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, number in enumerate(numbers):
        os.dup2(number, target)
        os.close(number)
    os.environ.clear()
    os.environ.update(request["environment"])
    import numpy

    from kt_plus.distribute import program

    numpy.random.seed()
    program.run(request["log"])


def _report_ended(connection: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            connection.sendall(json.dumps({"ended": pid, "status": code}).encode() + b"\n")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
