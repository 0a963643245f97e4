"""Crash-safe files: what is read was written whole."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from kt_plus.errors import StorageError

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def write_json(path: str, content: Any) -> None:
    """Writes a JSON file so that a reader finds the old content or the new, never a part.

    Raises:
        StorageError: If it cannot be written. The old content is then still there.
    """
    text = json.dumps(content, default=_plain)
    try:
        if _is_remote(path):
            _gfile().makedirs(os.path.dirname(path))
            with _gfile().GFile(path, "w") as file:  # object stores commit on close
                file.write(text)
        else:
            _replace(path, text)
    except OSError as error:
        raise unwritable(path, error) from error


def write_bytes(path: str, content: Any) -> None:
    """Writes a file so that a reader finds the old content or the new, never a part.

    Raises:
        StorageError: If it cannot be written. The old content is then still there.
    """
    with replaced(path) as partial, open(partial, "wb") as file:
        file.write(content)


@contextlib.contextmanager
def replaced(path: str) -> Iterator[str]:
    """The name of a local file to write, which becomes `path`, as a whole, when it is written.

    Raises:
        StorageError: If it cannot be written. The old content is then still there.
    """
    remote, ending = _is_remote(path), "." + os.path.basename(path).partition(".")[2]
    folder = tempfile.mkdtemp() if remote else os.path.dirname(path)
    partial = os.path.join(folder, f"partial-{os.getpid()}-{threading.get_ident()}{ending}")
    try:
        yield partial
        if remote:
            _gfile().copy(partial, path, overwrite=True)
        else:
            os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.remove(partial)
        if remote:
            os.rmdir(folder)


def read_bytes(path: str) -> bytes:
    """The content of a file."""
    with _gfile().GFile(path, "rb") if _is_remote(path) else open(path, "rb") as file:
        return bytes(file.read())


def link(source: str, target: str) -> None:
    """Makes `target` the same file as `source`, which is replaced but never written in place."""
    if _is_remote(source):
        _gfile().copy(source, target, overwrite=True)
        return
    with replaced(target) as partial:
        try:
            os.link(source, partial)
        except OSError:  # not every file system has links
            shutil.copyfile(source, partial)


def remove_others(folder: str, names: Collection[str]) -> None:
    """Removes all files of a folder but those of these names."""
    for name in _gfile().listdir(folder) if _is_remote(folder) else os.listdir(folder):
        if name not in names:
            path = os.path.join(folder, name)
            _gfile().remove(path) if _is_remote(path) else os.remove(path)


def remove_folder(folder: str) -> None:
    """Removes a folder, if there is one."""
    if not _is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif _gfile().exists(folder):
        _gfile().rmtree(folder)


def remove_file(path: str) -> None:
    """Removes a file, if there is one and it can be removed."""
    with contextlib.suppress(OSError):
        if not _is_remote(path):
            os.remove(path)
        elif _gfile().exists(path):
            _gfile().remove(path)


def unwritable(path: str, error: OSError) -> StorageError:
    """The error that tells the user that `path` cannot be written, and how to go on."""
    return StorageError(
        f"{path} could not be written ({error.strerror or error}). Expected a writable project "
        "directory with free space. Everything written before is intact: mend the directory, "
        "run the same program again, and the search goes on."
    )


@contextlib.contextmanager
def telling_of_full_disk(folder: str) -> Iterator[None]:
    """Within it, whatever cannot be written because of the disk is told as `StorageError`.

    Args:
        folder: What the user is told could not be written.
    """
    try:
        yield
    except StorageError:
        raise
    except (OSError, RuntimeError) as error:  # HDF5 raises either
        full = os.strerror(errno.ENOSPC) in str(error)
        if full or getattr(error, "errno", None) in UNWRITABLE:
            raise unwritable(folder, OSError(str(error))) from error
        raise


def make_folder(path: str) -> None:
    """Makes a folder, unless it exists.

    Raises:
        StorageError: If it cannot be made.
    """
    try:
        _gfile().makedirs(path) if _is_remote(path) else os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def check_room(folder: str, size: int) -> None:
    """Raises unless `size` bytes, and some more, can be written to a local folder.

    HDF5 cannot be trusted to find out: it may end the process when the disk gets full
    in the middle of a file.

    Raises:
        StorageError: If there is too little room.
    """
    if not _is_remote(folder) and shutil.disk_usage(folder).free < 1.1 * size + 2**16:
        raise unwritable(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def read_json(path: str) -> Any:
    """The content of a JSON file, or `None` if it does not exist.

    Raises:
        ValueError: If the file is damaged.
    """
    if not exists(path):
        return None
    if _is_remote(path):
        with _gfile().GFile(path, "r") as file:
            return json.loads(file.read())
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def exists(path: str) -> bool:
    """Whether there is such a file or folder, here or in a remote store."""
    return bool(_gfile().exists(path)) if _is_remote(path) else os.path.exists(path)


def is_local(path: str) -> bool:
    """Returns whether the operating system reaches a path, mounted folders included."""
    return not _is_remote(path)


def rename(source: str, target: str) -> None:
    """Gives a file another name, in place of the file that has it."""
    if _is_remote(source):
        _gfile().rename(source, target, overwrite=True)
    else:
        os.replace(source, target)


def time_of_change(path: str) -> int:
    """Returns the time at which a file was written, in ns, as its store reports it.

    Raises:
        OSError: If there is no such file.
    """
    if _is_remote(path):
        return int(_gfile().stat(path).mtime_nsec)
    with open(path, "rb") as file:  # opening a file makes an NFS client ask its server
        return os.fstat(file.fileno()).st_mtime_ns


def empty_folder(folder: str, keep: Collection[str]) -> None:
    """Removes everything in a folder but the files of these names.

    Raises:
        StorageError: If something cannot be removed.
    """
    remote = _is_remote(folder)
    try:
        for name in _gfile().listdir(folder) if remote else os.listdir(folder):
            path = os.path.join(folder, name.rstrip("/"))
            if name in keep:
                continue
            if _gfile().isdir(path) if remote else os.path.isdir(path) and not os.path.islink(path):
                _gfile().rmtree(path) if remote else shutil.rmtree(path)
            else:
                _gfile().remove(path) if remote else os.remove(path)
    except OSError as error:
        raise unwritable(folder, error) from error


def trial_files(project_dir: str) -> Iterator[str]:
    """The path of every trial's file in a project, in no particular order."""
    if _is_remote(project_dir):
        yield from _gfile().glob(os.path.join(project_dir, "trial_*", "trial.json"))
    elif os.path.isdir(project_dir):
        for folder in os.scandir(project_dir):
            path = os.path.join(folder.path, "trial.json")
            if folder.name.startswith("trial_") and os.path.exists(path):
                yield path


def folders(folder: str) -> list[str]:
    """The names of the folders in a folder, if there is one."""
    if not exists(folder):
        return []
    if _is_remote(folder):
        return sorted(name.rstrip("/") for name in _gfile().listdir(folder))
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _replace(path: str, text: str) -> None:
    partial = f"{path}.{os.getpid()}-{threading.get_ident()}.partial"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.remove(partial)
        raise


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}. Expected a number, string or bool.")


def _is_remote(path: str) -> bool:
    return "://" in path


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile
