"""The program that a chief and its workers run, told apart by Keras Tuner's environment variables.

Its arguments are the project's directory, the search's class if it is not evolution, and
"inherit" if its trials are to inherit weights. It
prints one line of JSON: the chief what it proposed and its best model's loss, a worker the
number of epochs that it trained in each of its trials.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import tensorflow as tf

import kt_plus
from kt_plus.performance_estimation.learning_curves.forecast import Forecast, Mixture
from tests.integration.small_networks import VALIDATION, X, Y, compiled


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


name = sys.argv[2] if len(sys.argv) > 2 else "EvolutionarySearch"


class Recording(getattr(kt_plus.oracles, name + "Oracle")):
    """Keeps what it proposes."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        answer = super().populate_space(trial_id)
        if answer["status"] == "RUNNING":
            proposed[trial_id] = dict(answer["values"])
        return answer


class Counting(kt_plus.Tuner):
    """Counts the epochs that are trained in this process."""

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        trained[trial.trial_id] = trained.get(trial.trial_id, 0) + 1


tf.config.run_functions_eagerly(True)
proposed: dict[str, dict[str, Any]] = {}
trained: dict[str, int] = {}
settings: dict[str, Any] = {"max_trials": 7, "stopping": AfterTwoEpochs()}
if name == "ReinforcementLearning":
    settings["batch_size"] = 2
if name == "SuccessiveHalving":
    settings = {"max_epochs": 4, "configurations": 4}
if sys.argv[3:] == ["inherit"]:
    settings["inherit_weights"] = True
if name == "OptunaSearch":
    from optuna.samplers import TPESampler

    settings["sampler"] = functools.partial(TPESampler, n_startup_trials=2)
oracle = Recording(kt.Objective("val_loss", "min"), seed=4, **settings)
tuner = Counting(oracle, build, directory=sys.argv[1], project_name="parallel")
tuner.search(X, Y, epochs=4, validation_data=VALIDATION, verbose=0)
if isinstance(tuner.oracle, Recording):
    best = tuner.get_best_models()[0]
    loss = best.evaluate(*VALIDATION, verbose=0)[0]
    print(json.dumps({"proposed": proposed, "loss": loss, "trained": trained}))
else:
    print(json.dumps({"trained": trained}))
