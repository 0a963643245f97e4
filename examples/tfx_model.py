"""The module of `tfx_pipeline.py`: preprocessing, model, data, and the last training."""

from __future__ import annotations

import keras
import keras_tuner
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

LABEL = "target"


def preprocessing_fn(inputs):
    """Transform calls it: every feature is scaled, the label stays as it is."""
    scaled = {name: tft.scale_to_z_score(x) for name, x in inputs.items() if name != LABEL}
    return scaled | {LABEL: inputs[LABEL]}


def build_model(hp, fn_args):
    """The Tuner and `run_fn` call it: one or two layers, of which the units are searched."""
    features = tft.TFTransformOutput(fn_args.transform_graph_path).transformed_feature_spec()
    inputs = {name: keras.Input((1,), name=name) for name in sorted(features) if name != LABEL}
    x = keras.layers.Concatenate()(list(inputs.values()))
    for layer in range(hp.Int("layers", 1, 2)):
        with hp.conditional_scope("layers", list(range(layer + 1, 3))):
            x = keras.layers.Dense(hp.Int(f"units_{layer}", 8, 64, step=8), activation="relu")(x)
            x = keras.layers.Dropout(hp.Float(f"dropout_{layer}", 0.0, 0.5, step=0.1))(x)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def fit_kwargs(fn_args):
    """The Tuner and `run_fn` call it: the arguments of the model's fit."""
    return {
        "x": read(fn_args.train_files, fn_args),
        "validation_data": read(fn_args.eval_files, fn_args),
        "epochs": 15,
    }


def read(files, fn_args):
    """The examples of some files, in the same order at every run."""
    schema = tft.TFTransformOutput(fn_args.transform_graph_path).transformed_metadata.schema
    options = tfxio.TensorFlowDatasetOptions(
        batch_size=32, label_key=LABEL, num_epochs=1, shuffle=False
    )
    return fn_args.data_accessor.tf_dataset_factory(files, options, schema).cache()


def signatures(model, fn_args):
    """What the exported models serve: raw examples, without a label."""
    transformed = tft.TFTransformOutput(fn_args.transform_graph_path)
    model.transform = transformed.transform_features_layer()
    spec = transformed.raw_feature_spec()
    spec.pop(LABEL)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(examples):
        return {"outputs": model(model.transform(tf.io.parse_example(examples, spec)))}

    return {"serving_default": serving_default}


def run_fn(fn_args):
    """Trainer calls it: trains the best configuration once more."""
    hp = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters)
    model = build_model(hp, fn_args)
    model.fit(**fit_kwargs(fn_args), verbose=2)
    # BulkInferrer and TensorFlow Serving cannot read what tf.saved_model.save writes of Keras 3.
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, function in signatures(model, fn_args).items():
        function.get_concrete_function()
        archive.add_endpoint(name, function)
    archive.write_out(fn_args.serving_model_dir, verbose=False)
