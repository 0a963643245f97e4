"""The best model with signatures of its own, on a transform graph with a vocabulary."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from tests.integration.signatures import answers_of_tf1, answers_of_tf2
from tfx_components.tuner import outputs

pytestmark = pytest.mark.tfx

ROWS = [{"island": island, "mass": mass} for island, mass in zip("ababbc", range(6), strict=True)]
SPEC = {
    "island": tf.io.FixedLenFeature([], tf.string),
    "mass": tf.io.FixedLenFeature([], tf.float32),
}


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "island_xf": tft.compute_and_apply_vocabulary(inputs["island"], num_oov_buckets=1),
        "mass_xf": tft.scale_to_z_score(inputs["mass"]),
    }


def write_graph(folder: str) -> None:
    """Writes a transform graph, as Transform does."""
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(SPEC))
    with tempfile.TemporaryDirectory() as temporary, tft_beam.Context(temporary):
        transform = (ROWS, metadata) | tft_beam.AnalyzeDataset(preprocessing_fn)
        transform | tft_beam.WriteTransformFn(folder)


def model_of() -> keras.Model:
    island = keras.Input((), dtype="int64", name="island_xf")
    mass = keras.Input((1,), name="mass_xf")
    x = keras.layers.Concatenate()([keras.layers.Embedding(4, 2)(island), mass])
    return keras.Model({"island_xf": island, "mass_xf": mass}, keras.layers.Dense(3)(x))


def signatures(model: keras.Model, fn_args: Any) -> dict[str, Any]:
    """As the modules of TFX's examples make them."""
    transformed = tft.TFTransformOutput(fn_args.transform_graph_path)
    model.tft_layer = transformed.transform_features_layer()
    serialized = tf.TensorSpec([None], tf.string, name="examples")

    @tf.function(input_signature=[serialized])
    def serving_default(examples: Any) -> Any:
        features = model.tft_layer(tf.io.parse_example(examples, SPEC))
        features["mass_xf"] = features["mass_xf"][:, None]
        return {"outputs": model(features)}

    @tf.function(input_signature=[serialized])
    def transform_features(examples: Any) -> Any:
        return model.tft_layer(tf.io.parse_example(examples, SPEC))

    return {"serving_default": serving_default, "transform_features": transform_features}


def serialized(island: str, mass: float) -> bytes:
    features = {
        "island": tf.train.Feature(bytes_list=tf.train.BytesList(value=[island.encode()])),
        "mass": tf.train.Feature(float_list=tf.train.FloatList(value=[mass])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_both_loaders_answer(tmp_path: Path) -> None:
    graph, folder = str(tmp_path / "graph"), str(tmp_path / "model")
    write_graph(graph)
    model = model_of()
    outputs._export(model, folder, signatures, SimpleNamespace(transform_graph_path=graph))

    # "b" is the most frequent, "d" is unknown; masses have mean 2.5 and variance 35 / 12.
    mass = np.array([2.5, 2.5 + np.sqrt(35 / 12), 0.0], dtype="float32")
    scaled = ((mass - 2.5) / np.sqrt(35 / 12)).astype("float32")
    expected = model({"island_xf": np.array([0, 1, 3]), "mass_xf": scaled[:, None]})
    given = {"examples": np.array([*map(serialized, "bad", mass)], dtype=object)}
    for answers in (answers_of_tf1(folder, given), answers_of_tf2(folder, given)):
        np.testing.assert_allclose(answers["outputs"], expected, rtol=1e-4, atol=1e-6)
    assert callable(tf.saved_model.load(folder).tft_layer), "Evaluator finds it by its name"
