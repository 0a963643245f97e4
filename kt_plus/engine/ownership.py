"""One owner per project: at any time a single process, and in it one tuner, writes trials.

A lock of the operating system excludes other processes. It ends with its owner, `kill -9`
included. A file describes the owner. Its time of change is a heartbeat for processes that the
lock may not reach: on another machine with a shared folder, or at a store without locks.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from kt_plus.engine import storage
from kt_plus.engine.file_lock import FileLock
from kt_plus.engine.process_identity import ProcessIdentity
from kt_plus.errors import ProjectInUseError, StorageError

SEARCH, FIT = "owner", "fit"
"""The two things that can be owned of a folder: its search, and the fit of an `AutoModel`."""

FILES = tuple(name + ending for name in (SEARCH, FIT) for ending in (".lock", ".json"))
"""Names of the files that owners leave in a folder."""

BEAT = 15.0
"""Seconds between two heartbeats."""

TIMEOUT = 60.0
"""Seconds without a heartbeat after which an owner counts as dead."""

GRACE = 3.0
"""Seconds to wait for an owner that may be about to end. A killed process takes a moment."""

ORPHANED = 60.0
"""Seconds to wait for an owner whose supervisor is dead. It ends by itself."""

SETTLING = 2.0
"""Seconds after which all processes see the same claim, at a store without locks."""

RECHECK = 1.0
"""Minimum seconds between two looks of a writer at whether it still owns its project."""

LOOK = 0.1
"""Seconds between two looks at a lock, or at a heartbeat."""

Say = Callable[[str], None]
State = tuple["str | None", int]


@dataclass(frozen=True)
class Owner:
    """The description of an owner, as its file holds it.

    Args:
        process: The process.
        since: Date and time at which it took the project.
        token: Identifies this ownership. A process that finds another token has lost its own.
        timeout: Seconds without a heartbeat after which it counts as dead.
        ended: True once it has released the project.
        supervisor: The process that starts and ends the owner, if there is one.
    """

    process: ProcessIdentity
    since: str
    token: str
    timeout: float
    ended: bool = False
    supervisor: ProcessIdentity | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Owner:
        """Reads a description. Unknown entries are those of a later version.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: If it is damaged.
        """
        supervisor, timeout = config.get("supervisor"), float(config["timeout"])
        if not 0 < timeout < math.inf:
            raise ValueError(f"`timeout` must be a positive number, got {timeout}.")
        return cls(
            ProcessIdentity.from_config(config["process"]),
            str(config["since"]),
            str(config["token"]),
            timeout,
            bool(config["ended"]),
            None if supervisor is None else ProcessIdentity.from_config(supervisor),
        )

    def has_ended(self) -> bool:
        """Returns whether it has released the project, or is known to be dead.

        Asked by a process that holds no lock. If it finds itself described, it could not write
        its own end, because the disk was full.
        """
        is_own = self.process == ProcessIdentity.current()
        return self.ended or is_own or self.process.is_alive() is False

    def is_orphaned(self) -> bool:
        """Returns whether its supervisor is known to be dead."""
        return self.supervisor is not None and self.supervisor.is_alive() is False

    def __str__(self) -> str:
        by = f", started by process {self.supervisor.pid}" if self.supervisor else ""
        return f"process {self.process.pid} on host {self.process.host} since {self.since}{by}"


def read(path: str) -> Owner | None:
    """Returns the owner that a file describes; `None` if the file is missing or damaged.

    Raises:
        OSError: If the file cannot be read. Its owner may live.
    """
    try:
        with _as_os_errors():
            return Owner.from_config(storage.read_json(path))
    except (FileNotFoundError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


class Ownership:
    """The right of one tuner, or of one fit, to write to a folder.

    When to use it: around everything that writes trials. Reading needs no ownership. Within a
    process the newest owner wins, and older ones raise when they are used to write.

    Args:
        folder: The project directory.
        name: The thing to own, `SEARCH` or `FIT`.

    Attributes:
        supervisor: The process that starts and ends this one, if there is one.
        say: Receives a sentence that describes the wait, at each look.

    Example:

    ```python
    with Ownership("searches/digits").held():
        ...  # no other process writes trials here
    ```
    """

    def __init__(self, folder: str, name: str = SEARCH) -> None:
        self.supervisor: ProcessIdentity | None = None
        self.say: Say = _warn_once()
        self._path = os.path.join(folder, name)
        self._serial = next(_serials)
        self._lock = _lock_of(self._path)
        self._depth = 0
        self._claim: weakref.finalize[Any, Any] | None = None
        self._read = self._lock.state()

    @contextlib.contextmanager
    def held(self, on_change: Callable[[], None] | None = None) -> Iterator[None]:
        """Owns the folder within the context.

        Args:
            on_change: Called first if another owner has written since this one last read.

        Raises:
            ProjectInUseError: If another process, or a newer owner of this process, owns it.
            StorageError: If the folder cannot be written.
        """
        self.acquire(on_change)
        try:
            yield
        finally:
            self.release()

    def acquire(self, on_change: Callable[[], None] | None = None) -> None:
        """Takes the folder until `release` is called as often. See `held`."""
        if self._lock.is_inherited():
            self._lock, self._depth = _lock_of(self._path), 0
        lock = self._lock
        with lock.mutex:
            lock.check(self._serial)
            before = lock.enter(self)
            lock.newest = max(lock.newest, self._serial)
            is_changed = not self._depth and before != self._read
            self._depth += 1
        if is_changed and on_change is not None:
            try:
                on_change()
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Releases the folder. Does nothing in a forked child, whose parent owns the folder."""
        lock = self._lock
        if lock.is_inherited():
            return
        with lock.mutex:
            self._depth -= 1
            if not self._depth:
                self._read = lock.state()
            lock.leave()

    def claim(self, on_change: Callable[[], None] | None = None) -> None:
        """Makes sure that a write is allowed. Takes the folder if it is not held.

        When to use it: before each write of an oracle, which may be driven without a `search`
        that holds the folder. It is then held until `give_up_claim`, or until this object is
        garbage. A forked child takes part in its parent's search.

        Raises:
            ProjectInUseError: If another process, or a newer owner of this process, owns it.
        """
        if self._depth:
            self._lock.check(self._serial)
        else:
            self.acquire(on_change)
            self._claim = weakref.finalize(self, self._lock.leave)
        self._lock.writes += 1

    def give_up_claim(self) -> None:
        """Releases the folder if a `claim` has taken it."""
        claim, self._claim = self._claim, None
        if claim is not None and claim.detach():
            self.release()

    def mark_read(self) -> None:
        """Notes that the folder is read now. A later write by another owner is a change."""
        if not self._depth:
            self._read = self._lock.state()


