"""The answers of a SavedModel's signature."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SIGNATURE = "serving_default"


def answers_of_tf1(folder: str, given: dict[str, Any]) -> dict[str, Any]:
    """Asks by TensorFlow 1's loader, as BulkInferrer and TensorFlow Serving do."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, [tf.saved_model.SERVING], folder)
        signature = loaded.signature_def[SIGNATURE]
        feed = {signature.inputs[name].name: value for name, value in given.items()}
        fetch = {name: output.name for name, output in signature.outputs.items()}
        return session.run(fetch, feed)


def answers_of_tf2(folder: str, given: dict[str, Any]) -> dict[str, Any]:
    """Asks by TensorFlow 2's loader, as Evaluator does."""
    loaded = tf.saved_model.load(folder)
    tensors = {name: tf.constant(value) for name, value in given.items()}
    answers = loaded.signatures[SIGNATURE](**tensors)
    return {name: output.numpy() for name, output in answers.items()}
