"""Searches that a chief serves over gRPC to two worker processes, one search after another.

The processes import what they need once, so that a search is a matter of a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import Any

import keras_tuner as kt

import kt_plus
from kt_plus.distribute.messages import receive, send
from kt_plus.engine.history import History, Proposal
from kt_plus.engine.ledger import UNUSED
from kt_plus.engine.service import Service
from kt_plus.engine.space import Space
from kt_plus.testing import hyperparameters_of, invented_score
from kt_plus.testing.simulation import Values

OBJECTIVE = kt.Objective("score", "max")
Run = Callable[[Any, Any], float]
"""What a worker does in a trial, given its client and the trial: the score, or an exception."""


class Recording(kt_plus.Oracle):
    """Keeps each proposal with the history that it was made from."""

    def propose(self, trial_id: str) -> Any:
        history = History(self.knowledge.learnt)
        answer = super().propose(trial_id)
        if isinstance(answer, Proposal):
            self.proposals.append((history, answer))
        return answer


class Workers:
    """Two worker processes."""

    def __init__(self) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.distribute.served", name],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for name in ("worker0", "worker1")
        ]
        self._known: dict[Any, list[tuple[History, Proposal]]] = {}

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def search(self, oracle: kt_plus.Oracle, run: Run, count: int = 2) -> list[list[str]]:
        """Runs a search to its end; the trials that each worker has run."""
        with tempfile.TemporaryDirectory() as folder:
            oracle.verbose = 0
            oracle._set_project_dir(folder, "search")
            service = Service(oracle, "127.0.0.1")
            processes = self._processes[:count]
            for process in processes:
                send(process.stdin, (service.port, run))
            for process in processes:
                assert receive(process.stdout) == "ready"
            # None begins before all can: one alone would be done within the other's import.
            for process in processes:
                send(process.stdin, "begin")
            done = [receive(process.stdout) for process in processes]
            service.stop()
            if service.failure is not None:
                raise service.failure
            return done

    def simulate(
        self,
        strategy: Any,
        space: Space,
        trials: int,
        *,
        workers: int = 1,
        score: Callable[[Values], float | None] = invented_score,
        unused: Collection[str] = (),
    ) -> Iterator[tuple[History, Proposal]]:
        """What `kt_plus.testing.simulate` does, with two workers at most, and 30 trials."""
        count = min(workers, 2)
        key = repr(strategy), repr(space.dimensions), count, repr(score), *unused
        if key not in self._known:
            oracle = Recording(
                OBJECTIVE,
                30,
                hyperparameters_of(space),
                seed=0,
                max_consecutive_failed_trials=None,
                strategy=strategy,
            )
            oracle.proposals = []
            done = self.search(oracle, _scoring(score, unused), count)
            assert all(done), "one worker did everything"
            assert sorted(chain(*done)) == sorted(oracle.trials)
            assert not oracle.ongoing_trials
            self._known[key] = oracle.proposals
        yield from self._known[key][:trials]


def _scoring(score: Callable[[Values], float | None], unused: Collection[str]) -> Run:
    def run(client: Any, trial: Any) -> float:
        values = trial.hyperparameters.values
        found = score(values)
        if found is None:
            raise ArithmeticError("It is to fail.")
        client.update_trial(trial.trial_id, {"curve:score": found}, step=0)
        if unused:
            values[UNUSED] = "\n".join(sorted(unused & values.keys()))
        return found

    return run


def work(name: str) -> None:
    """Does one search after another, until there is no one to ask."""
    from keras_tuner.src.distribute.oracle_client import OracleClient

    from kt_plus.engine.client import Client

    inbox, outbox = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.environ["KERASTUNER_TUNER_ID"] = name
    os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
    while True:
        try:
            port, run = receive(inbox)
        except EOFError:
            return
        os.environ["KERASTUNER_ORACLE_PORT"] = str(port)
        client = Client(OracleClient(kt.oracles.RandomSearchOracle(OBJECTIVE)))
        send(outbox, "ready")
        receive(inbox)
        send(outbox, _trials(client, name, run))


def _trials(client: Any, name: str, run: Run) -> list[str]:
    done = []
    while (trial := client.create_trial(name)).status != "STOPPED":
        if trial.status == "IDLE":
            continue
        try:
            score = run(client, trial)
            client.update_trial(trial.trial_id, {OBJECTIVE.name: score})
            trial.status = "COMPLETED"
        except ArithmeticError as error:
            trial.status, trial.message = "FAILED", str(error)
        client.end_trial(trial)
        done.append(trial.trial_id)
    return done


if __name__ == "__main__":
    work(sys.argv[1])
