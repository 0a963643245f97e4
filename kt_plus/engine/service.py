"""The chief's side of Keras Tuner's gRPC service.

A seam: what Keras Tuner's own chief lacks is put around it, and its messages stay as they
are. `keras_tuner.src` is needed because the class has no public name.
"""

from __future__ import annotations

import ipaddress
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from keras_tuner.engine.trial import Trial
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from kt_plus.engine import workers
from kt_plus.engine.client import CRASH_LIMIT, DEAD_WORKER, LONGEST_TEXT, MESSAGE, only_active

LATE = 5.0
"""Seconds that it waits for a worker that is about to ask for the first time."""

LINGER = 30.0
"""Seconds that a chief without a supervisor waits for a worker that has fallen silent."""

SERVER_OPTIONS = (("grpc.so_reuseport", 0),)  # or two chiefs would share a port


class Service(OracleServicer):
    """The chief's side: answers several workers at once, and keeps the error that ends a search.

    Args:
        oracle: The search.
        address: The address to listen on.
        port: The port; 0 for any that is free.

    Raises:
        OSError: If it cannot listen there.
    """

    def __init__(self, oracle: Any, address: str, port: int = 0) -> None:
        super().__init__(oracle)
        self.failure: Exception | None = None
        self.last_heard = time.monotonic()
        _warn_of_open_address(address)
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=SERVER_OPTIONS)
        protos.get_service_grpc().add_OracleServicer_to_server(self, self._server)
        self.port = self._bound(address, port)
        self._server.start()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, and nobody is doing anything."""
        with self.oracle._lock:
            left = self.oracle.ongoing_trials or self.oracle._next_retry()
            return self.stop_triggered and not left

    def wait(self) -> None:
        """Returns when the search has ended and the workers know it.

        Raises:
            Exception: What ended the search, if that was an error.
        """
        while self.failure is None and not (self.finished and self._all_know()):
            time.sleep(0.1)
        if self.failure is not None:
            time.sleep(1.0)  # the other workers hear it at their next report
        self.stop()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Ends the service."""
        self._server.stop(0.5).wait()

    def _bound(self, address: str, port: int) -> int:
        try:
            return int(self._server.add_insecure_port(f"{address}:{port}"))
        except RuntimeError as error:
            raise OSError(
                f"The chief cannot listen on {address}, port {port or 'any'}: {error}. Expected an "
                "address of the chief's own machine, and a port that is free."
            ) from error

    def _all_know(self) -> bool:
        silent = time.monotonic() - self.last_heard
        return silent > (LINGER if self.oracle.tuner_ids else LATE)

    # Keras Tuner's handlers, each with what an error or a second thread would break.

    def GetSpace(self, request: Any, context: Any) -> Any:
        return self._answer(super().GetSpace, request, context, alone=True)

    def UpdateSpace(self, request: Any, context: Any) -> Any:
        return self._answer(super().UpdateSpace, request, context)

    def CreateTrial(self, request: Any, context: Any) -> Any:
        return self._answer(super().CreateTrial, request, context)

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        self._check_known(request.trial_id, context)
        answer = self._answer(super().UpdateTrial, request, context)
        with self.oracle._lock:  # so that a chief that starts again has the score
            self.oracle._save_trial(self.oracle.trials[request.trial_id])
        return answer

    def EndTrial(self, request: Any, context: Any) -> Any:
        ended = only_active(Trial.from_proto(request.trial))
        values = ended.hyperparameters.values
        ended.message = values.pop(MESSAGE, None)
        dead, limit = values.pop(DEAD_WORKER, None), values.pop(CRASH_LIMIT, 0)
        if dead is None:
            self._check_known(ended.trial_id, context)

        def end(request: Any, context: Any) -> Any:
            if dead is None:
                self.oracle.end_trial(ended)
            else:
                workers.died(self.oracle, dead, ended.message or "", limit)
            return protos.get_service().EndTrialResponse()

        return self._answer(end, request, context)

    def GetTrial(self, request: Any, context: Any) -> Any:
        self._check_known(request.trial_id, context)
        return self._answer(super().GetTrial, request, context, alone=True)

    def GetBestTrials(self, request: Any, context: Any) -> Any:
        return self._answer(super().GetBestTrials, request, context, alone=True)

    def _answer(
        self, handle: Callable[..., Any], request: Any, context: Any, alone: bool = False
    ) -> Any:
        self.last_heard = time.monotonic()
        if self.failure is None:
            try:
                if not alone:
                    return handle(request, context)
                with self.oracle._lock:
                    return handle(request, context)
            except Exception as error:
                self.failure = error
                traceback.print_exc()
        return context.abort(grpc.StatusCode.ABORTED, _text(self.failure))

    def _check_known(self, trial_id: str, context: Any) -> None:
        if trial_id not in self.oracle.trials:
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"The chief's search has no trial {trial_id!r}: this worker belongs to another "
                "search. Start it again.",
            )


def _warn_of_open_address(address: str) -> None:
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        warnings.warn(
            f"The search's service listens on {address}, and Keras Tuner's protocol has no "
            "authentication: whoever reaches the port can read and change the search. Use an "
            "address that only the workers reach.",
            stacklevel=3,
        )


def _text(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-LONGEST_TEXT:]
