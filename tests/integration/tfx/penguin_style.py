"""A module in the manner of TFX's penguin example; only the name of the tuner's package differs.

Unlike the other module it gives the space beforehand, trains on endless data for the steps that
the pipeline says, and is measured by a metric object.
"""

from __future__ import annotations

import keras_tuner
import tensorflow_transform as tft
from tensorflow import keras
from tfx import v1 as tfx
from tfx_bsl.public import tfxio

import kt_plus

FEATURES = [f"{a}_{b}_scaled" for a in ("petal", "sepal") for b in ("length", "width")]
LABEL = "species"


def get_hyperparameters():
    hp = keras_tuner.HyperParameters()
    hp.Choice("learning_rate", [1e-2, 1e-3], default=1e-2)
    hp.Int("num_layers", 1, 2, default=2)
    return hp


def make_model(hp):
    inputs = [keras.layers.Input(shape=(1,), name=name) for name in FEATURES]
    x = keras.layers.concatenate(inputs)
    for _ in range(int(hp.get("num_layers"))):
        x = keras.layers.Dense(8, activation="relu")(x)
    model = keras.Model(inputs=inputs, outputs=keras.layers.Dense(3)(x))
    model.compile(
        optimizer=keras.optimizers.Adam(hp.get("learning_rate")),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    return model


def input_fn(patterns, fn_args, batch_size):
    transformed = tft.TFTransformOutput(fn_args.transform_graph_path)
    return fn_args.data_accessor.tf_dataset_factory(
        patterns,
        tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=LABEL),
        transformed.transformed_metadata.schema,
    ).repeat()


def tuner_fn(fn_args: tfx.components.FnArgs) -> tfx.components.TunerFnResult:
    tuner = kt_plus.RandomSearch(
        make_model,
        max_trials=3,
        hyperparameters=get_hyperparameters(),
        allow_new_entries=False,
        objective=keras_tuner.Objective("val_sparse_categorical_accuracy", "max"),
        directory=fn_args.working_dir,
        project_name="penguin_tuning",
    )
    return tfx.components.TunerFnResult(
        tuner=tuner,
        fit_kwargs={
            "x": input_fn(fn_args.train_files, fn_args, 20),
            "validation_data": input_fn(fn_args.eval_files, fn_args, 10),
            "steps_per_epoch": fn_args.train_steps,
            "validation_steps": fn_args.eval_steps,
        },
    )
