"""A model with signatures, as both loaders of TensorFlow read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.integration.signatures import answers_of_tf1, answers_of_tf2
from tfx_components.tuner import saved_model

WORDS = np.array(["red", "blue", "unknown"], dtype=object)
NUMBERS = np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 3.0]], dtype="float32")
WORD_INDICES = np.array([[1.0], [2.0], [3.0]], dtype="float32")


def table_in(folder: Path) -> tf.lookup.StaticVocabularyTable:
    """A lookup table with its vocabulary in a file, as the layer of a transform graph has them."""
    file = folder / "vocabulary"
    file.write_text("green\nred\nblue\n")
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    initializer = tf.lookup.TextFileInitializer(str(file), tf.string, line, tf.int64, number)
    return tf.lookup.StaticVocabularyTable(initializer, num_oov_buckets=1)


class Scale(keras.layers.Layer):
    """A layer with a variable of TensorFlow, which is none of Keras's."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(3.0)

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


def model_of() -> keras.Model:
    inputs = keras.Input((3,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(4)(inputs))  # has a state for its seed
    model = keras.Model(inputs, Scale()(keras.layers.BatchNormalization()(x)))
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
    model.fit(np.ones((4, 3)), np.zeros((4, 4)), verbose=0)  # makes the state of the optimizer
    return model


def served(model: keras.Model, lookup: Any) -> Any:
    """A function of texts and numbers that looks the texts up, then asks the model."""
    words = tf.TensorSpec([None], tf.string, name="words")
    numbers = tf.TensorSpec([None, 2], tf.float32, name="numbers")

    @tf.function(input_signature=[words, numbers])
    def serve(words: Any, numbers: Any) -> Any:
        indices = tf.cast(lookup(words), tf.float32)[:, None]
        return {"outputs": model(tf.concat([indices, numbers], axis=1))}

    return serve


@pytest.mark.parametrize("attached", ["alone", "in a list", "in a layer"])
def test_both_loaders_answer(attached: str, tmp_path: Path) -> None:
    model, table = model_of(), table_in(tmp_path)
    if attached == "in a layer":
        model.words = keras.layers.StringLookup(vocabulary=["green", "red", "blue"])
        order = keras.ops.convert_to_tensor([3, 0, 1, 2])  # it counts unknown words first

        def lookup(words: Any) -> Any:
            return tf.gather(order, model.words(words))

    else:
        model.words = table if attached == "alone" else [table]
        lookup = table.lookup
    folder = str(tmp_path / "model")
    saved_model.save(model, folder, {"serving_default": served(model, lookup)})

    expected = model(np.concatenate([WORD_INDICES, NUMBERS], axis=1))
    given = {"words": WORDS, "numbers": NUMBERS}
    for answers in (answers_of_tf1(folder, given), answers_of_tf2(folder, given)):
        np.testing.assert_allclose(answers["outputs"], expected, rtol=1e-5)


def test_it_keeps_attributes_but_no_optimizer(tmp_path: Path) -> None:
    model, table = model_of(), table_in(tmp_path)
    model.table = table
    model.sizes = tf.function(
        lambda words: table.lookup(words), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    saved_model.save(model, str(tmp_path / "model"), served(model, table.lookup))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert loaded.sizes(tf.constant(WORDS)).numpy().tolist() == [1, 2, 3]
    variables = tf.train.list_variables(str(tmp_path / "model" / "variables" / "variables"))
    shapes = [shape for _, shape in variables]
    assert shapes.count([3, 4]) == 1, "one kernel, without its averages in the optimizer"
