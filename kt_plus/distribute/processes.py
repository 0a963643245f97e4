"""The processes of a parallel search on one machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

from kt_plus.distribute import keras_choice
from kt_plus.distribute.messages import Gone, Job, LogMoved, Tell, receive, send
from kt_plus.distribute.template import shared_template

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC")
"""What OpenMP and PyTorch, TensorFlow (twice) and JAX read how many threads to use from."""

NO_GPU = "-1"

TRACE = getattr(signal, "SIGUSR1", None)
"""The signal at which a process of the search writes to its log where its threads are."""

TRACING = 0.3
"""Seconds that this takes at most."""

DEATH = 5.0
"""Seconds in which a killed process is gone, unless the system itself hangs."""


class Process:
    """A process of the search, and all that it starts itself.

    Args:
        environment: Its environment variables.
        tell: Told what it says, and at last that it is `Gone`.
    """

    def __init__(self, environment: dict[str, str], tell: Tell) -> None:
        self._tell = tell
        number, self.log = tempfile.mkstemp(prefix="kt_plus-", suffix=".log")
        self._first_log = self.log
        self._process = _start(environment, self.log, number)
        os.close(number)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def give(self, job: Job) -> None:
        """Tells the process what to do, as soon as it listens."""
        threading.Thread(target=self._send, args=(job,), daemon=True).start()

    def ask_to_end(self) -> None:
        """Lets the process end itself: it does when nobody is at the other end of its pipe."""
        # In a thread: a process that hangs has not read its job, and closing waits for that.
        threading.Thread(target=self._close, daemon=True).start()

    def trace(self) -> None:
        """Lets the process write to its log where its threads are, if that is possible."""
        if TRACE is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, TRACE)
                time.sleep(TRACING)

    def kill(self) -> None:
        """Ends the process, and all that it has started, at once."""
        if os.name != "posix":
            self._process.kill()
            return
        # One that has just been forked leads no group yet; one that has ended has left its number.
        for end in (os.killpg, os.kill)[: 2 if self._process.returncode is None else 1]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(self._process.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> None:
        """Waits for its end for some seconds at most, then kills it."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(DEATH)
        with contextlib.suppress(OSError):  # with a remote project it stays the only one
            if self.log != self._first_log or not os.path.getsize(self._first_log):
                os.remove(self._first_log)

    def last_lines(self, count: int = 30) -> str:
        """The end of its output."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                return "".join(log.readlines()[-count:])
        except OSError:
            return ""

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _send(self, job: Job) -> None:
        with contextlib.suppress(OSError, ValueError):
            send(self._process.stdin, job)

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                message = receive(self._process.stdout)
                if isinstance(message, LogMoved):
                    self.log = message.path
                self._tell(message)

    def _wait(self) -> None:
        code = self._process.wait()
        self.kill()  # what it has started: it may keep the pipe open
        self._listener.join(10)
        self._tell(Gone(_how(code)))


class Machine:
    """Starts processes on this machine, each with its share of the processors and GPUs.

    Args:
        workers: How many workers share the machine.
        gpus: The GPUs to share; `None` for all that CUDA shows.
    """

    address = "127.0.0.1"

    def __init__(self, workers: int, gpus: Sequence[int | str] | None = None) -> None:
        self.workers = workers
        self.gpus = visible_gpus() if gpus is None else [*map(str, gpus)]

    def start(self, name: str, place: int | None, tell: Tell) -> Process:
        """Starts the process of a worker, or with no place that of the chief."""
        return Process(self.environment(place), tell)

    def environment(self, place: int | None) -> dict[str, str]:
        """The environment variables of a worker's process, or of the chief's."""
        environment = inherited_environment()
        share = max(1, processors() // self.workers)
        for name in THREADS:  # a number of the user's own is respected
            environment.setdefault(name, str(share if place is not None else 1))
        if place is None:
            environment["CUDA_VISIBLE_DEVICES"] = NO_GPU
        elif self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[place % len(self.gpus)]
            if self.workers > len(self.gpus):  # several processes on one GPU
                environment.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
                environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        return environment

    def close(self) -> None:
        """Nothing is left to end."""


def _start(environment: dict[str, str], log: str, number: int) -> Any:
    template = shared_template(environment)
    forked = template.fork(environment, log, number) if template is not None else None
    return forked or subprocess.Popen(
        [sys.executable, "-m", "kt_plus.distribute.program", log],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=number,
        start_new_session=True,  # Ctrl-C is for the caller, who ends all in order
    )


def inherited_environment() -> dict[str, str]:
    """The caller's environment, with what a new process needs to import the same."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERASTUNER_")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return {**environment, **keras_choice.variables()}


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, found without touching them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu.strip() for gpu in chosen.split(",") if gpu.strip() not in ("", NO_GPU)]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def _how(code: int) -> str:
    if code >= 0:
        return f"it ended with exit status {code}"
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
