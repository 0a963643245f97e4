"""The networks that a search ends with, trained to their end, and averaged into one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.budget import Limit
from kt_plus.auto_model.division import Split
from kt_plus.auto_model.inputs import Inputs
from kt_plus.auto_model.metrics import losses
from kt_plus.auto_model.search import Training
from kt_plus.auto_model.task import Task
from kt_plus.engine.seeds import training_seed

Array = NDArray[Any]
Part = tuple[Array, ...]


SMALL = 10_000
"""With fewer examples than that the mean of several networks is worth its price."""

MEMBERS = 5
"""Of how many the mean is then."""


@dataclass
class Member:
    """A trained network.

    Args:
        trial_id: The trial whose architecture it has.
        fold: The fold that it was not trained on.
        model: The network.
        outputs: What it gives for the examples that it was not trained on.
        loss: Its mean loss there.
        epochs: How many epochs it was trained for here; 0 if it is as the search left it.
    """

    trial_id: str
    fold: int
    model: Any
    outputs: Array
    loss: float
    epochs: int = 0

    @classmethod
    def of(
        cls, task: Task, trial_id: str, fold: int, model: Any, held_out: Part, epochs: int = 0
    ) -> Member:
        """Judges a network by examples that it was not trained on."""
        outputs = predict(model, held_out[0])
        loss = float(losses(task, held_out[1], outputs, *held_out[2:]).mean())
        return cls(trial_id, fold, model, outputs, loss, epochs)


def checked_number(number: Any) -> int | None:
    """The number of networks that the user has asked for, or `None`."""
    whole = isinstance(number, int) and not isinstance(number, bool)
    if number is not None and not (whole and number >= 1):
        raise ValueError(
            f"ensemble={number!r} was given. Expected the number of networks, from 1 on, or None."
        )
    return number


def number_for(split: Split, asked: int | None) -> int:
    """How many networks to average: as many as were asked for, or as suits the data."""
    members = asked or (MEMBERS if len(split.x) < SMALL else 1)
    return min(members, split.number) if split.folds is not None else members


def train(
    model: Any,
    training: Training,
    direction: str,
    data: tuple[Part, Part],
    limit: Limit,
    epochs: int,
) -> int:
    """Trains a new network until it improves no more, and gives it its best weights.

    Returns:
        How many whole epochs it was trained for.
    """
    (x, y, *weights), validation = data
    history = model.fit(
        x,
        y,
        sample_weight=weights[0] if weights else None,
        validation_data=validation,
        epochs=epochs,
        batch_size=training.batch_size,
        callbacks=[training.early_stopping(direction, restore=True), limit],
        verbose=0,
    )
    return len(history.epoch) - limit.is_cut


def seed_member(seed: int, number: int) -> None:
    """Seeds what is random in training one of the networks."""
    keras.utils.set_random_seed(training_seed(seed, f"member {number}", 0))


def predict(model: Any, x: Array) -> Array:
    """A network's outputs."""
    if not len(x):
        return np.empty((0, *model.output_shape[1:]), "float32")  # Keras fails
    return np.asarray(model.predict(x, batch_size=256, verbose=0))


def on_held_out(
    members: Sequence[Member], split: Split, rivals: Sequence[dict[str, Array]]
) -> tuple[Part, Array, dict[str, Array]]:
    """The examples that networks were not trained on, what these give for them, and what others do.

    Args:
        members: The networks; each has a fold of its own, or all have the same examples.
        split: The data.
        rivals: What the examples of each fold cost under each baseline.

    Returns:
        The targets and, if there are some, weights; the networks' outputs; and the costs under
        each baseline by its name.
    """
    if split.folds is None:
        outputs = np.mean([member.outputs for member in members], axis=0)
        return split.held_out(0)[1:], outputs, rivals[0]
    parts = [split.held_out(member.fold)[1:] for member in members]
    wanted = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    outputs = np.concatenate([member.outputs for member in members])
    folds = [rivals[member.fold] for member in members]
    return wanted, outputs, {n: np.concatenate([f[n] for f in folds]) for n in folds[0]}


def assemble(inputs: Inputs, task: Task, models: Sequence[Any]) -> Any:
    """One plain Keras model: the mean of the networks' outputs, numbers in the targets' units."""
    examples = keras.Input(inputs.shape, name="examples")
    given = examples
    if inputs.network_shape != inputs.shape:
        given = keras.layers.Reshape(inputs.network_shape, name="channel")(examples)
    named = [
        keras.Model(m.inputs[0], m.outputs[0], name=f"network_{i}") for i, m in enumerate(models)
    ]
    outputs = [model(given) for model in named]
    mean = keras.layers.Average(name="mean", dtype="float32")
    output = outputs[0] if len(outputs) == 1 else mean(outputs)
    if task.name == "regression":
        units = keras.layers.Rescaling([*task.scales], [*task.means], name="units", dtype="float32")
        output = units(output)
    model = keras.Model(examples, output, name="auto_model")
    loss = {"classification": "sparse_categorical_crossentropy", "regression": "mean_squared_error"}
    metric = "mean_absolute_error" if task.name == "regression" else "accuracy"
    # Plain SGD has no state, so that none is missing when the model is loaded.
    model.compile("sgd", loss=loss.get(task.name, "binary_crossentropy"), metrics=[metric])
    return model
