"""A worker's side of Keras Tuner's gRPC service.

A seam: what Keras Tuner's own client lacks is put around it, and its messages stay as they
are. `keras_tuner.src` is needed because the class has no public name.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_client import OracleClient
from keras_tuner.src.engine import conditions

from kt_plus.engine import logs
from kt_plus.engine.ledger import CURVE, RESERVED
from kt_plus.errors import ChiefLostError, SearchEndedError

conditions.print = lambda *args: None  # it prints a value of every condition that it sends

MESSAGE = RESERVED + "message"
"""Under this name a worker tells why a trial failed: Keras Tuner does not send messages."""

DEAD_WORKER = RESERVED + "dead_worker"
CRASH_LIMIT = RESERVED + "crash_limit"
"""Under these names a supervisor tells of a worker's death, and how many a trial may cause."""

PATIENCE = 15.0
"""Seconds without a chief after which a worker stops, unless `KT_PLUS_PATIENCE` says otherwise."""

PROBE_PAUSE = 3.0
"""Seconds between two looks at whether the chief is there."""

LONGEST_TEXT = 4000  # gRPC sends an error's text in a header of at most 8 KiB

LOST = 75
"""Exit status of a worker whose chief is gone: a temporary failure, as in `sysexits.h`."""


class Client(OracleClient):
    """A worker's side: outlives a chief that starts again, and stops when it does not.

    Args:
        client: Keras Tuner's own client, made from the environment variables.
    """

    def __init__(self, client: OracleClient) -> None:
        self._oracle, self.tuner_id = client._oracle, client.tuner_id
        self.multi_worker, self.should_report = client.multi_worker, client.should_report
        address = os.environ["KERASTUNER_ORACLE_IP"], int(os.environ["KERASTUNER_ORACLE_PORT"])
        self.watch = Watch(address)
        self.stub = stub_at(*address, self.watch)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within it, the loss of the chief ends what this process does.

        Raises:
            ChiefLostError: If the chief was lost.
        """
        self.watch.begin()
        try:
            yield
        except KeyboardInterrupt:
            if self.watch.lost:
                raise self.watch.error from None
            raise
        finally:
            self.watch.end()

    def create_trial(self, tuner_id: str) -> Any:
        return only_active(super().create_trial(tuner_id))

    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> Any:
        if any(name.startswith(CURVE) for name in metrics):
            return super().update_trial(trial_id, metrics, step)
        return super().update_trial(trial_id, logs.reported(metrics, self.objective), step)

    def end_trial(self, trial: Any) -> None:
        if trial.message:
            trial.hyperparameters.values[MESSAGE] = trial.message[-LONGEST_TEXT:]
        try:
            super().end_trial(trial)
        finally:
            trial.hyperparameters.values.pop(MESSAGE, None)


class Watch:
    """Looks whether the chief can be reached, from the first time on that it could.

    Args:
        address: The chief's address and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.patience = float(os.environ.get("KT_PLUS_PATIENCE", PATIENCE))
        self._heard: float | None = None
        self._ended = threading.Event()
        self._before: Any = None

    @property
    def lost(self) -> bool:
        """Whether the chief has been away for too long."""
        return self._heard is not None and time.monotonic() - self._heard > self.patience

    @property
    def error(self) -> ChiefLostError:
        """What to tell the user."""
        return ChiefLostError(
            f"The chief at {self.address[0]}:{self.address[1]} has not been reachable for "
            f"{self.patience:g} seconds. Start chief and workers again: the search goes on "
            "from what it has saved."
        )

    def begin(self) -> None:
        """Interrupts this process's main thread when the chief is lost, until `end`."""
        self._ended.clear()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before == signal.SIG_IGN:  # in the background of a shell
                signal.signal(signal.SIGINT, self._on_interrupt)
        threading.Thread(target=self._look, daemon=True).start()

    def end(self) -> None:
        """Looks no further."""
        self._ended.set()
        if self._before == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_interrupt(self, number: int, frame: Any) -> None:
        if self.lost:
            raise KeyboardInterrupt

    def _look(self) -> None:
        while not self._ended.wait(PROBE_PAUSE):
            try:
                socket.create_connection(self.address, timeout=5).close()
                self._heard = time.monotonic()
            except OSError:
                if self.lost:
                    return self._give_up()

    def _give_up(self) -> None:
        if hasattr(signal, "pthread_kill"):  # a real signal: it ends a sleep as well
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        else:
            _thread.interrupt_main()
        if not self._ended.wait(5):  # a training step does not hear the interrupt
            print(self.error, file=sys.stderr, flush=True)
            os._exit(LOST)


class _Patience(grpc.UnaryUnaryClientInterceptor):
    """Asks again when the connection broke: each of the service's calls may come twice."""

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch

    def intercept_unary_unary(self, ask: Callable[..., Any], details: Any, request: Any) -> Any:
        while True:
            answer = ask(details, request)
            code = answer.code()
            if code == grpc.StatusCode.ABORTED:
                raise SearchEndedError(answer.details())
            if code != grpc.StatusCode.UNAVAILABLE or self._watch is None:
                return answer
            if self._watch.lost:
                raise self._watch.error
            time.sleep(0.2)


def only_active(trial: Any) -> Any:
    """The trial as it was sent.

    Where a condition holds by default, Keras Tuner's reading of a message adds the defaults of
    what depends on it, whether or not it holds in the trial.
    """
    hyperparameters, known = trial.hyperparameters, trial.hyperparameters._hps
    while added := [
        name
        for name in hyperparameters.values
        if name in known and not hyperparameters.is_active(name)
    ]:
        for name in added:  # what depends on it in turn is seen the next time
            del hyperparameters.values[name]
    return trial


def stub_at(address: str, port: int, watch: Watch | None = None) -> Any:
    """The service's calls at an address."""
    channel = grpc.insecure_channel(
        f"{address}:{port}",
        # Or gRPC waits up to two minutes before it looks for a chief that starts again.
        options=(("grpc.max_reconnect_backoff_ms", 2000), ("grpc.enable_http_proxy", 0)),
    )
    return protos.get_service_grpc().OracleStub(grpc.intercept_channel(channel, _Patience(watch)))


def tell_of_death(address: str, port: int, worker: str, reason: str, limit: int) -> None:
    """Tells the chief that the process of a worker has died.

    Args:
        address: The chief's address.
        port: Its port.
        worker: The tuner id of the worker.
        reason: How it died.
        limit: How many deaths in a row a trial may cause before it has failed.
    """
    told = keras_tuner.HyperParameters()
    told.values = {DEAD_WORKER: worker, CRASH_LIMIT: limit, MESSAGE: reason[-LONGEST_TEXT:]}
    trial = Trial(told, "", TrialStatus.FAILED).to_proto()
    request = protos.get_service().EndTrialRequest(trial=trial)
    stub_at(address, port).EndTrial(request, timeout=10)
