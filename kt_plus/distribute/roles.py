"""What a process of a parallel search is: the chief, or a worker."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from kt_plus.distribute.display import told_progress
from kt_plus.distribute.messages import Beat, Finished, Job, LogMoved, Ready, Said, Tell
from kt_plus.distribute.tuner_function import make, reload_if_needed

SESSION = "session.json"
LOGS = "logs"
BEAT_PAUSE = 1.0
"""Seconds between two signs of life, at least."""

END_PAUSE = 0.1
"""Seconds between two looks of the chief at whether the search has ended."""


class Role:
    """What the chief and the workers have in common.

    Args:
        job: What to do.
        tell: Tells the supervisor.
        first_log: Where its output is until the project directory is known.
    """

    def __init__(self, job: Job, tell: Tell, first_log: str) -> None:
        self.job, self.tell, self.first_log = job, tell, first_log

    def run(self) -> None:
        """Does the job."""
        raise NotImplementedError

    def end_in_order(self) -> None:
        """Leaves the project as it should be when the supervisor wants no more."""


class Chief(Role):
    """Serves the search to the workers."""

    oracle: Any = None
    _ownership: Any = None

    def run(self) -> None:
        """Serves until the supervisor ends this process."""
        _play("chief", self.job)
        tuner, _, fit_kwargs = make(self.job.make_tuner, self.job.overwrite)
        self._own(tuner.oracle)  # before its log goes to a project that may be another chief's
        self.tell(_move_log(self.first_log, tuner.project_dir, self.job.name))
        verbose = _verbosity(fit_kwargs.get("verbose", 1))
        self._open(tuner, verbose)
        service = self._service()
        place = (self.job.address, service.port, self.oracle.seed, str(tuner.project_dir))
        self.tell(Ready(*place, self.oracle.max_trials, verbose))
        self._serve(service)
        self.end_in_order()
        self.tell(Finished())
        while True:
            time.sleep(60)  # late workers still hear that there is nothing to do

    def end_in_order(self) -> None:
        """Writes the budget spent so far, and releases the project."""
        ownership, self._ownership = self._ownership, None
        if ownership is None:
            return
        if self.oracle is not None:
            with self.oracle._lock, ownership.held():
                self.oracle._write_summary()
        ownership.release()

    def _own(self, oracle: Any) -> None:
        """Takes the project until the end of the search.

        Raises:
            ProjectInUseError: If another search runs in it.
        """
        said = set()

        def say(sentence: str) -> None:
            if sentence not in said:
                said.add(sentence)
                self.tell(Said(sentence))
            self.tell(Beat())  # a chief that waits does not hang

        oracle.ownership.supervisor, oracle.ownership.say = self.job.caller, say
        oracle.ownership.acquire(oracle.reload)
        self._ownership = oracle.ownership

    def _open(self, tuner: Any, verbose: int) -> None:
        from kt_plus.engine import storage, workers

        reload_if_needed(tuner)
        storage.write_json(os.path.join(tuner.project_dir, SESSION), {"token": self.job.token})
        oracle = tuner.oracle
        workers.expect(oracle, self.job.workers)
        oracle.verbose = verbose
        oracle._display = told_progress(oracle, self.tell, verbose)
        tuner.save()
        self.oracle = oracle

    def _service(self) -> Any:
        from kt_plus.engine.service import Service

        address, port = self.job.address, self.job.port
        if port:
            with contextlib.suppress(OSError):  # the port of the chief before is somebody else's
                return Service(self.oracle, address, port)
        return Service(self.oracle, address)

    def _serve(self, service: Any) -> None:
        beaten = 0.0
        while service.failure is None and not service.finished:
            if time.monotonic() - beaten > BEAT_PAUSE:
                beaten = time.monotonic()
                with self.oracle._lock:  # a chief that never gets it is not alive
                    self.tell(Beat())
            time.sleep(END_PAUSE)
        if service.failure is not None:
            raise service.failure


class Worker(Role):
    """Runs trials."""

    _beaten = 0.0
    _trial_id: str | None = None
    _for_good = True

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


def _no_trial() -> Any:
    import keras_tuner
    from keras_tuner.engine.trial import Trial, TrialStatus

    return Trial(keras_tuner.HyperParameters(), "", TrialStatus.STOPPED)


def _verbosity(verbose: Any) -> int:
    """0 for nothing, 1 for one bar, 2 for Keras Tuner's tables."""
    return {"0": 0, "2": 2}.get(str(int(verbose) if isinstance(verbose, bool) else verbose), 1)


def _play(name: str, job: Job) -> None:
    """Sets the variables by which Keras Tuner tells a chief from a worker."""
    os.environ["KERASTUNER_TUNER_ID"] = name
    os.environ["KERASTUNER_ORACLE_IP"] = job.address
    os.environ["KERASTUNER_ORACLE_PORT"] = str(job.port)


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
    with contextlib.suppress(OSError):
        os.remove(first_log)
    return LogMoved(path)
