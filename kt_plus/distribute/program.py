"""What a process of a parallel search runs: `python -m kt_plus.distribute.program LOG`.

Its standard input and output are pipes to the supervisor. When the supervisor is gone, so
is the process: nobody would hear of its results, and they can be had again.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from kt_plus.distribute.messages import (
    Beat,
    Failed,
    Finished,
    Job,
    LogMoved,
    Ready,
    Said,
    Shown,
    Tell,
    receive,
    send,
)

SESSION = "session.json"
LOGS = "logs"
BEAT_PAUSE = 1.0
"""Seconds between two signs of life, at least."""


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

    import kt_plus.engine.tuner  # noqa: F401  # takes seconds, while the chief starts

    try:
        job = receive(inbox)
    except EOFError:
        os._exit(0)
    sys.path[:], sys.argv[:] = job.sys_path, job.argv
    with contextlib.suppress(OSError):
        os.chdir(job.folder)
    process = (Chief if job.name == "chief" else Worker)(job, tell, first_log)
    threading.Thread(target=_end_with, args=(inbox, process), daemon=True).start()
    try:
        process.run()
    except BaseException as error:
        import traceback

        traceback.print_exc()
        tell(Failed.of(error))
        _exit(1)
    _exit(0)


class Chief:
    """Serves the search to the workers.

    Args:
        job: What to do.
        tell: Tells the supervisor.
        first_log: Where its output is until the project directory is known.
    """

    def __init__(self, job: Job, tell: Tell, first_log: str) -> None:
        self.job, self.tell, self.first_log = job, tell, first_log
        self.oracle: Any = None

    def run(self) -> None:
        """Serves until the supervisor ends this process."""
        from kt_plus.engine import storage, workers
        from kt_plus.engine.service import Service

        _play("chief", self.job)
        tuner, _, fit_kwargs = make(self.job.make_tuner, self.job.overwrite)
        oracle = tuner.oracle
        self.tell(_move_log(self.first_log, tuner.project_dir, self.job.name))
        reload_if_needed(tuner)
        storage.write_json(os.path.join(tuner.project_dir, SESSION), {"token": self.job.token})
        workers.expect(oracle, self.job.workers)
        oracle.verbose = verbose = int(fit_kwargs.get("verbose", 1) not in (0, "0"))
        oracle._display = told_progress(oracle, self.tell, verbose)
        tuner.save()
        self.oracle = oracle
        try:
            service = Service(oracle, self.job.address, self.job.port)
        except RuntimeError:  # the port of the chief before is taken by somebody else
            service = Service(oracle, self.job.address)
        place = (self.job.address, service.port)
        self.tell(Ready(*place, oracle.seed, str(tuner.project_dir), oracle.max_trials, verbose))
        while service.failure is None and not service.finished:
            time.sleep(0.1)
        if service.failure is not None:
            raise service.failure
        self.end_in_order()
        self.tell(Finished())
        while True:
            time.sleep(60)  # late workers still hear that there is nothing to do

    def end_in_order(self) -> None:
        """Writes what the search has spent."""
        if self.oracle is not None:
            with self.oracle._lock:
                self.oracle._write_summary()


class Worker:
    """Runs trials.

    Args:
        job: What to do.
        tell: Tells the supervisor.
        first_log: Where its output is until the project directory is known.
    """

    def __init__(self, job: Job, tell: Tell, first_log: str) -> None:
        self.job, self.tell, self.first_log = job, tell, first_log
        self._beaten = 0.0
        self._trial_id: str | None = None
        self._for_good = True

    def run(self) -> None:
        """Runs trials until there is no more, or one if only one is asked for."""
        self.tell(_move_log(self.first_log, self.job.project_dir, self.job.name))
        _play(self.job.name, self.job)
        # A chief that is started again may need minutes; when it is not, the pipe tells.
        os.environ.setdefault("KT_PLUS_PATIENCE", "3600")
        tuner, fit_args, fit_kwargs = make(self.job.make_tuner, overwrite=False)
        tuner.tuner_id = self.job.name
        tuner._seed = self.job.seed
        self._check_access(tuner)
        self._take_part(tuner)
        tuner.search(*fit_args, **fit_kwargs)
        self.tell(Finished(self._for_good))

    def end_in_order(self) -> None:
        """Ends as it is: the trial will be run again."""

    def _check_access(self, tuner: Any) -> None:
        """Raises unless the project directory is the one that the chief has, and writable."""
        from kt_plus.engine import storage
        from kt_plus.errors import StorageError

        session = storage.read_json(os.path.join(str(tuner.project_dir), SESSION)) or {}
        if session.get("token") != self.job.token:
            raise StorageError(
                f"{self.job.name} cannot see what the chief has written to the project directory "
                f"{tuner.project_dir}. All processes need the same directory: give a folder that "
                "all machines share, as an absolute path, or a remote one such as gs://bucket/x."
            )
        own = os.path.join(str(tuner.project_dir), f"{self.job.name}.json")
        storage.write_json(own, tuner.get_state())

    def _take_part(self, tuner: Any) -> None:
        """Gives signs of life at every batch, epoch, and question to the chief."""
        from kt_plus.engine.client import Client

        client = tuner.oracle
        if not isinstance(client, Client):  # a tuner of Keras Tuner's own
            client = tuner.oracle = Client(client)
        create, update, end = client.create_trial, client.update_trial, client.end_trial

        def create_trial(tuner_id: str) -> Any:
            if self.job.one_trial and not self._for_good:
                return _no_trial()
            trial = create(tuner_id)
            self._trial_id = trial.trial_id if trial.status == "RUNNING" else None
            self._beat(progress=False, now=self._trial_id is not None)
            return trial

        def update_trial(*args: Any, **kwargs: Any) -> Any:
            answer = update(*args, **kwargs)
            self._beat(progress=True)
            return answer

        def end_trial(trial: Any) -> None:
            end(trial)
            self._trial_id, self._for_good = None, not self.job.one_trial
            self._beat(progress=True, now=True)

        client.create_trial, client.update_trial = create_trial, update_trial
        client.end_trial = end_trial
        batch_ended = getattr(tuner, "on_batch_end", None)
        if batch_ended is not None:

            def on_batch_end(*args: Any, **kwargs: Any) -> None:
                batch_ended(*args, **kwargs)
                self._beat(progress=False)

            tuner.on_batch_end = on_batch_end

    def _beat(self, progress: bool, now: bool = False) -> None:
        if now or time.monotonic() - self._beaten > BEAT_PAUSE:
            self._beaten = time.monotonic()
            self.tell(Beat(self._trial_id, progress))


def make(make_tuner: Any, overwrite: bool) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The tuner, and the arguments of its `search`.

    Args:
        make_tuner: The user's function, pickled or not.
        overwrite: Whether an `overwrite=True` of the user's counts; it does once in a search.

    Raises:
        TypeError: If the function returns something else.
        ValueError: If the tuner's search is not one that survives.
    """
    from kt_plus.engine.oracle import Oracle

    if isinstance(make_tuner, bytes):
        make_tuner = pickle.loads(make_tuner)
    with contextlib.nullcontext() if overwrite else _never_overwriting():
        made = make_tuner()
    tuner, fit_args, fit_kwargs = _parts(made)
    oracle = getattr(tuner.oracle, "_oracle", tuner.oracle)  # a worker's is behind its client
    if not isinstance(oracle, Oracle):
        raise ValueError(
            f"make_tuner() made a tuner with the oracle {type(oracle).__name__}. Expected one of "
            "kt_plus's, whose projects survive the death of a process: kt_plus.RandomSearch, "
            "kt_plus.Hyperband, ... take the same arguments as Keras Tuner's."
        )
    return tuner, fit_args, fit_kwargs


