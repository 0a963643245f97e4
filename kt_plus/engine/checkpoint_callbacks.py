"""The callbacks that keep what a training needs to go on, and that give it back."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kt_plus.engine import logs as keras_logs
from kt_plus.engine import storage
from kt_plus.engine.checkpoints import Checkpoints, mark_built, state_of
from kt_plus.engine.seeds import training_seed

COUNTS = ("best", "best_epoch", "cooldown_counter", "stopped_epoch", "wait")
"""What EarlyStopping, ReduceLROnPlateau and ModelCheckpoint count; other callbacks begin anew."""

KERAS_CALLBACKS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.ModelCheckpoint,
)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of a trial's best epoch in a file that is whole at any moment.

    Keras Tuner's callback writes in place, and forgets the best value with its process.

    Args:
        objective: What to compare by.
        path: The file.
    """

    def __init__(self, objective: Any, path: str) -> None:
        super().__init__()
        self.objective, self.path = objective, path
        self.value: float | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.objective.has_value(logs):
            self._save()  # it is known after training, or not at all
            return
        value = keras_logs.objective_value(self.objective, logs)
        if self.is_better(value):
            self.value = value
            self._save()

    def is_better(self, value: float) -> bool:
        """Whether the value is better than the best one so far."""
        worst = -math.inf if self.objective.direction == "max" else math.inf
        return bool(self.objective.better_than(value, worst if self.value is None else self.value))

    def _save(self) -> None:
        with storage.replaced(self.path) as partial:
            mark_built(self.model)  # a `train_step` may call its layers only
            self.model.save_weights(partial)


class EpochSeeds(keras.callbacks.Callback):
    """Seeds each epoch, so that one draws the same whether or not its process did those before.

    Args:
        seed: The search's seed.
        trial_id: The trial.
        execution: Which execution of it.
    """

    def __init__(self, seed: int, trial_id: str, execution: int) -> None:
        super().__init__()
        self._arguments = seed, trial_id, execution

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        seed = training_seed(*self._arguments, epoch)
        if keras.backend.backend() == "tensorflow" and not self.model.run_eagerly:
            # TensorFlow's own seed would make it prepare all compiled functions anew: seconds, in
            # each epoch of a large network, for what has been compiled with its seed already.
            random.seed(seed)
            np.random.seed(seed)
        else:
            keras.utils.set_random_seed(seed)


class Checkpointing(keras.callbacks.Callback):
    """Saves a training at the ends of epochs, and lets another process go on with it.

    It stands behind the user's callbacks, whose counts it saves too, and before Keras's
    own History.

    Args:
        checkpoints: Where to.
        callbacks: The user's callbacks.
    """

    def __init__(self, checkpoints: Checkpoints, callbacks: Sequence[Any]) -> None:
        super().__init__()
        self._checkpoints, self._callbacks = checkpoints, callbacks
        self._history: dict[str, list[Any]] = {}  # as JSON
        self._epochs: list[int] = []
        self._fits = 0
        self._restored = False

    def on_train_begin(self, logs: Any = None) -> None:
        self._fits += 1
        if not self._in_first_fit:
            return
        self._checkpoints.restart_clock()
        done = self._checkpoints.epoch
        if done is None or done + 1 >= self.params["epochs"]:
            return
        if self._checkpoints.restore(self.model):
            meta = self._checkpoints.meta
            self._history, self._epochs = meta["history"], meta["epochs"]
            self._restored = True
            # As Keras's own BackupAndRestore does: its `fit` has no public way.
            self.model._initial_epoch = done + 1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._restored:  # by now no callback's `on_train_begin` undoes it
            self._restored = False
            self.model._initial_epoch = None
            self.model.history.epoch[:] = self._epochs
            for name, values in self._history.items():
                self.model.history.history[name] = [keras_logs.restored(v) for v in values]
            self._restore_callbacks()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self._in_first_fit:
            return
        self._epochs.append(epoch)
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(keras_logs.stored(value))
        last = self.model.stop_training or epoch + 1 >= self.params["epochs"]
        if last and self._checkpoints.final is not None:
            self._checkpoints.save_final(*self._state(epoch))
        elif not last and self._checkpoints.is_due():
            self._checkpoints.save(*self._state(epoch))

    @property
    def _in_first_fit(self) -> bool:
        """Only of Keras's own `fit` can the epoch be set, and only of the first it is known."""
        return self._fits == 1 and "epochs" in (self.params or {})

    def _state(self, epoch: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        variables = state_of(self.model)
        arrays = [keras.ops.convert_to_numpy(variable) for variable in variables]
        kept, counts = {}, {}
        for name, callback in self._keras_callbacks():
            weights = getattr(callback, "best_weights", None)
            if weights is not None:
                kept[name] = [len(arrays), len(arrays) + len(weights)]
                arrays += weights
            counts[name] = {k: _plain(v) for k, v in vars(callback).items() if k in COUNTS}
        meta = {
            "epoch": epoch,
            "build_config": self.model.get_build_config(),
            "epochs": self._epochs,
            "history": self._history,
            "variables": len(variables),
            "dtypes": [keras.backend.standardize_dtype(v.dtype) for v in variables],
            "callbacks": counts,
            "kept": kept,
        }
        return meta, [_storable(array) for array in arrays]

    def _keras_callbacks(self) -> list[tuple[str, Any]]:
        numbered = enumerate(self._callbacks)
        return [(str(i), c) for i, c in numbered if isinstance(c, KERAS_CALLBACKS)]

    def _restore_callbacks(self) -> None:
        for name, callback in self._keras_callbacks():
            for key, value in self._checkpoints.meta["callbacks"].get(name, {}).items():
                setattr(callback, key, value)
            weights = self._checkpoints.best_weights_of(name)
            if weights is not None:
                callback.best_weights = weights


def _storable(array: Any) -> np.ndarray:
    """As an array that can be saved without pickling: bfloat16 is none of NumPy's own."""
    array = np.asarray(array)
    return array if array.dtype.kind in "biufc" else array.astype(np.float32)


def _plain(value: Any) -> Any:
    known = value is None or isinstance(value, (bool, int, str))
    return value if known else keras_logs.number(value)
