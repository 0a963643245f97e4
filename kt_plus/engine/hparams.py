"""Hyperparameters as TensorBoard's HParams plugin reads them, without TensorFlow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import keras

from kt_plus.engine.history import Value
from kt_plus.engine.ledger import without_reserved


class Events:
    """An event file of TensorBoard's.

    Args:
        folder: Its folder, which is made if need be. Remote ones need TensorFlow.
    """

    def __init__(self, folder: str) -> None:
        # Its writer works without TensorFlow, which other backends of Keras may lack.
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(os.fspath(folder))

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def add(self, summary: Any, at: float | None = None, step: int = 0) -> None:
        """Writes a summary.

        Args:
            summary: A `Summary` of TensorBoard's.
            at: When it was, in seconds since the epoch; now by default.
            step: The step that it belongs to.
        """
        from tensorboard.compat.proto import event_pb2

        at = time.time() if at is None else at
        self._writer.add_event(event_pb2.Event(wall_time=at, step=step, summary=summary))

    def start(self, values: Mapping[str, Value], trial_id: str, at: float | None = None) -> None:
        """Says that a run of a trial has begun, and with which values. Others have none."""
        from tensorboard.plugins.hparams import summary_v2

        self.add(summary_v2.hparams_pb(dict(values), trial_id, at), at)

    def end(self, success: bool, at: float | None = None) -> None:
        """Says that the run has ended."""
        from tensorboard.compat.proto import summary_pb2
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
        info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at or time.time())
        data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
        value = summary_pb2.Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(data),
            tensor=metadata.NULL_TENSOR,
        )
        self.add(summary_pb2.Summary(value=[value]), at)


class HParams(keras.callbacks.Callback):
    """Writes the hyperparameters of a trial beside what `keras.callbacks.TensorBoard` writes.

    Args:
        folder: The folder of the event files of this run of the trial.
        trial: The trial.
    """

    def __init__(self, folder: str, trial: Any) -> None:
        super().__init__()
        self.folder, self.trial_id = folder, trial.trial_id
        self.values = active_values(trial.hyperparameters)

    def on_train_begin(self, logs: Any = None) -> None:
        with Events(self.folder) as events:
            events.start(self.values, self.trial_id)

    def on_train_end(self, logs: Any = None) -> None:
        with Events(self.folder) as events:
            events.end(success=True)


def active_values(hyperparameters: Any) -> dict[str, Value]:
    """The values that count under the others."""
    values = without_reserved(hyperparameters.values)
    return {name: value for name, value in values.items() if hyperparameters.is_active(name)}
