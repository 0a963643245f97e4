"""A search on two devices, as a program: they have to be made before TensorFlow is used.

python -m tests.integration.mirrored_training DIRECTORY
"""

from __future__ import annotations

import sys
from typing import Any

import keras
import tensorflow as tf

import kt_plus
from tests.integration.small_networks import X, Y, build_model


class Devices(keras.callbacks.Callback):
    """Counts those that the weights are on."""

    seen: list[set[int]] = []  # noqa: RUF012 - shared by all copies on purpose

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append({len(w.value.values) for w in self.model.trainable_variables})


def main(directory: str) -> None:
    """Searches with inheritance, and uses the best model."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tuner = kt_plus.EvolutionarySearch(
        build_model,
        "loss",
        max_trials=2,
        population_size=1,
        tournament_size=1,
        random_trials=1,
        inherit_weights=True,
        distribution_strategy=tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]),
        directory=directory,
    )
    tuner.search(X, Y, batch_size=len(X), verbose=0, callbacks=[Devices()])
    print({t: trial.status for t, trial in tuner.oracle.trials.items()}, Devices.seen)
    print("inherited:", tuner.oracle.notes["1"].inherited)
    print("predicted:", len(tuner.get_best_models()[0].predict(X, verbose=0)))


if __name__ == "__main__":
    main(sys.argv[1])
