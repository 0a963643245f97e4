"""How many trials a second one chief can serve: `python -m benchmarks.chief --help`."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from keras_tuner.engine.trial import Trial

from benchmarks.kill import Tell, fork
from benchmarks.methods import Method, Unavailable, parse
from benchmarks.overhead import space
from benchmarks.reporting import positive, print_table, versions
from benchmarks.searches import OBJECTIVE
from kt_plus.engine.client import stub_at
from kt_plus.engine.service import Service

METHODS = ("kt.RandomSearch", "kt_plus.RandomSearch", "kt_plus.EvolutionarySearch")
BEHIND = (1_000, 10_000)
SERVERS: list[Any] = []


def serve(method: Method, behind: Sequence[int], directory: Path, tell: Tell) -> None:
    """Runs trials until so many are behind, and then serves, at each of the marks in turn."""
    settings = {"max_trials": 10**6, "seed": 1} | method.settings
    oracle = method.implementation()(objective=OBJECTIVE, hyperparameters=space(), **settings)
    oracle.verbose = 0
    oracle._set_project_dir(str(directory), "project")
    port = Service(oracle, "127.0.0.1").port if method.package == "kt_plus" else plain(oracle)
    for mark in behind:
        while len(oracle.end_order) < mark:
            trial = oracle.create_trial("chief")
            oracle.update_trial(trial.trial_id, {OBJECTIVE.name: score(trial)})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        tell({"event": "serves", "port": port})
        signal.sigwait({signal.SIGUSR1})


def plain(oracle: Any) -> int:
    """Serves as Keras Tuner's own chief does; its port."""
    from keras_tuner.src import protos  # neither has a public name
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    SERVERS.append(server)  # it ends when nothing refers to it
    return int(port)


def score(trial: Any) -> float:
    """A score that depends on the values."""
    return 1 / (1 + abs(float(trial.hyperparameters.values["learning_rate"]) - 0.01))


def work(stub: Any, tuner_id: str, trials: int, seconds: list[float]) -> None:
    """Does trials that take no time, over gRPC; appends how long each proposal took."""
    from keras_tuner.src import protos  # the messages have no public name

    messages = protos.get_service()
    for _ in range(trials):
        begun = time.perf_counter()
        answer = stub.CreateTrial(messages.CreateTrialRequest(tuner_id=tuner_id))
        seconds.append(time.perf_counter() - begun)
        trial = Trial.from_proto(answer.trial)
        metrics = {OBJECTIVE.name: score(trial)}
        stub.UpdateTrial(
            messages.UpdateTrialRequest(trial_id=trial.trial_id, metrics=metrics, step=0)
        )
        trial.status = "COMPLETED"
        stub.EndTrial(messages.EndTrialRequest(trial=trial.to_proto()))


def measure(port: int, trials: int, workers: int) -> tuple[float, float]:
    """Trials a second that so many workers get through the chief; median of a proposal in ms."""
    proposals: list[float] = []
    threads = [
        threading.Thread(
            target=work,
            args=(stub_at("127.0.0.1", port), f"worker{i}", trials // workers, proposals),
        )
        for i in range(workers)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(proposals) / (time.perf_counter() - begun), 1000 * statistics.median(proposals)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chief", description=__doc__)
    parser.add_argument("--methods", nargs="+", type=parse, default=[*map(parse, METHODS)])
    parser.add_argument("--behind", nargs="+", type=positive, default=BEHIND)
    parser.add_argument("--trials", type=positive, default=200, help="trials to time")
    parser.add_argument("--workers", type=positive, default=8, help="that ask at the same time")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the methods and prints one table."""
    options = _options(arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    lines = [["chief", "trials behind", "trials a second", "a proposal (ms, median)"]]
    left_out, chiefs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for place, method in enumerate(options.methods):  # all forked before there are threads
            try:
                method.implementation()
            except Unavailable as error:
                left_out.append(f"Left out: {method.label} ({error})")
                continue
            directory = Path(folder, str(place))
            chiefs.append((method, _start(method, options.behind, directory)))
        for method, (chief, begin) in chiefs:
            os.write(begin, b"!")  # one after the other, so that each has the machine
            for mark in options.behind:
                event = next(chief.events())
                if event["event"] == "error":
                    raise RuntimeError(event["error"])
                rate, proposal = measure(event["port"], options.trials, options.workers)
                print(f"{method.label}, {mark} behind: {rate:.0f} a second", flush=True)
                lines.append([method.label, f"{mark:,}", f"{rate:.0f}", f"{proposal:.1f}"])
                os.kill(chief.pid, signal.SIGUSR1)
            chief.finish()
    print(f"\n{versions()}, {options.workers} workers that train nothing\n")
    print_table(lines)
    print("\n".join(left_out))


def _start(method: Method, behind: Sequence[int], directory: Path) -> tuple[Any, int]:
    """A chief's process, and a pipe's end; it begins when something is written there."""
    reading, writing = os.pipe()

    def begin(tell: Tell) -> None:
        os.read(reading, 1)
        serve(method, behind, directory, tell)

    process = fork(begin)
    os.close(reading)
    return process, writing


if __name__ == "__main__":
    main()
