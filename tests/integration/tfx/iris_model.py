"""The module of the test pipelines: the same model and data for every way to search."""

from __future__ import annotations

import os
import time

import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow import keras
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult
from tfx_bsl.public import tfxio

import kt_plus

FEATURES = ("petal_length", "petal_width", "sepal_length", "sepal_width")
LABEL = "species"


def preprocessing_fn(inputs):
    scaled = {f"{name}_scaled": tft.scale_to_z_score(inputs[name]) for name in FEATURES}
    return scaled | {LABEL: inputs[LABEL]}


def dataset(patterns, fn_args):
    """All examples of a split, always in the same order."""
    transformed = tft.TFTransformOutput(fn_args.transform_graph_path)
    options = tfxio.TensorFlowDatasetOptions(
        batch_size=16, label_key=LABEL, num_epochs=1, shuffle=False
    )
    schema = transformed.transformed_metadata.schema
    return fn_args.data_accessor.tf_dataset_factory(patterns, options, schema).cache()


def build_model(hp):
    inputs = {f"{n}_scaled": keras.Input((1,), name=f"{n}_scaled") for n in FEATURES}
    x = keras.layers.Concatenate()([inputs[name] for name in sorted(inputs)])
    x = keras.layers.Dense(
        hp.Int("units", 4, 32, step=4), hp.Choice("activation", ["relu", "tanh"])
    )(x)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.Adam(rate)
    # Step by step: the tracing of a graph takes longer than our few steps.
    model.compile(optimizer, loss=loss, metrics=["accuracy"], run_eagerly=True)
    return model


class Log(keras.callbacks.Callback):
    """Writes a line when a training begins and ends, and may make each epoch take a while."""

    def __init__(self, path, pause):
        super().__init__()
        self.path, self.pause = path, pause

    def on_train_begin(self, logs=None):
        self.write("begin")

    def on_epoch_end(self, epoch, logs=None):
        time.sleep(self.pause)

    def on_train_end(self, logs=None):
        self.write("end")

    def write(self, what):
        with open(self.path, "a") as file:
            file.write(f"{what} {os.getpid()} {self.model.optimizer.learning_rate.numpy()!r}\n")


def fit_kwargs(fn_args):
    config = fn_args.custom_config or {}
    log = [Log(config["log"], config.get("pause", 0.0))] if "log" in config else []
    return {
        "x": dataset(fn_args.train_files, fn_args),
        "validation_data": dataset(fn_args.eval_files, fn_args),
        "epochs": config.get("epochs", 3),
        "callbacks": log,
    }


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Any of Keras Tuner's searches, or ours, as custom_config says."""
    config = fn_args.custom_config
    package = keras_tuner if config["package"] == "keras_tuner" else kt_plus
    tuner = getattr(package, config["search"])(
        failing if config.get("fails") else build_model,
        objective="val_accuracy",
        directory=config.get("directory", fn_args.working_dir),
        project_name="iris",
        **config["arguments"],
    )
    return TunerFnResult(tuner=tuner, fit_kwargs=fit_kwargs(fn_args))


def failing(hp):
    model = build_model(hp)
    if hp.get("units") != 4:  # the default, with which a tuner tries to build
        raise ValueError(f"{hp.get('units')} units are too many for this test")
    model.fit = None
    return model


def signatures(model, fn_args):
    """Serves raw examples, and what Evaluator needs to see the label."""
    transformed = tft.TFTransformOutput(fn_args.transform_graph_path)
    model.transform = transformed.transform_features_layer()
    serialized = tf.TensorSpec([None], tf.string, name="examples")

    @tf.function(input_signature=[serialized])
    def serving_default(examples):
        spec = transformed.raw_feature_spec()
        spec.pop(LABEL)
        features = model.transform(tf.io.parse_example(examples, spec))
        return {"outputs": model(features)}

    return {"serving_default": serving_default}


def run_fn(fn_args):
    """Trainer: the best configuration, trained again."""
    hp = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters)
    model = build_model(hp)
    model.fit(**fit_kwargs(fn_args))
    if fn_args.base_model:
        path = os.path.join(fn_args.base_model, "assets.extra", "model.keras")
        model.set_weights(keras.models.load_model(path).get_weights())
    tf.saved_model.save(model, fn_args.serving_model_dir, signatures=signatures(model, fn_args))
