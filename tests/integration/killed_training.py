"""The program that trains in three processes: one undisturbed, one killed, one that goes on.

The processes are forked when TensorFlow is imported, and before it is used. What they told is
printed as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import kt_plus
from benchmarks.kill import Event, Process, Tell, fork
from tests.integration.small_networks import VALIDATION, X, Y, accuracy, build_model

KILLED_IN = {"trial": "2", "epoch": 1, "batch": 1}


def search(directory: Path, tell: Tell) -> None:
    """A search of four trials that tells of every batch."""
    tf.config.run_functions_eagerly(True)

    class Telling(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            place = {"trial": tuner._trial_id, "epoch": self.epoch, "batch": batch}
            tell({"event": "batch", **place})

    tuner = kt_plus.EvolutionarySearch(
        build_model,
        objective="val_accuracy",
        max_trials=5,
        seed=0,
        population_size=2,
        tournament_size=2,
        random_trials=2,
        directory=directory,
        project_name="killed",
    )
    fit = {"epochs": 3, "batch_size": 16, "validation_data": VALIDATION, "verbose": 0}
    tuner.search(X, Y, callbacks=[Telling()], **fit)
    tell({"event": "end", "best": accuracy(tuner.get_best_models()[0]), **result(tuner)})


def result(tuner: Any) -> Event:
    """Proposals, scores and curves of all trials."""
    return {
        record.trial_id: {
            "values": dict(record.values),
            "score": record.score,
            "curve": record.curve,
            "parent": record.parent,
        }
        for record in tuner.oracle.history
    }


def killed(process: Process) -> list[Event]:
    """Kills the process in the middle of an epoch; what it had told."""
    told = []
    for event in process.events():
        told.append(event)
        if event == {"event": "batch", **KILLED_IN}:
            return told + process.kill()
    return told


if __name__ == "__main__":
    place = Path(sys.argv[1])
    told = {
        "undisturbed": fork(lambda tell: search(place / "undisturbed", tell)).finish(),
        "killed": killed(fork(lambda tell: search(place / "killed", tell))),
        "resumed": fork(lambda tell: search(place / "killed", tell)).finish(),
    }
    print(json.dumps(told))
