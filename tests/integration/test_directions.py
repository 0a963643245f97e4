"""The table of directions against the installed Keras, and the errors of unknown objectives."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
from keras.src.losses import ALL_OBJECTS_DICT as LOSSES
from keras.src.metrics import ALL_OBJECTS_DICT as METRICS

import kt_plus
from kt_plus.engine.objectives import UNDIRECTED, direction_of, resolve
from tests.errors import raises_in_three_parts

HELPERS = {"deserialize", "get", "serialize"}
MODULES = (keras.metrics, keras.losses)
PUBLIC = {name for m in MODULES for name in dir(m) if name[0] != "_"} - HELPERS
NAMES = sorted({*PUBLIC, *METRICS, *LOSSES} - {"LossFunctionWrapper"})  # no public class
CLASSES = sorted({n for m in MODULES for n, o in vars(m).items() if inspect.isclass(o)} - {"Loss"})
NOT_TOLD = {name.lower() for name in UNDIRECTED} | {"mean_metric_wrapper"}

# Targets of each kind, predictions that are nearly right, and predictions that are wrong.
LABELS, SOFT = np.array([0, 1, 2, 1, 0, 2, 1, 0]), np.full((8, 3), 0.1, "float32")
BINARY = (LABELS == 1).astype("float32")[:, None]
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
DATA = {
    "binary": (BINARY, 0.1 + 0.8 * BINARY, 0.9 - 0.8 * BINARY),
    "labels": (BINARY, BINARY, 1 - BINARY),
    "one-hot": (ONE_HOT, SOFT + 0.7 * ONE_HOT, SOFT + 0.7 * np.roll(ONE_HOT, 1, axis=1)),
    "sparse": (LABELS, SOFT + 0.7 * ONE_HOT, SOFT + 0.7 * np.roll(ONE_HOT, 1, axis=1)),
    "sequences": (LABELS[None] + 1, *(5 * np.eye(4)[[c]] for c in (LABELS + 1, LABELS))),
    "embeddings": (LABELS, ONE_HOT, np.roll(ONE_HOT, 1, axis=0)),
}
ARGUMENTS: dict[str, Any] = {
    "num_classes": 3,
    "target_class_ids": [0, 1],
    "k": 1,
    **dict.fromkeys(("precision", "recall", "sensitivity", "specificity"), 0.5),
}


def made(kind: Any) -> Any:
    """A metric or a loss, with the arguments that it requires; the best class only of `k`."""
    names = inspect.signature(kind.__init__).parameters
    needed = {n for n, p in names.items() if p.default is inspect.Parameter.empty or n == "k"}
    return kind(**{n: v for n, v in ARGUMENTS.items() if n in needed})


def data_for(name: str) -> tuple[np.ndarray, ...]:
    """The data that a metric or loss compares."""
    special = {"CTC": "sequences", "Circle": "embeddings"}
    special |= dict.fromkeys(("Accuracy", "IoU", "MeanIoU"), "labels")
    special["CategoricalGeneralizedCrossEntropy"] = "sparse"
    parts = {"Sparse": "sparse", **dict.fromkeys(("Categorical", "OneHot", "Score"), "one-hot")}
    parts |= dict.fromkeys(("Correlation", "Similarity"), "one-hot")
    found = [special[name]] if name in special else [k for p, k in parts.items() if p in name]
    return DATA[found[0] if found else "binary"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_keras_has_a_direction_or_is_known_to_have_none(name: str) -> None:
    """A new metric or loss of Keras fails here, until the table has it."""
    assert (direction_of(name) is None) == (name.lower() in NOT_TOLD)


@pytest.mark.parametrize("name", [name for name in CLASSES if direction_of(name)])
def test_each_direction_is_that_of_nearly_right_predictions(name: str) -> None:
    targets, good, bad = data_for(name)
    if metric := getattr(keras.metrics, name, None):
        values = [float(np.mean(made(metric)(targets, each))) for each in (good, bad)]
    else:
        loss = made(getattr(keras.losses, name))
        values = [float(loss(targets, each)) for each in (good, bad)]
    assert values[0] != values[1]
    assert direction_of(name) == ("max" if values[0] > values[1] else "min"), values


def test_the_table_agrees_with_the_names_and_directions_of_keras() -> None:
    stated = set()
    for module in MODULES:
        kinds = [getattr(module, n) for n in CLASSES if direction_of(n) and hasattr(module, n)]
        for kind, one in zip(kinds, map(made, kinds), strict=True):
            assert direction_of(one.name) == direction_of(kind.__name__), one.name
            stated.add((one.name, getattr(one, "_direction", None)))
    for name, direction in stated:
        assert direction is None or direction_of(name) == {"up": "max", "down": "min"}[direction]
    assert sum(direction is not None for _, direction in stated) > 20


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val_loss", "min"),
        ("val_acc", "max"),
        ("val_ACC", "max"),
        ("auc_1", "max"),
        ("val_auc_12", "max"),
        ("val_weighted_mean_squared_error_2", "min"),
        ("val_mean_io_u", "max"),
        ("val_f1_score", "max"),
        ("val_F1Score", "max"),
        ("val_fbeta_score", "max"),
        ("val_r2_score", "max"),
        ("val_cosine_similarity", "max"),
        ("val_MSLE", "min"),
        ("val_kullback_leibler_divergence", "min"),
        ("val_huber_loss", "min"),
        ("val_false_positives", "min"),
    ],
)
def test_names_as_they_stand_in_logs(name: str, direction: str) -> None:
    found = resolve(name)
    assert isinstance(found, kt.Objective)
    assert (found.name, found.direction) == (name, direction)


@pytest.mark.parametrize(
    "name",
    [
        "usefulness",
        "val_mean",
        "val_sum_1",
        "mean_metric_wrapper",
        "metric",
        "val_dice",
        "tversky",
        "val_val_loss",
        "one_minus_auc",
        "val_negative_loss",
        "accuracy_gap",
        "",
        "val_",
        "1",
    ],
)
def test_any_other_name_asks_for_a_direction(name: str) -> None:
    assert direction_of(name) is None
    with raises_in_three_parts(
        ValueError, happened=f"got {name!r}", expected="`objective` must be the name of a metric"
    ) as caught:
        resolve(name)
    assert f'Give kt_plus.Objective({name!r}, "max")' in str(caught.value)
    assert "oracle.json" in str(caught.value)


def test_the_metric_of_an_output_is_named_in_the_error() -> None:
    hint = "If it is 'accuracy' of the output 'out_1', its direction is \"max\"."
    with pytest.raises(ValueError, match=hint):
        resolve("val_out_1_accuracy")


def test_given_directions_stay_and_impossible_ones_are_errors() -> None:
    own = kt.Objective("val_accuracy", "min")
    assert resolve(own) is own
    assert resolve(None) is None
    both = resolve(["val_loss", own, "val_f1_score"])
    assert [(o.name, o.direction) for o in both] == [
        ("val_loss", "min"),
        ("val_accuracy", "min"),
        ("val_f1_score", "max"),
    ]
    for direction in ("maximize", "MAX", "up", None, 1):
        with raises_in_three_parts(
            ValueError, happened=f"got {direction!r} for 'utility'", expected='"max" or "min"'
        ):
            resolve(kt.Objective("utility", direction))
    with raises_in_three_parts(ValueError, happened="got 7", expected="`objective` must be"):
        resolve(7)
    with raises_in_three_parts(ValueError, happened="an empty list", expected="at least one"):
        resolve([])
    with pytest.raises(ValueError, match="got 'usefulness'"):
        resolve(["val_loss", "usefulness"])
    assert resolve(kt_plus.Objective("usefulness", "max")).direction == "max"
