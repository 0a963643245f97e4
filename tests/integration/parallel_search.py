"""The program that forks a chief and two workers, which Keras Tuner tells apart by variables.

Its arguments are the project's directory, the name of the search, and "inherit" if trials inherit
weights. The processes are forked after TensorFlow is imported and before it is used, because its
import takes longer than the search. The program prints one line of JSON with the events of each
process: the chief reports its proposals and the loss of its best model, a worker the number of
epochs that it trained in each of its trials.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import sys
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import tensorflow as tf

import kt_plus
from benchmarks.kill import Process, Tell, fork
from kt_plus.performance_estimation.learning_curves.forecast import Forecast, Mixture
from tests.integration.small_networks import VALIDATION, X, Y, compiled

NAMES = ("chief", "worker0", "worker1")


def build(hp: Any) -> Any:
    kind = hp.Choice("kind", ["wide", "deep"])
    layers: list[Any] = []
    if kind == "wide":
        with hp.conditional_scope("kind", ["wide"]):
            layers.append(keras.layers.Dense(hp.Int("units", 8, 64, step=8), "relu"))
    else:
        with hp.conditional_scope("kind", ["deep"]):
            for i in range(hp.Int("layers", 2, 3)):
                layers.append(keras.layers.Dense(4, "relu", name=f"layer_{i}"))
    layers.append(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5)))
    return compiled(layers, hp.Choice("learning_rate", [0.1, 0.01, 0.3]))


class AfterTwoEpochs(kt_plus.stopping.Stopper):
    """Stops every second trial after two epochs, expecting no more than it has seen."""

    def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
        hopeless = int(trial.trial_id) % 2 == 1 and len(trial.curve) >= 2
        seen = Mixture(np.ones(1), np.array([max(trial.curve)]), np.array([0.1]))
        forecast = Forecast(seen, [seen] * (trial.horizon - len(trial.curve)), len(trial.curve))
        return kt_plus.Verdict(hopeless, f"odd, and {history.show(trial.curve[-1])}", forecast)


class Counting(kt_plus.Tuner):
    """Counts the epochs of each trial that this process trains."""

    trained: dict[str, int]

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        self.trained[trial.trial_id] = self.trained.get(trial.trial_id, 0) + 1


def oracle_of(name: str, inherit: bool) -> Any:
    """Returns an oracle that records its proposals in `proposed`."""

    class Recording(getattr(kt_plus.oracles, name + "Oracle")):
        def populate_space(self, trial_id: str) -> dict[str, Any]:
            answer = super().populate_space(trial_id)
            if answer["status"] == "RUNNING":
                self.proposed[trial_id] = dict(answer["values"])
            return answer

    settings: dict[str, Any] = {"max_trials": 7, "stopping": AfterTwoEpochs()}
    if name == "ReinforcementLearning":
        settings["batch_size"] = 2
    if name == "SuccessiveHalving":
        settings = {"max_epochs": 4, "configurations": 4}
    if inherit:
        settings["inherit_weights"] = True
    if name == "OptunaSearch":
        from optuna.samplers import TPESampler

        settings["sampler"] = functools.partial(TPESampler, n_startup_trials=2)
    oracle = Recording(kt.Objective("val_loss", "min"), seed=4, **settings)
    oracle.proposed = {}
    return oracle


def search(directory: str, name: str, inherit: bool) -> dict[str, Any]:
    """Runs this process's part of the search and returns its report."""
    tf.config.run_functions_eagerly(True)
    oracle = oracle_of(name, inherit)
    tuner = Counting(oracle, build, directory=directory, project_name="parallel")
    tuner.trained = {}
    tuner.search(X, Y, epochs=4, validation_data=VALIDATION, verbose=0)
    if tuner.oracle is not oracle:  # a worker's stands for the chief's
        return {"trained": tuner.trained}
    best = tuner.get_best_models()[0]
    loss = best.evaluate(*VALIDATION, verbose=0)[0]
    return {"proposed": oracle.proposed, "loss": loss, "trained": tuner.trained}


def start(role: str, port: int, directory: str, name: str, inherit: bool) -> Process:
    def work(tell: Tell) -> None:
        os.environ["KERASTUNER_TUNER_ID"] = role
        os.environ["KERASTUNER_ORACLE_IP"] = "127.0.0.1"
        os.environ["KERASTUNER_ORACLE_PORT"] = str(port)
        tell({"event": "end", **search(directory, name, inherit)})

    return fork(work)


def main(directory: str, name: str, *options: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    inherit = options == ("inherit",)
    processes = [start(role, port, directory, name, inherit) for role in NAMES]
    print(json.dumps([process.finish() for process in processes]))


if __name__ == "__main__":
    main(*sys.argv[1:])
