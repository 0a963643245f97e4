"""The state of a running trial, from which it goes on when its process has died."""

from __future__ import annotations

import io
import json
import math
import os
import time
import warnings
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kt_plus.engine import logs, storage
from kt_plus.engine.ledger import UNUSED

if TYPE_CHECKING:
    from kt_plus.engine.checkpoint_callbacks import BestEpoch

STATE = "state.npz"
SCHEMA = 1

LARGEST_SHARE = 1 / 50
"""How much of the training time saving may take, unless every epoch is to be saved."""


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
        if _has_more_optimizers(model):
            return self._begin_anew(
                "The model has optimizers besides the one that it was compiled with, whose states "
                "no checkpoint holds."
            )
        build(model, self.meta["build_config"])
        if model.optimizer is not None and not model.optimizer.built and model.built:
            model.optimizer.build(model.trainable_variables)
        variables = state_of(model)
        arrays = self._arrays[: self.meta["variables"]]
        dtypes = self.meta["dtypes"]
        now = [(tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in variables]
        if not model.built or now != [(a.shape, d) for a, d in zip(arrays, dtypes, strict=True)]:
            return self._begin_anew(
                f"The checkpoint in {self.folder} is of another network than the one that is "
                "built now."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return True

    def _begin_anew(self, why: str) -> bool:
        """Warns of it, and forgets the best epoch; always false."""
        warnings.warn(f"{why} The trial begins at its first epoch.", stacklevel=3)
        self.best.value = None
        return False

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


def build(model: Any, config: dict[str, Any] | None) -> None:
    """Makes the weights of a model that has none before its first call.

    Args:
        model: The model, built or not.
        config: What Keras tells of how it was built: `model.get_build_config()`.
    """
    if config is not None and not model.built:
        model.build_from_config(config)
    mark_built(model)


def mark_built(model: Any) -> None:
    """Says of a subclassed model that it is built if its layers are: Keras does not always."""
    if not model.built and model.layers and all(layer.built for layer in model.layers):
        model.built = True


def _has_more_optimizers(model: Any) -> bool:
    """Whether a training step of the model's own may use others, as that of a GAN does."""
    kind = keras.optimizers.Optimizer
    return any(isinstance(o, kind) and o is not model.optimizer for o in vars(model).values())


def state_of(model: Any) -> list[Any]:
    """The variables that training changes: weights, states of dropout, those of the optimizer."""
    optimizer = model.optimizer
    return [*model.variables, *(optimizer.variables if optimizer is not None else ())]


def size_of(model: Any) -> int:
    """The size in bytes of a checkpoint with the optimizer's state, of 32-bit weights."""
    optimizer = getattr(model, "optimizer", None)
    weights = [*getattr(model, "variables", ()), *getattr(optimizer, "variables", ())]
    return 4 * sum(math.prod(weight.shape) for weight in weights)


def _encoded(results: Any) -> Any:
    """The results of an execution as JSON; `None` if they are of no known kind."""
    if isinstance(results, keras.callbacks.History):
        history = {k: [logs.stored(v) for v in values] for k, values in results.history.items()}
        return {"history": history, "epochs": results.epoch}
    if isinstance(results, Mapping):
        return {"metrics": {name: logs.stored(value) for name, value in results.items()}}
    return {"score": float(results)} if isinstance(results, (int, float, np.number)) else None


def _decoded(result: dict[str, Any]) -> Any:
    if "score" in result:
        return result["score"]
    if "metrics" in result:
        return {name: logs.restored(value) for name, value in result["metrics"].items()}
    history = keras.callbacks.History()
    history.history = {k: [logs.restored(v) for v in vs] for k, vs in result["history"].items()}
    history.epoch = result["epochs"]
    return history
