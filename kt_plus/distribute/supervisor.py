"""Keeps a chief and its workers running, and a search going that no death ends."""

from __future__ import annotations

import queue
import sys
import time
import uuid
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kt_plus.distribute.display import Display
from kt_plus.distribute.messages import (
    Beat,
    Failed,
    Finished,
    Gone,
    Job,
    Ready,
    Said,
    Shown,
    Started,
    Tell,
    Warned,
)
from kt_plus.engine.callers import level_of_caller

CHIEF = "chief"
LONGEST_DELAY = 30.0
"""Seconds before a process that has died is started again, at most."""

START = 600.0
"""Seconds in which a process has imported what it needs; on a busy machine it takes minutes."""

END = 10.0
"""Seconds in which processes may end by themselves."""

EXPECTED = ("ChiefLostError", "SearchEndedError")
"""Errors of a worker that only say that the chief is gone, or has failed and tells why itself."""


class Running(Protocol):
    """A process that a launcher has started."""

    def give(self, job: Job) -> None: ...
    def ask_to_end(self) -> None: ...
    def trace(self) -> None: ...
    def kill(self) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def last_lines(self) -> str: ...


class Launcher(Protocol):
    """Starts processes, on this machine or on others; `address` is where its chief listens."""

    address: str

    def start(self, name: str, place: int | None, tell: Tell) -> Running: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Limits:
    """How much the search puts up with.

    Args:
        timeout: Seconds without a batch, epoch or trial after which a process is taken to hang.
        max_restarts: How often in a row a process is started again that gets nowhere.
        max_crashes_per_trial: How many deaths in a row without a new epoch a trial may cause.
    """

    timeout: float | None = None
    max_restarts: int = 5
    max_crashes_per_trial: int = 3


@dataclass
class Member:
    """The chief or a worker, through all the processes that play it."""

    name: str
    place: int | None
    process: Any = None
    started: bool = False
    has_job: bool = False
    heard: float = 0.0
    trial_id: str | None = None
    restarts: int = 0
    due: float = 0.0
    finished: bool = False
    reason: str | None = None
    failure: Failed | None = None
    life: int = field(default=0)

    def reset(self) -> None:
        self.started = self.has_job = False
        self.trial_id, self.reason, self.failure = None, None, None
        self.heard, self.life = time.monotonic(), self.life + 1


