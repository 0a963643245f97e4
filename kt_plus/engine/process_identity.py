"""Identifies a process beyond its id, which the system gives to another process later."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = "/proc/self/ns/pid"
START_TIME = 19
"""Place of the start time in `/proc/PID/stat`, counted from the state, which follows the name."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of this machine or of another one.

    Args:
        host: The name of its machine.
        pid: Its id.
        kernel: Identifies the running kernel. It differs between machines, and after a restart.
        namespace: Identifies the pid namespace: two containers may both have a process 7.
        birth: Its start time as the kernel counts it; `None` where the system does not tell.
    """

    host: str
    pid: int
    kernel: str
    namespace: str
    birth: str | None

    @classmethod
    def current(cls) -> ProcessIdentity:
        """Returns the identity of this process."""
        host, pid = socket.gethostname(), os.getpid()
        try:
            kernel, namespace = BOOT_ID.read_text().strip(), os.readlink(PID_NAMESPACE)
        except OSError:  # not Linux
            kernel, namespace = f"{host}-{uuid.getnode():012x}", ""
        return cls(host, pid, kernel, namespace, _stat(pid)[1])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ProcessIdentity:
        """Reads an identity.

        Raises:
            KeyError: If a field is missing.
            ValueError: If the process id is not a positive integer.
        """
        pid, birth = config["pid"], config.get("birth")
        # Signals to 0 and to negative ids reach whole process groups.
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 2**31:
            raise ValueError(f"`pid` must be a positive integer, got {pid!r}.")
        host, kernel, namespace = (str(config[key]) for key in ("host", "kernel", "namespace"))
        return cls(host, pid, kernel, namespace, None if birth is None else str(birth))

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    def shares_kernel(self) -> bool:
        """Returns whether file locks of that process reach this one."""
        return self.kernel == ProcessIdentity.current().kernel

    def is_alive(self) -> bool | None:
        """Returns whether the process runs; `None` if this process cannot know."""
        here = ProcessIdentity.current()
        if (self.kernel, self.namespace) != (here.kernel, here.namespace) or os.name != "posix":
            return None  # on Windows, signal 0 would end the process
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # another user's
        state, birth = _stat(self.pid)
        if birth is None or self.birth is None:
            return None  # the id may belong to another process by now
        return birth == self.birth and state not in ("Z", "X")


def _stat(pid: int) -> tuple[str | None, str | None]:
    """Returns the state and the start time of a process, as far as the system tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[START_TIME]
    except (OSError, IndexError):
        return None, None
