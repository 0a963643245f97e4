"""A lock of the operating system on a file, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""Errors that say that another process holds the lock; all others, that there are no locks."""

# No fork happens while a descriptor is open and not recorded. Reentrant, because the garbage
# collector may release one lock while another one is taken.
_RECORDING = threading.RLock()
_held: set[FileLock] = set()


class FileLock:
    """An exclusive lock on a file.

    It is a `flock`, which belongs to an open file. The alternative, `fcntl.lockf`, belongs to a
    process, but ends as soon as the process closes any descriptor of the file, as copying the
    project folder does. The price is that forked children inherit a `flock`: they close it first.

    Args:
        path: The file. It stays empty, and need not be removed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._number: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lock."""
        return self._number is not None

    def take(self) -> bool | None:
        """Takes the lock without waiting.

        Returns:
            True if it is held now, False if another process holds it, `None` if the file system
            has no locks.

        Raises:
            OSError: If the file cannot be opened for writing.
        """
        while True:
            with _RECORDING:
                number, answer = _open_and_lock(self.path)
                if answer and _is_at(number, self.path):
                    self._record(number)
                    return True
                os.close(number)
            if not answer:
                return answer
            # The file was removed, or replaced, since it was opened: its lock excludes nobody.

    def replace(self) -> None:
        """Puts a new, locked file in the place of one that another process keeps locked."""
        partial = f"{self.path}.{os.getpid()}.partial"
        with _RECORDING:
            number, _ = _open_and_lock(partial)
            os.replace(partial, self.path)
            self._record(number)

    def release(self) -> None:
        """Releases the lock, if it is held."""
        with _RECORDING:
            number, self._number = self._number, None
            _held.discard(self)
            if number is not None:
                with contextlib.suppress(OSError):
                    _unlock(number)  # also for a child that has not closed its copy yet
                os.close(number)

    def _record(self, number: int) -> None:
        self._number = number
        _held.add(self)

    def _forget(self) -> None:
        """Closes the copy of a forked child. To unlock it would unlock the parent's."""
        number, self._number = self._number, None
        if number is not None:
            with contextlib.suppress(OSError):
                os.close(number)


def _open_and_lock(path: str) -> tuple[int, bool | None]:
    """Opens a file, and returns its descriptor and whether it is locked; see `FileLock.take`."""
    # Not for writing: an open file would keep the disk from being mounted read-only.
    number = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        return number, _lock(number)
    except OSError as error:
        os.close(number)
        if error.errno != errno.EBADF:
            raise
    number = os.open(path, os.O_RDWR)  # NFS locks only files that are open for writing
    return number, _lock(number)


def _lock(number: int) -> bool | None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise
        return False if error.errno in BUSY else None
    return True


def _unlock(number: int) -> None:
    if sys.platform == "win32":
        os.lseek(number, 0, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(number, fcntl.LOCK_UN)


def _is_at(number: int, path: str) -> bool:
    """Returns whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


def _after_fork_in_child() -> None:
    for lock in [*_held]:
        lock._forget()
    _held.clear()
    _RECORDING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_RECORDING.acquire,
        after_in_parent=_RECORDING.release,
        after_in_child=_after_fork_in_child,
    )
