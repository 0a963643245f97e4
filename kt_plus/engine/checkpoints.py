"""The state of a running trial, from which it goes on when its process has died."""

from __future__ import annotations

import io
import json
import math
import os
import time
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kt_plus.engine import storage
from kt_plus.engine.ledger import UNUSED
from kt_plus.engine.seeds import training_seed

STATE = "state.npz"
SCHEMA = 1

LARGEST_SHARE = 1 / 50
"""How much of the training time saving may take, unless every epoch is to be saved."""

COUNTS = ("best", "best_epoch", "cooldown_counter", "stopped_epoch", "wait")
"""What EarlyStopping, ReduceLROnPlateau and ModelCheckpoint count; other callbacks begin anew."""

KERAS_CALLBACKS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.ModelCheckpoint,
)


class Checkpoints:
    """The checkpoints of one trial: one file, replaced as a whole, and a link to its best weights.

    Args:
        folder: Where they are kept while the trial runs.
        interval: Seconds of training between two of them; 0 saves after each epoch, `None`
            never.
        values: The trial's values: what was saved under others is ignored.
        best: Keeps the weights of the trial's best epoch.
        parent: Where the states are in which another trial has ended, whose training this one
            continues.
        final: Where to keep the states in which this trial ends, if another may continue it.
    """

    def __init__(
        self,
        folder: str,
        interval: float | None,
        values: Mapping[str, Any],
        best: BestEpoch,
        parent: str | None = None,
        final: str | None = None,
    ) -> None:
        self.folder, self.interval, self.best = folder, interval, best
        self.parent, self.final = parent, final
        asked = {name: value for name, value in values.items() if name != UNUSED}
        self._values = json.loads(json.dumps(asked, default=str))
        self._due = self._now = time.monotonic()
        self.results: list[Any] = []
        self.meta: dict[str, Any] = {}
        self._arrays: list[np.ndarray] = []
        self._load()

    @property
    def execution(self) -> int:
        """The execution that was running, of which there may be a checkpoint."""
        return len(self.results)

    @property
    def epoch(self) -> int | None:
        """The last epoch that is in the checkpoint, if there is one."""
        return self.meta.get("epoch")

    def end_execution(self, results: Any, stopped: bool) -> None:
        """Keeps the results of an execution that is not the trial's last one."""
        self.results.append(results)
        self.meta, self._arrays = {}, []
        if _encoded(results) is None:
            self.interval = None  # results that cannot be kept: the trial begins anew
            storage.remove_folder(self.folder)
        if self.interval is not None:
            self.save({"stopped": stopped}, [])

    def begin_execution(self) -> None:
        """Takes over the state in which the parent ended, unless there is one of its own."""
        if self.parent is None or self.epoch is not None:
            return
        folder = os.path.join(self.parent, str(self.execution))
        content = self._read(folder)
        if content is None:
            warnings.warn(
                f"The trial was promoted, and the state in which its parent ended is not in "
                f"{folder}, as after a training loop of one's own. It begins at its first epoch.",
                stacklevel=2,
            )
            return
        self.meta, self._arrays = content
        best = self.meta["best"]
        if best["link"] is not None and self.best.is_better(best["value"]):
            self._restore_best(folder, best)

    def save_final(self, meta: dict[str, Any], arrays: list[np.ndarray]) -> None:
        """Saves the state in which the training of an execution ends."""
        if self.final is not None:
            self._write(os.path.join(self.final, str(self.execution)), meta, arrays)

    def is_due(self) -> bool:
        """Whether it is time to save again."""
        return self.interval is not None and time.monotonic() >= self._due

    def save(self, meta: dict[str, Any], arrays: list[np.ndarray]) -> None:
        """Saves the state at the end of an epoch. A full disk costs the checkpoint only."""
        began = time.monotonic()
        try:
            self._write(self.folder, meta, arrays)
        except OSError as error:
            warnings.warn(f"The running trial could not be saved: {error}", stacklevel=2)
        ended = time.monotonic()
        pause = max(self.interval or 0.0, (ended - began) / LARGEST_SHARE)
        self._due = ended + pause if self.interval else ended

    def restore(self, model: Any) -> bool:
        """Gives the model the saved state; whether that was possible."""
        if not model.built and self.meta["build_config"] is not None:
            model.build_from_config(self.meta["build_config"])
        if model.optimizer is not None and not model.optimizer.built and model.built:
            model.optimizer.build(model.trainable_variables)
        variables = state_of(model)
        arrays = self._arrays[: self.meta["variables"]]
        dtypes = self.meta["dtypes"]
        now = [(tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in variables]
        if not model.built or now != [(a.shape, d) for a, d in zip(arrays, dtypes, strict=True)]:
            warnings.warn(
                f"The checkpoint in {self.folder} is of another network than the one that is "
                "built now. The trial begins at its first epoch.",
                stacklevel=2,
            )
            self.best.value = None
            return False
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return True

    def best_weights_of(self, name: str) -> list[np.ndarray] | None:
        """The arrays that a callback had kept."""
        if name not in self.meta["kept"]:
            return None
        first, last = self.meta["kept"][name]
        return self._arrays[first:last]

    def restart_clock(self) -> None:
        """Counts the interval from now: building a model is not training."""
        self._due = time.monotonic() + (self.interval or 0.0)

    def _write(self, folder: str, meta: dict[str, Any], arrays: list[np.ndarray]) -> None:
        storage.make_folder(folder)
        link = None
        if self.best.value is not None and storage.exists(self.best.path):
            link = f"best-{self.execution}-{meta.get('epoch', -1)}.weights.h5"
            storage.link(self.best.path, os.path.join(folder, link))
        content = {
            **meta,
            "schema": SCHEMA,
            "values": self._values,
            "results": [_encoded(results) for results in self.results],
            "best": {"value": self.best.value, "link": link},
        }
        buffer = io.BytesIO()
        coded = np.frombuffer(json.dumps(content).encode(), np.uint8)
        np.savez(buffer, *arrays, meta=coded)
        storage.write_bytes(os.path.join(folder, STATE), buffer.getbuffer())
        storage.remove_others(folder, [STATE, *([link] if link else [])])

    def _load(self) -> None:
        content = None if self.interval is None else self._read(self.folder)
        if content is None or not content[0]["values"].items() <= self._values.items():
            return
        results = [_decoded(result) for result in content[0]["results"]]
        self._restore_best(self.folder, content[0]["best"])
        self.meta, self._arrays = content
        self.results = results

    def _read(self, folder: str) -> tuple[dict[str, Any], list[np.ndarray]] | None:
        """What was saved in a folder; `None` if that is nothing, or damaged."""
        path = os.path.join(folder, STATE)
        if not storage.exists(path):
            return None
        try:
            with np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False) as saved:
                meta = json.loads(saved["meta"].tobytes())
                arrays = [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)]
            link = meta["best"]["link"]
            if link is not None and not storage.exists(os.path.join(folder, link)):
                raise FileNotFoundError(link)
            return (meta, arrays) if meta["schema"] == SCHEMA else None
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(f"{path} is damaged ({error!r}). The trial begins anew.", stacklevel=2)
            return None

    def _restore_best(self, folder: str, best: dict[str, Any]) -> None:
        if best["link"] is not None:
            storage.link(os.path.join(folder, best["link"]), self.best.path)
        self.best.value = best["value"]


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
        value = float(self.objective.get_value(logs))
        if self.is_better(value):
            self.value = value
            self._save()

    def is_better(self, value: float) -> bool:
        """Whether the value is better than the best one so far."""
        worst = -math.inf if self.objective.direction == "max" else math.inf
        return bool(self.objective.better_than(value, worst if self.value is None else self.value))

    def _save(self) -> None:
        with storage.replaced(self.path) as partial:
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
        keras.utils.set_random_seed(training_seed(*self._arguments, epoch))


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
        self._history: dict[str, list[float]] = {}
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
            self.model.history.history.update({k: [*v] for k, v in self._history.items()})
            self._restore_callbacks()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self._in_first_fit:
            return
        self._epochs.append(epoch)
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
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


def state_of(model: Any) -> list[Any]:
    """The variables that training changes: weights, states of dropout, those of the optimizer."""
    optimizer = model.optimizer
    return [*model.variables, *(optimizer.variables if optimizer is not None else ())]


def _storable(array: Any) -> np.ndarray:
    """As an array that can be saved without pickling: bfloat16 is none of NumPy's own."""
    array = np.asarray(array)
    return array if array.dtype.kind in "biufc" else array.astype(np.float32)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str)) else float(value)


def _encoded(results: Any) -> Any:
    """The results of an execution as JSON; `None` if they are of no known kind."""
    if isinstance(results, keras.callbacks.History):
        history = {k: [float(v) for v in values] for k, values in results.history.items()}
        return {"history": history, "epochs": results.epoch}
    if isinstance(results, Mapping):
        return {"metrics": {name: float(value) for name, value in results.items()}}
    return {"score": float(results)} if isinstance(results, (int, float, np.number)) else None


def _decoded(result: dict[str, Any]) -> Any:
    if "history" not in result:
        return result["metrics"] if "metrics" in result else result["score"]
    history = keras.callbacks.History()
    history.history, history.epoch = result["history"], result["epochs"]
    return history