class Supervisor:
    """Runs one search.

    Args:
        launcher: Starts the processes.
        job: What all of them are to do.
        limits: How much to put up with.
    """

    def __init__(self, launcher: Launcher, job: Job, limits: Limits) -> None:
        self._launcher, self._limits = launcher, limits
        self._job = replace(job, token=uuid.uuid4().hex)
        self._chief = Member(CHIEF, None)
        self._workers = [Member(name, place) for place, name in enumerate(job.workers)]
        self._ready: Ready | None = None
        self._served = False
        self._inbox: queue.Queue[tuple[Member, int, Any]] = queue.Queue()
        self._deaths: list[tuple[str, str, int]] = []  # that the chief does not know yet
        self._display = Display()

    @property
    def _members(self) -> list[Member]:
        return [self._chief, *self._workers]

    def run(self) -> None:
        """Runs the search to its end.

        Raises:
            ParallelSearchError: If its processes cannot be kept running.
            Exception: What ended the search, as it was raised in the chief or a worker.
        """
        try:
            for member in self._members:
                self._start(member)
            while not (self._chief.finished or all(w.finished for w in self._workers)):
                self._listen()
                self._look_after()
            self._let_workers_finish()
        finally:
            self._end_all()

    # What the processes say

    def _listen(self, seconds: float = 0.2) -> None:
        try:
            member, life, message = self._inbox.get(timeout=seconds)
        except queue.Empty:
            return
        if life == member.life:
            member.heard = time.monotonic()
            self._hear(member, message)

    def _hear(self, member: Member, message: Any) -> None:
        if isinstance(message, Beat):
            member.trial_id = message.trial_id
            if message.progress:
                member.restarts = self._chief.restarts = 0
        elif isinstance(message, Started):
            member.started = True
        elif isinstance(message, Shown):
            self._display.show(message)
        elif isinstance(message, Said):
            self._display.write(message.line)
        elif isinstance(message, Warned):
            warnings.warn(message.text, stacklevel=level_of_caller())
        elif isinstance(message, Ready):
            self._on_ready(message)
        elif isinstance(message, Finished):
            member.finished, member.reason = message.for_good, ""
        elif isinstance(message, Failed):
            member.failure = message
        elif isinstance(message, Gone):
            self._on_gone(member, message.how)

    def _on_ready(self, ready: Ready) -> None:
        known = self._ready
        moved = known is not None and (known.address, known.port) != (ready.address, ready.port)
        self._ready, self._served = ready, True
        self._display.begin(ready)
        self._job = replace(
            self._job,
            address=ready.address,
            port=ready.port,
            seed=ready.seed,
            project_dir=ready.project_dir,
            overwrite=False,
        )
        deaths, self._deaths = self._deaths, []
        for death in deaths:
            self._tell_chief(*death)
        for worker in self._workers:
            if moved and worker.process is not None and worker.has_job:
                worker.reason = ""  # it knows the old address only
                worker.process.kill()

    def _on_gone(self, member: Member, how: str) -> None:
        member.process.wait(0)
        log, member.process = member.process, None
        if member.finished:
            return
        if member.failure is not None and member.failure.name not in EXPECTED:
            raise member.failure.error(member.name)
        if member.reason == "" or (member.failure is not None and member is not self._chief):
            return  # no fault of its own: it is started again at once
        how = member.reason or how
        member.restarts += 1
        member.due = time.monotonic() + min(0.25 * 2**member.restarts, LONGEST_DELAY)
        if member is self._chief:
            self._served = False
        elif member.trial_id is not None:
            self._tell_chief(member.name, how, self._limits.max_crashes_per_trial)
        if member.restarts > self._limits.max_restarts:
            self._give_up(member, how, log.last_lines())

    def _tell_chief(self, worker: str, how: str, limit: int) -> None:
        from kt_plus.engine.client import tell_of_death

        if self._served:
            try:
                tell_of_death(self._job.address, self._job.port, worker, how, limit)
                return
            except Exception:  # it is dying: its next process hears of it
                pass
        self._deaths.append((worker, how, limit))

    def _give_up(self, member: Member, how: str, log: str) -> None:
        """Goes on without a worker that cannot be kept running, if there are others."""
        message = (
            f"{member.name} has died {member.restarts} times in a row without getting on; the "
            f"last time {how}. The end of its output:\n{log or '(nothing)'}"
        )
        others = [w for w in self._workers if w is not member and not w.finished]
        if member is self._chief or not others:
            from kt_plus.errors import ParallelSearchError  # which imports Keras

            raise ParallelSearchError(
                f"{message}\nWhat was finished is saved: mend the cause, make the same call again, "
                "and the search goes on."
            )
        member.finished = True
        self._tell_chief(member.name, how, 0)  # its trial is for others
        warnings.warn(f"{message}\nThe search goes on without it.", stacklevel=2)

    # Keeping them running

    def _look_after(self) -> None:
        now = time.monotonic()
        for member in self._members:
            if member.process is None:
                if not member.finished and now >= member.due:
                    self._start(member)
            elif member is self._chief or self._served:
                self._give_job(member)
            if member.process is not None:
                self._look_whether_it_hangs(member, now)

    def _look_whether_it_hangs(self, member: Member, now: float) -> None:
        limit, doing = START, "for it to import what it needs"
        if member.started:
            limit, doing = self._limits.timeout, "without a batch, epoch or trial"
            if limit is None or (member is not self._chief and not self._served):
                member.heard = now  # a worker waits for the chief
                return
        if now - member.heard > limit:
            member.reason = f"it hung: {limit:g} seconds {doing}"
            member.heard = now
            member.process.trace()
            member.process.kill()

    def _start(self, member: Member) -> None:
        member.reset()
        life = member.life

        def tell(message: Any) -> None:
            self._inbox.put((member, life, message))

        member.process = self._launcher.start(member.name, member.place, tell)
        if member is self._chief:
            self._give_job(member)

    def _give_job(self, member: Member) -> None:
        if not member.has_job:
            member.has_job = True
            member.process.give(replace(self._job, name=member.name))

    # The end

    def _let_workers_finish(self) -> None:
        until = time.monotonic() + END
        while time.monotonic() < until and any(
            worker.process is not None and worker.has_job for worker in self._workers
        ):
            try:
                self._listen()
            except Exception as error:
                print(f"After the end of the search: {error!r}", file=sys.stderr)

    def _end_all(self) -> None:
        self._display.close()
        running = [m.process for m in self._members if m.process is not None]
        for process in running:
            process.ask_to_end()
        until = time.monotonic() + END
        for process in running:
            process.wait(max(until - time.monotonic(), 0.1))
        self._launcher.close()
