"""The program in which trials are killed in the middle, at every place, and go on from there.

The processes are forked when TensorFlow is imported, and before it is used. What they told is
printed as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras

import kt_plus
from benchmarks.kill import Event, Process, Tell, fork
from tests.integration.killed_training import result
from tests.integration.small_networks import VALIDATION, X, Y

# Trial, execution, epoch: the process is killed when the epoch's first batch has been trained.
KILLS = [("0", 0, 3), ("0", 1, 2), ("1", 1, 0)]


def build(hp: Any) -> Any:
    model = keras.Sequential(
        [
            keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def search(directory: Path, tell: Tell) -> None:
    """A search of two trials, each trained twice, that tells of every epoch begun."""

    class Telling(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                tell({"event": "epoch", "at": [tuner._trial_id, tuner._execution - 1, self.epoch]})

    tuner = kt_plus.RandomSearch(
        build,
        "val_loss",
        max_trials=2,
        seed=0,
        executions_per_trial=2,
        checkpoint_interval=0,
        directory=directory,
        project_name="p",
    )
    callbacks = [
        Telling(),
        keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
    ]
    fit = {"epochs": 6, "batch_size": 16, "validation_data": VALIDATION, "verbose": 0}
    tuner.search(X, Y, callbacks=callbacks, **fit)
    best = [model.evaluate(*VALIDATION, verbose=0)[0] for model in tuner.get_best_models(2)]
    folders = [str(path.relative_to(directory)) for path in directory.glob("p/trial_*/resume")]
    metrics = {
        trial_id: trial.metrics.get_config() for trial_id, trial in tuner.oracle.trials.items()
    }
    steps = {trial_id: trial.best_step for trial_id, trial in tuner.oracle.trials.items()}
    curves = {t: [curve.values for curve in note.curves] for t, note in tuner.oracle.notes.items()}
    told = {"best": best, "folders": folders, "metrics": metrics, "steps": steps, "curves": curves}
    tell({"event": "end", **told, **result(tuner)})


def killed(process: Process, place: tuple[str, int, int]) -> list[Event]:
    """Kills the process when it comes to the place; what it had told."""
    told = []
    for event in process.events():
        told.append(event)
        if event == {"event": "epoch", "at": list(place)}:
            return told + process.kill()
    return told


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    undisturbed = fork(lambda tell: search(folder / "undisturbed", tell)).finish()
    runs = [killed(fork(lambda tell: search(folder / "killed", tell)), place) for place in KILLS]
    runs.append(fork(lambda tell: search(folder / "killed", tell)).finish())
    print(json.dumps({"undisturbed": undisturbed, "runs": runs}))
