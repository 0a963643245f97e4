"""The program whose disk is full when the second of its networks is to be saved."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import keras

import kt_plus
from tests.integration.small_networks import VALIDATION, X, Y, compiled

OTHER = "other"
"""The file of somebody else's that fills the disk."""


def build(hp: Any) -> Any:
    """A network of some fifty kilobytes."""
    return compiled([keras.layers.Dense(hp.Int("units", 2000, 3000), "relu")])


def new_tuner(disk: Path) -> Any:
    """The search, whose project is on that disk."""
    return kt_plus.RandomSearch(build, "val_loss", max_trials=2, seed=0, directory=disk)


class Fill(keras.callbacks.Callback):
    """Leaves room for the second trial's own file, but not for its weights."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.disk = disk

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        place = self.disk / "untitled_project" / "trial_1"
        if place.exists() and not (self.disk / OTHER).exists():
            room = os.statvfs(self.disk)
            free = room.f_bavail * room.f_frsize - 20 * 1024
            (self.disk / OTHER).write_bytes(b"0" * free)


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    callbacks = [Fill(disk)]
    new_tuner(disk).search(
        X, Y, epochs=2, validation_data=VALIDATION, verbose=0, callbacks=callbacks
    )
