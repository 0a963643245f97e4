"""Writes a Keras model with signatures as a SavedModel for both loaders of TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def save(model: Any, folder: str, signatures: Any) -> None:
    """Writes a model as a SavedModel that TensorFlow 1's and TensorFlow 2's loader read.

    `tf.saved_model.save(model, ...)` writes a copy of each variable of Keras 3, and only this
    copy is restored by TensorFlow 1's loader, which BulkInferrer and TensorFlow Serving use. The
    signatures read the original. The module written here holds the originals instead.

    Args:
        model: A built Keras model.
        folder: Path of the SavedModel. May be remote.
        signatures: Functions to serve, as `tf.saved_model.save` accepts them. They may use
            all that is attached to the model: variables, lookup tables, assets, and layers such
            as that of a transform graph.
    """
    import tensorflow as tf

    module = tf.Module()
    # A model of another backend is no object of TensorFlow: its functions bring their constants.
    if isinstance(model, tf.__internal__.tracking.Trackable):
        states = (tf.Variable, tf.saved_model.Asset, tf.saved_model.experimental.TrackableResource)
        module._kt_plus_variables = [variable.value for variable in model.variables]
        module._kt_plus_states = [part for part in _parts(model) if isinstance(part, states)]
        for name, child in _children(model).items():
            # Evaluator finds a model's preprocessing by the attribute's name. Private names are
            # Keras's own.
            if not name.startswith("_") and not _holds_variables_of_keras(child):
                setattr(module, name, child)
    tf.saved_model.save(module, folder, signatures=signatures)


def _holds_variables_of_keras(child: Any) -> bool:
    import keras

    return any(isinstance(part, keras.Variable) for part in _parts(child))


def _parts(root: Any) -> Iterator[Any]:
    """Yields an object of TensorFlow and all that it holds, each once."""
    seen = {id(root): root}
    waiting = [root]
    while waiting:
        part = waiting.pop()
        yield part
        for child in _children(part).values():
            if id(child) not in seen:
                seen[id(child)] = child
                waiting.append(child)


def _children(part: Any) -> dict[str, Any]:
    """Returns the objects of TensorFlow that are attached to another, without optimizers."""
    import keras
    import tensorflow as tf

    # Layers name their lists and functions only when asked on behalf of a SavedModel.
    purpose = "savedmodel" if isinstance(part, keras.Layer) else "checkpoint"
    children = tf.train.TrackableView.children(part, purpose)
    return {
        name: child
        for name, child in children.items()
        if not isinstance(child, keras.optimizers.Optimizer)
    }
