"""The program in which a child that inherits, and a retraining, are killed in the middle.

The processes are forked when TensorFlow is imported, and before it is used. What they told is
printed as one line of JSON.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import kt_plus
from benchmarks.kill import Event, Process, Tell, fork
from tests.integration.killed_training import result
from tests.integration.small_networks import VALIDATION, X, Y, compiled

CHILD = "inherit/3"


def build(hp: Any) -> Any:
    units = hp.Int("units", 4, 32, step=4)
    layers = [keras.layers.Dense(units, "relu"), keras.layers.BatchNormalization()]
    return compiled([*layers, keras.layers.Dropout(0.2)], hp.Float("rate", 0.01, 0.1))


def search(directory: Path, tell: Tell) -> None:
    """A search of four trials, each trained twice, whose two best are trained again."""
    tf.config.run_functions_eagerly(True)

    class Telling(kt_plus.EvolutionarySearch):
        def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
            self.running = epoch

        def on_batch_end(self, trial: Any, model: Any, batch: int, logs: Any = None) -> None:
            if batch == 0:
                place = f"{Path(self.project_dir).name}/{trial.trial_id}"
                tell({"event": "epoch", "at": [place, self._execution - 1, self.running]})

    tuner = Telling(
        build,
        "val_loss",
        max_trials=4,
        seed=0,
        population_size=2,
        tournament_size=2,
        random_trials=2,
        inherit_weights=True,
        executions_per_trial=2,
        checkpoint_interval=0,
        directory=directory,
        project_name="inherit",
    )
    fit = {"epochs": 3, "batch_size": 16, "validation_data": VALIDATION, "verbose": 0}
    tuner.search(X, Y, **fit)
    again = [(r.trial_id, r.score, r.inherited) for r in tuner.retrain_best(2)]
    loss = tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0]
    notes = {t: [n.inherited, n.inheritance] for t, n in tuner.oracle.notes.items()}
    tell({"event": "end", "again": again, "loss": loss, "notes": notes, **result(tuner)})


def killed(process: Process, there: Callable[[list[Any]], bool]) -> list[Event]:
    """Kills the process when it comes to a place; what it had told."""
    told = []
    for event in process.events():
        told.append(event)
        if "at" in event and there(event["at"]):
            return told + process.kill()
    return told


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    gc.freeze()  # Keras Tuner collects garbage before each build
    run = folder / "killed"
    undisturbed = fork(lambda tell: search(folder / "undisturbed", tell)).finish()
    parent = undisturbed[-1]["3"]["parent"]
    checkpoint = run / "inherit" / f"trial_{parent}" / "checkpoint.weights.h5"
    # A child in its second run, and the first trial that is trained again, in its second run too.
    runs = [killed(fork(lambda tell: search(run, tell)), lambda at: at == [CHILD, 1, 2])]
    checkpoint.rename(checkpoint.with_name("away"))  # the child has weights of its own by now
    again = fork(lambda tell: search(run, tell))

    def is_retraining(at: list[Any]) -> bool:
        if checkpoint.with_name("away").exists() and at[0] != CHILD:
            checkpoint.with_name("away").rename(checkpoint)
        return not at[0].startswith("inherit") and at[1:] == [1, 1]

    runs.append(killed(again, is_retraining))
    runs.append(fork(lambda tell: search(run, tell)).finish())
    print(json.dumps({"undisturbed": undisturbed, "runs": runs}))
