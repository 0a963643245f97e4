"""What a process of a parallel search runs: `python -m kt_plus.distribute.program LOG`.

Its standard input and output are pipes to the supervisor. When the supervisor is gone, so
is the process: nobody would hear of its results, and they can be had again.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, BinaryIO

from kt_plus.distribute import keras_choice
from kt_plus.distribute.messages import Failed, Started, receive, send
from kt_plus.distribute.processes import TRACE

if TYPE_CHECKING:
    from kt_plus.distribute.roles import Role


def run(first_log: str) -> None:
    """Takes over the standard streams, imports, waits for the job and does it.

    Args:
        first_log: The file that standard error goes to until the project directory is known.
    """
    inbox, outbox = _own_streams()
    lock = threading.Lock()

    def tell(message: Any) -> None:
        with lock, contextlib.suppress(OSError):
            send(outbox, message)

    faulthandler.enable()
    if TRACE is not None:
        faulthandler.register(TRACE)
    keras_choice.adopt()
    import kt_plus.engine.tuner  # noqa: F401  # takes seconds, while the chief starts
    from kt_plus.distribute.roles import Chief, Worker

    tell(Started())
    try:
        job = receive(inbox)
    except EOFError:
        os._exit(0)
    sys.path[:], sys.argv[:] = job.sys_path, job.argv
    with contextlib.suppress(OSError):
        os.chdir(job.folder)
    role = (Chief if job.name == "chief" else Worker)(job, tell, first_log)
    threading.Thread(target=_end_with, args=(inbox, role), daemon=True).start()
    try:
        role.run()
    except BaseException as error:
        traceback.print_exc()
        tell(Failed.of(error))
        _exit(1)
    _exit(0)


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the supervisor, out of reach of the user's own reading and printing."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a killed process printed is in its log
        sys.stdout.reconfigure(line_buffering=True)
    return inbox, outbox


def _end_with(inbox: BinaryIO, role: Role) -> None:
    """Ends this process when the supervisor has closed the pipe, or is gone."""
    with contextlib.suppress(Exception):
        while True:
            receive(inbox)
    with contextlib.suppress(Exception):
        role.end_in_order()
    _exit(0)


def _exit(status: int) -> None:
    """Ends at once: threads of gRPC or TensorFlow may wait for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run(sys.argv[1])
