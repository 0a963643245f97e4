"""What the processes of a parallel search tell each other, over pipes."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import cloudpickle

from kt_plus.engine.process_identity import ProcessIdentity

SIZE = 8
"""Bytes of the number that stands before each message."""


@dataclass(frozen=True)
class Job:
    """What a process of the search is to do, told once it has imported what it needs.

    Args:
        name: Its tuner id; the chief's is `"chief"`.
        make_tuner: The user's function, pickled.
        sys_path: The caller's module search path.
        argv: The caller's command line, which `make_tuner` may read.
        folder: The caller's working directory.
        workers: The ids of all workers.
        address: Where the chief listens.
        port: The chief's port; 0 lets the chief choose.
        overwrite: Whether an `overwrite=True` of the user's still counts.
        token: What the chief writes into the project, so that workers know it is the same.
        seed: The search's seed, for the workers.
        project_dir: The project directory as the chief has it.
        one_trial: Whether the process ends after one trial.
        caller: The process that runs the parallel search.
    """

    name: str
    make_tuner: bytes
    sys_path: list[str]
    argv: list[str]
    folder: str
    workers: tuple[str, ...]
    address: str
    port: int = 0
    overwrite: bool = False
    token: str = ""
    seed: int | None = None
    project_dir: str = ""
    one_trial: bool = False
    caller: ProcessIdentity | None = None


@dataclass(frozen=True)
class Started:
    """The process has imported what it needs, and waits for its job."""


@dataclass(frozen=True)
class Ready:
    """The chief serves."""

    address: str
    port: int
    seed: int | None
    project_dir: str
    total: int | None
    verbose: int


@dataclass(frozen=True)
class Beat:
    """A process is alive; a worker in a trial or between two, and it has or has not got on."""

    trial_id: str | None = None
    progress: bool = False


@dataclass(frozen=True)
class Shown:
    """What the bar shows."""

    ended: int
    facts: str


@dataclass(frozen=True)
class Said:
    """A line for the user."""

    line: str


@dataclass(frozen=True)
class Warned:
    """A warning for the user."""

    text: str


@dataclass(frozen=True)
class LogMoved:
    """Where the process's output is from now on."""

    path: str


@dataclass(frozen=True)
class Finished:
    """The chief: the search has ended. A worker: it has no more to do, or its one trial is done."""

    for_good: bool = True


@dataclass(frozen=True)
class Gone:
    """The process has ended.

    Args:
        how: In words.
    """

    how: str


@dataclass(frozen=True)
class Failed:
    """An error that ends the search, with its traceback.

    Args:
        name: The name of its class.
        text: The traceback.
        pickled: The error itself, if it can be pickled.
    """

    name: str
    text: str
    pickled: bytes | None

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """The message that tells of `error`."""
        text = "".join(traceback.format_exception(error))
        try:
            pickled = cloudpickle.dumps(error)
            pickle.loads(pickled)
        except Exception:
            pickled = None
        return cls(type(error).__name__, text, pickled)

    def error(self, where: str) -> Exception:
        """The same error here, its traceback there as its cause."""
        try:
            error = pickle.loads(self.pickled) if self.pickled is not None else None
        except Exception:
            error = None
        if not isinstance(error, Exception):
            from kt_plus.errors import ParallelSearchError

            error = ParallelSearchError(f"{self.name} in {where}:\n{self.text}")
        error.__cause__ = _Traceback(f'\n"""in {where}\n{self.text}"""')
        return error


class _Traceback(Exception):
    """The traceback of another process, shown as the cause."""


Tell = Callable[[Any], None]


def send(pipe: BinaryIO, message: Any) -> None:
    """Writes a message."""
    content = cloudpickle.dumps(message)
    pipe.write(len(content).to_bytes(SIZE, "big") + content)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """Reads a message.

    Raises:
        EOFError: If the other side is gone.
    """
    size = int.from_bytes(_read(pipe, SIZE), "big")
    return pickle.loads(_read(pipe, size))


def _read(pipe: BinaryIO, size: int) -> bytes:
    content = pipe.read(size)
    if content is None or len(content) < size:
        raise EOFError
    return content
