"""The processes of a parallel search on a Ray cluster: Ray places them, an actor starts each."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kt_plus.distribute import keras_choice
from kt_plus.distribute.messages import Beat, Gone, Job, Tell
from kt_plus.distribute.processes import THREADS, Process, inherited_environment

POLL_PAUSE = 0.2
"""Seconds between two questions to an actor."""

PATIENCE = 30.0
"""Seconds after which the wait for an actor's place is told; Ray itself finds out if it is dead."""

AUTO = "auto"
"""As an address: that of the node on which the chief runs."""


class Host:
    """The actor: starts the process of one worker, or of the chief, where Ray has placed it."""

    def __init__(self) -> None:
        self._said: queue.Queue[Any] = queue.Queue()
        self._process: Process | None = None

    def start(self, variables: dict[str, str]) -> None:
        """Starts the process, with these environment variables besides those of the actor."""
        self._said = said = queue.Queue()
        self._process = Process({**inherited_environment(), **variables}, said.put)

    def poll(self) -> list[Any]:
        """What the process has said since the last time."""
        said = []
        with contextlib.suppress(queue.Empty):
            while True:
                said.append(self._said.get_nowait())
        return said

    def give(self, job: Job) -> None:
        """Tells the process what to do."""
        if job.address == AUTO:
            import ray

            job = replace(job, address=ray.util.get_node_ip_address())
        self._process.give(job)

    def ask_to_end(self) -> None:
        """Lets the process end itself."""
        self._process.ask_to_end()

    def trace(self) -> None:
        """Lets the process write where its threads are."""
        self._process.trace()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()

    def last_lines(self) -> str:
        """The end of its output."""
        return self._process.last_lines()


class Remote:
    """A process that an actor has started.

    Args:
        name: The worker's id, or the chief's.
        actor: The actor.
        variables: Environment variables of the process.
        tell: Told what the process says, and at last that it is `Gone`.
    """

    def __init__(self, name: str, actor: Any, variables: dict[str, str], tell: Tell) -> None:
        self.name, self.actor, self._tell = name, actor, tell
        self._gone, self._waits = threading.Event(), False
        self._started = actor.start.remote(variables)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def give(self, job: Job) -> None:
        self.actor.give.remote(job)

    def ask_to_end(self) -> None:
        self.actor.ask_to_end.remote()

    def trace(self) -> None:
        self.actor.trace.remote()

    def kill(self) -> None:
        self.actor.kill.remote()

    def wait(self, seconds: float) -> None:
        if not self._gone.wait(seconds):
            self.kill()

    def leave(self) -> None:
        """Asks nothing more: for a question after its end Ray would start another cluster."""
        self._gone.set()
        if threading.current_thread() is not self._listener:
            self._listener.join(PATIENCE)

    def last_lines(self) -> str:
        import ray

        try:
            return str(ray.get(self.actor.last_lines.remote(), timeout=10))
        except ray.exceptions.RayError:
            return ""

    def _listen(self) -> None:
        import ray

        asked = self._started
        while not self._gone.is_set():
            try:  # the same answer until it comes: what it holds is told once
                messages = ray.get(asked, timeout=PATIENCE) or ()
            except ray.exceptions.GetTimeoutError:
                self._tell_of_waiting(asked)
                continue
            except ray.exceptions.RayError as error:
                messages = [Gone(f"its Ray actor failed: {str(error).strip().splitlines()[-1]}")]
            for message in messages:
                if isinstance(message, Gone):
                    self._gone.set()
                self._tell(message)
            if not self._gone.wait(0 if asked is self._started else POLL_PAUSE):
                asked = self.actor.poll.remote()

    def _tell_of_waiting(self, asked: Any) -> None:
        if asked is self._started:
            self._tell(Beat())  # it does not hang
            if not self._waits:
                self._waits = True
                warnings.warn(
                    f"{self.name} waits for a place on the Ray cluster. The search goes on with "
                    "the workers that have one.",
                    stacklevel=2,
                )


class Cluster:
    """Starts processes on the Ray cluster that is connected, or else on one of this machine.

    Args:
        resources: What a worker needs, as `ray.remote` takes it: `num_cpus`, `num_gpus`,
            `memory`; other names are resources of the cluster's own.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If no worker can ever have that on a cluster that is started here.
    """

    def __init__(self, resources: Mapping[str, float] | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError(
                'backend="ray" needs Ray: pip install "kt_plus[ray]". backend="process" needs '
                "nothing more, on one machine."
            ) from error
        self._ray, self._started_here = ray, not ray.is_initialized()
        if self._started_here:
            ray.init(include_dashboard=False, log_to_driver=False)
        self._actors: dict[str, Any] = {}
        self._processes: list[Remote] = []
        resources = dict(resources or {"num_cpus": 1})
        self._options = _options(resources)
        if self._started_here:
            self._check_places(resources)

    @property
    def address(self) -> str:
        """Where a chief can be reached by all nodes, if that needs no decision of the user's.

        Raises:
            ValueError: If it does.
        """
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        if len(nodes) > 1:
            self.close()
            raise ValueError(
                f"The Ray cluster has {len(nodes)} nodes, so that the chief must listen on an "
                'address that they reach. Give address="auto" for that of its node; Keras '
                "Tuner's service has no authentication, so the cluster's network must be private."
            )
        return "127.0.0.1"

    def start(self, name: str, place: int | None, tell: Tell) -> Remote:
        """Starts the process of a worker, or with no place that of the chief."""
        threads = max(1, int(self._options.get("num_cpus", 1))) if place is not None else 1
        variables = {variable: str(threads) for variable in THREADS if variable not in os.environ}
        variables.update(keras_choice.variables())
        if place is None:
            variables["CUDA_VISIBLE_DEVICES"] = "-1"
        self._processes.append(Remote(name, self._actor(name, place), variables, tell))
        return self._processes[-1]

    def close(self) -> None:
        """Ends the actors, and the cluster if it was started here."""
        for actor in self._actors.values():
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        for process in self._processes:
            process.leave()
        if self._started_here:
            self._ray.shutdown()

    def _check_places(self, resources: Mapping[str, float]) -> None:
        has = self._ray.cluster_resources()
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        asked = {names.get(name, name): amount for name, amount in resources.items()}
        short = [name for name, amount in asked.items() if amount > has.get(name, 0)]
        if short:
            self.close()
            found = ", ".join(f"{has.get(name, 0):g} {name}" for name in short)
            raise ValueError(
                f"resources={resources} was given, but this machine has {found}, and no Ray "
                "cluster is connected. Ask for less, or connect to one by ray.init(address=...)."
            )

    def _actor(self, name: str, place: int | None) -> Any:
        """The actor of that name, a new one if it is dead."""
        actor = self._actors.get(name)
        try:
            if actor is not None:
                self._ray.get(actor.poll.remote(), timeout=10)
                return actor
        except self._ray.exceptions.RayError:
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        options = self._options if place is not None else {"num_cpus": 0}
        self._actors[name] = self._ray.remote(Host).options(**options).remote()
        return self._actors[name]


def _options(resources: Mapping[str, float]) -> dict[str, Any]:
    known = {k: v for k, v in resources.items() if k in ("num_cpus", "num_gpus", "memory")}
    own = {name: value for name, value in resources.items() if name not in known}
    return {**known, "resources": own} if own else dict(known)