class _Lock:
    """The lock of this process on a folder, for all of its owners together.

    Args:
        path: The path of its files, without ending.
    """

    def __init__(self, path: str) -> None:
        self.folder, self.path = os.path.dirname(path), f"{path}.json"
        self.mutex = threading.RLock()
        self.newest = -1  # the serial number of the newest owner that has held it
        self.writes = 0  # lets one owner notice that another one of this process has written
        self._pid, self._depth = os.getpid(), 0
        self._owner: Owner | None = None
        self._lost: Owner | None = None
        self._checked = 0.0
        self._end = threading.Event()
        is_local = storage.is_local(path)
        self._file = FileLock(f"{path}.lock") if is_local else None
        self._recheck = RECHECK if is_local else BEAT

    def is_inherited(self) -> bool:
        """Returns whether this is a forked child's copy of its parent's lock."""
        return self._pid != os.getpid()

    def state(self) -> State:
        """Returns a value that changes when somebody writes.

        `None` in it never equals a later state: another process may be writing.
        """
        if self._depth and self._owner is not None and not self.is_inherited():
            return self._owner.token, self.writes
        try:
            owner = read(self.path)
        except OSError:
            return None, self.writes
        if owner is None:
            return "", self.writes
        return owner.token if owner.has_ended() else None, self.writes

    def check(self, serial: int) -> None:
        """Raises unless the owner with this serial number may write.

        Raises:
            ProjectInUseError: If a newer owner, or another process, has taken over.
        """
        if self.newest > serial:
            raise ProjectInUseError(
                f"{self.folder} was taken over by a newer tuner of this process. Expected one "
                "tuner to search in a project. Use the newer one, or create this one again."
            )
        if self._depth and time.monotonic() - self._checked > self._recheck:
            with contextlib.suppress(OSError):  # a store may be out of reach for a while
                self._still_owns()
        if self._lost is not None:
            raise ProjectInUseError(
                f"{self.folder} was taken over by {self._lost}, because this process had given no "
                "sign of life for too long. Expected one search at a time. Everything written "
                "before is kept. Run this program again when that process has ended."
            )

    def enter(self, owner: Ownership) -> State:
        """Takes the lock unless it is held. Returns the state of the folder before."""
        self._depth += 1
        if self._depth > 1:
            return self.state()
        try:
            before = self._take(owner)
            self._end = threading.Event()
            threading.Thread(target=self._beat, args=(self._end,), daemon=True).start()
        except BaseException as error:
            self._depth -= 1
            self._forget()
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise storage.unwritable(self.path, error) from error
            raise
        return "" if before is None else before.token, self.writes

    def leave(self) -> None:
        """Releases the lock when its last owner leaves."""
        if self.is_inherited():
            return
        with self.mutex:
            self._depth -= 1
            if self._depth:
                return
            self._end.set()
            try:
                with contextlib.suppress(OSError):  # without a lock, it counts as dead later
                    if self._still_owns() and self._owner is not None:
                        self._write(replace(self._owner, ended=True))
            finally:
                self._forget()

    def _take(self, owner: Ownership) -> Owner | None:
        """Waits until the folder is free, and takes it. Returns the owner before."""
        storage.make_folder(self.folder)
        before = self._wait_until_free(owner.say)
        self._owner = Owner(
            ProcessIdentity.current(),
            datetime.now().astimezone().isoformat(" ", "seconds"),
            uuid.uuid4().hex,
            TIMEOUT,
            supervisor=owner.supervisor,
        )
        self._write(self._owner)
        if self._file is None or not self._file.is_held:
            self._settle()
        self._checked = time.monotonic()
        return before

    def _forget(self) -> None:
        self._owner = self._lost = None
        if self._file is not None:
            self._file.release()

    def _wait_until_free(self, say: Say) -> Owner | None:
        """Returns the last owner as soon as it owns the folder no more.

        Raises:
            ProjectInUseError: If it still does.
        """
        began = time.monotonic()
        while True:
            is_locked, owner = self._try_lock(), read(self.path)
            if is_locked is not False and (
                owner is None or owner.has_ended() or (is_locked and owner.process.shares_kernel())
            ):
                return owner
            if owner is not None and _is_out_of_reach(owner, is_locked):
                is_free = self._is_still(owner, say)
            else:
                is_free = self._outlives(owner, say, time.monotonic() - began)
            if is_free:
                if is_locked is False and self._file is not None:
                    self._file.replace()
                return owner

    def _try_lock(self) -> bool | None:
        """Returns whether the lock could be taken; `None` if there are no locks here."""
        if self._file is None:
            return None
        self._file.release()
        return self._file.take()

    def _outlives(self, owner: Owner | None, say: Say, waited: float) -> bool:
        """Returns whether the lock has outlived its owner. Waits a moment for one that may end.

        A child keeps its parent's lock if a library has forked it without Python's knowledge.

        Raises:
            ProjectInUseError: If the owner lives.
        """
        if waited > GRACE:
            if owner is not None and owner.process.is_alive() is False:
                return True
            if owner is None or not owner.is_orphaned() or waited > ORPHANED:
                raise _in_use(self.folder, owner)
            say(f"Waiting for {owner} to release {self.folder}: its supervisor is dead.")
        time.sleep(LOOK)
        return False

    def _is_still(self, owner: Owner, say: Say) -> bool:
        """Watches the heartbeat of an owner; returns whether it was still for its time-out.

        Only changes count, as the store reports them. The clocks of the owner, of the store and
        of this machine may differ.

        Raises:
            ProjectInUseError: If the heartbeat continues.
        """
        before, until = self._pulse(), time.monotonic() + owner.timeout
        while time.monotonic() < until:
            say(
                f"Waiting up to {owner.timeout:g} seconds for a heartbeat of {owner}. Without one, "
                f"that process counts as dead, and this one takes over {self.folder}."
            )
            time.sleep(min(LOOK, owner.timeout / 20))
            now = self._pulse()
            if now == before:
                continue
            found = read(self.path)
            if found is not None and found.token == owner.token and not found.ended:
                raise _in_use(self.folder, found)
            return False  # another owner, or none: to be judged again
        return True

    def _pulse(self) -> tuple[str | None, int]:
        """Returns a value that each heartbeat changes."""
        owner = read(self.path)
        try:
            with _as_os_errors():
                return owner.token if owner else None, storage.time_of_change(self.path)
        except FileNotFoundError:
            return None, 0

    def _settle(self) -> None:
        """Waits until the last of several simultaneous claims is visible, where no lock decides.

        Raises:
            ProjectInUseError: If the last claim is another process's.
        """
        time.sleep(SETTLING)
        if not self._still_owns():
            raise _in_use(self.folder, self._lost)

    def _still_owns(self) -> bool:
        """Returns whether the file describes this owner."""
        self._checked = time.monotonic()
        found = read(self.path)
        if found is not None and self._owner is not None and found.token != self._owner.token:
            self._lost = found
        return found is not None and self._lost is None

    def _beat(self, end: threading.Event) -> None:
        """Renews the file until the lock is released."""
        while not end.wait(BEAT):
            with contextlib.suppress(OSError), self.mutex:
                if end.is_set() or self._owner is None or not self._still_owns():
                    continue
                if self._file is not None:
                    os.utime(self.path)  # works on a full disk, and takes a file server's time
                else:
                    self._write(self._owner)

    def _write(self, owner: Owner) -> None:
        # Under another name first: some remote stores show a file while it is written.
        path = self.path if self._file is not None else f"{self.path}.{os.getpid()}.partial"
        with _as_os_errors():
            storage.write_json(path, asdict(owner))
            if path != self.path:
                storage.rename(path, self.path)


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """Turns the errors of TensorFlow's file systems into those of the operating system."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("tensorflow"):
            raise
        missing = type(error).__name__ == "NotFoundError"
        raise (FileNotFoundError if missing else OSError)(str(error)) from error


def _is_out_of_reach(owner: Owner, is_locked: bool | None) -> bool:
    """Returns whether only a heartbeat tells if an owner lives."""
    return not owner.process.shares_kernel() or (
        is_locked is None and owner.process.is_alive() is None
    )


def _in_use(folder: str, owner: Owner | None) -> ProjectInUseError:
    pid = f"process {owner.process.pid}" if owner is not None else "that process"
    if owner is not None and owner.supervisor is not None:
        pid = f"process {owner.supervisor.pid}"
    return ProjectInUseError(
        f"{folder} is in use by {owner or 'another process'}. Expected one search at a time in a "
        f"project. Wait until it has ended, end {pid}, or choose another `project_name`. Results "
        "can be read at any time."
    )


def _warn_once() -> Say:
    """Returns a function that warns the first time it is given a sentence."""
    said = set()

    def say(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            warnings.warn(sentence, stacklevel=2)

    return say


_serials = itertools.count()
_locks: dict[str, _Lock] = {}


def _lock_of(path: str) -> _Lock:
    """Returns the lock of this process for a path."""
    if storage.is_local(path):
        path = os.path.realpath(path)
    return _locks.setdefault(path, _Lock(path))


if hasattr(os, "register_at_fork"):
    # A child's own searches take locks of their own.
    os.register_at_fork(after_in_child=_locks.clear)