def _parts(made: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    import keras_tuner

    parts = (made,) if isinstance(made, keras_tuner.engine.base_tuner.BaseTuner) else made
    if isinstance(parts, tuple) and parts:
        tuner, *rest = parts
        fit_kwargs = rest.pop() if rest else {}
        fit_args = rest.pop() if rest else ()
        if isinstance(tuner, keras_tuner.engine.base_tuner.BaseTuner) and not rest:
            return tuner, tuple(fit_args or ()), dict(fit_kwargs or {})
    raise TypeError(
        f"make_tuner() returned {made!r}. Expected (tuner, fit_kwargs), such as "
        "(tuner, {'x': x, 'y': y, 'epochs': 20}), a TFX TunerFnResult, (tuner, fit_args, "
        "fit_kwargs), or a tuner alone."
    )


def reload_if_needed(tuner: Any) -> None:
    """Reads the project again if the tuner, being one of Keras Tuner's own, has not done so."""
    from kt_plus.engine import storage

    saved = storage.exists(os.path.join(str(tuner.project_dir), "oracle.json"))
    if saved and not tuner.oracle.trials:
        tuner.oracle.reload()


@contextlib.contextmanager
def _never_overwriting() -> Iterator[None]:
    """Makes `overwrite=True` count for nothing: the project is that of the running search."""
    from keras_tuner.engine.base_tuner import BaseTuner

    original = BaseTuner.__init__
    signature = inspect.signature(original)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.arguments["overwrite"] = False
        original(*bound.args, **bound.kwargs)

    BaseTuner.__init__ = init
    try:
        yield
    finally:
        BaseTuner.__init__ = original


def told_progress(oracle: Any, tell: Tell, verbose: int) -> Any:
    """A display whose bar is drawn by the supervisor."""
    from kt_plus.engine.progress import Progress

    class Bar:
        """Has what `Progress` uses of a tqdm bar."""

        def __init__(self) -> None:
            self.total, self.n, self.facts = oracle.max_trials, 0, ""

        def set_postfix_str(self, facts: str, refresh: bool) -> None:
            self.facts = facts

        def update(self, count: int) -> None:
            self.n += count
            tell(Shown(self.n, self.facts))

        def write(self, line: str) -> None:
            tell(Said(line))

        def refresh(self) -> None:
            pass

        def close(self) -> None:
            pass

    class Told(Progress):
        def _open(self) -> Any:
            if self._bar is None:
                self._bar = Bar()
            return self._bar

    progress = Told(oracle, oracle._display._tables)
    progress.verbose = verbose
    return progress


def _no_trial() -> Any:
    import keras_tuner
    from keras_tuner.engine.trial import Trial, TrialStatus

    return Trial(keras_tuner.HyperParameters(), "", TrialStatus.STOPPED)


def _play(name: str, job: Job) -> None:
    """Sets the variables by which Keras Tuner tells a chief from a worker."""
    os.environ["KERASTUNER_TUNER_ID"] = name
    os.environ["KERASTUNER_ORACLE_IP"] = job.address
    os.environ["KERASTUNER_ORACLE_PORT"] = str(job.port)


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the supervisor, out of reach of the user's own reading and printing."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return inbox, outbox


def _move_log(first_log: str, project_dir: str, name: str) -> LogMoved:
    """From now on output goes to the project's logs, if those are local files."""
    path = os.path.join(str(project_dir), LOGS, f"{name}.log")
    if "://" in path:
        return LogMoved(first_log)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        return LogMoved(first_log)  # the check of access tells it in a way that helps
    with contextlib.suppress(OSError), open(first_log, "rb") as earlier:
        os.write(log, f"--- {name}, process {os.getpid()}, {time.ctime()}\n".encode())
        os.write(log, earlier.read())
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    return LogMoved(path)


def _end_with(inbox: BinaryIO, process: Chief | Worker) -> None:
    """Ends this process when the supervisor has closed the pipe, or is gone."""
    with contextlib.suppress(Exception):
        while True:
            receive(inbox)
    with contextlib.suppress(Exception):
        process.end_in_order()
    _exit(0)


def _exit(status: int) -> None:
    """Ends at once: threads of gRPC or TensorFlow may wait for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run(sys.argv[1])
