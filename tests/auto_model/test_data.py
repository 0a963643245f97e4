"""Examples of every kind are told apart, checked, and divided fairly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.auto_model.division import Split, divide
from kt_plus.auto_model.inference import infer
from kt_plus.auto_model.inputs import Inputs
from kt_plus.auto_model.reading import read, read_examples, read_validation
from kt_plus.auto_model.task import Task

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("x", "kind", "shape"),
    [
        (np.zeros((4, 3)), "table", (3,)),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "x"]}), "table", (2,)),
        (np.zeros((4, 8, 6, 3)), "image", (8, 6, 3)),
        (np.zeros((4, 8, 8)), "image", (8, 8)),
        (np.zeros((4, 8, 6), "uint8"), "image", (8, 6)),
        (np.zeros((4, 20, 3)), "sequence", (20, 3)),
    ],
)
def test_the_shape_tells_what_examples_are(x, kind, shape):
    inputs = Inputs.of(x)
    assert (inputs.kind, inputs.shape) == (kind, shape)
    assert inputs.encode(x).shape == (len(x), *shape)
    assert inputs.network_shape == ((*shape, 1) if kind == "image" and len(shape) == 2 else shape)


def test_what_is_said_overrides():
    x = np.zeros((4, 8, 8))
    assert Inputs.of(x, "sequence").kind == "sequence"
    assert "data='sequence' says otherwise" in str(Inputs.of(x))
    assert str(Inputs.of(x, "sequence")) == "sequences of 8 x 8 (as given)"
    with pytest.raises(ValueError, match=r"data='images' was given. Expected 'auto' or one of"):
        Inputs.of(x, "images")
    with pytest.raises(
        ValueError, match=r"data='table' was given, and x has the shape \(4, 8, 8\)"
    ):
        Inputs.of(x, "table")


def test_images_of_bytes_stay_bytes():
    x = np.zeros((4, 8, 8), "uint8")
    assert Inputs.of(x).encode(x).dtype == "uint8"
    assert Inputs.of(x).encode(x.astype("float64")).dtype == "float32"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(4), r"shape \(4,\). Expected a table \(examples, columns\)"),
        (np.zeros((4, 2, 2, 2, 2)), r"shape \(4, 2, 2, 2, 2\)"),
        (np.array([["a", 1]], object), "array of objects. Expected numbers; .* DataFrame"),
        (np.array(["a text", "another"]), "array of texts"),
        (np.zeros((2, 2), complex), "complex128. Expected real numbers"),
        (np.zeros((0, 3)), "Expected some examples"),
        (np.array([[1, np.nan], [2, np.nan]]), "columns 1 of x are NaN in all examples"),
        (np.array([[1, np.inf], [2, 3]]), "columns 1 of x hold infinite numbers"),
    ],
)
def test_examples_that_are_nothing_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        Inputs.of(x)


def test_images_lack_nothing():
    x = np.zeros((4, 8, 8))
    x[2, 3, 3] = np.nan
    with pytest.raises(
        ValueError, match=r"NaN or infinite in 1 of 4 examples, the first .* number 2"
    ):
        Inputs.of(x).encode(x)
    with pytest.raises(ValueError, match=r"Expected images of the shape \(8, 8\), as in fit"):
        Inputs.of(x).encode(np.zeros((4, 9, 9)))


def test_examples_and_targets_are_equally_many():
    with pytest.raises(ValueError, match=r"x holds 3 examples, and y 2 targets"):
        read(np.zeros((3, 1)), [1, 2])
    with pytest.raises(ValueError, match=r"y is missing"):
        read(np.zeros((3, 1)), None)
    with pytest.raises(ValueError, match=r"y='b' was given. Expected the targets themselves"):
        read(pd.DataFrame({"a": [1, 2], "b": [0, 1]}), "b")
    with pytest.raises(ValueError, match=r"rows of x are not equally long. .* pad them"):
        read([[1, 2], [3]], [0, 1])
    with pytest.raises(ValueError, match=r"validation_data holds 1 parts"):
        read_validation([np.zeros((3, 1))])


def test_a_data_set_is_read():
    tf = pytest.importorskip("tensorflow")
    pairs = tf.data.Dataset.from_tensor_slices((np.arange(10.0).reshape(5, 2), np.arange(5)))
    x, y, weights = read(pairs.batch(2), None)
    assert x.shape == (5, 2)
    assert y.tolist() == [0, 1, 2, 3, 4]
    assert weights is None
    weighted = pairs.map(lambda x, y: (x, y, 2.0 * x[0])).batch(2)
    for found in (read(weighted, None), read_validation(weighted)):
        assert found.weights.tolist() == [0, 4, 8, 12, 16]
    assert (read_examples(weighted) == x).all()
    with pytest.raises(ValueError, match="without an end"):
        read_examples(pairs.batch(2).repeat())
    with pytest.raises(ValueError, match="with weights, and sample_weight was given too"):
        read(weighted, None, np.ones(5))
    for dataset, message in [
        (pairs, "not batched"),
        (pairs.map(lambda x, y: (x, [y, y, y])), "not batched"),
        (pairs.batch(2).repeat(), "without an end"),
        (pairs.batch(2).map(lambda x, y: x), "Expected pairs"),
        (pairs.batch(2).map(lambda x, y: {"x": x, "y": y}), "Expected pairs"),
        (pairs.batch(2).take(0), "without examples"),
    ]:
        with pytest.raises(ValueError, match=message):
            read(dataset, None)
    with pytest.raises(ValueError, match=r"holds the targets, and y was given too"):
        read(pairs.batch(2), [1])


@given(st.integers(2, 7), st.integers(0, 20), st.sampled_from(["classes", "numbers", "labels"]))
def test_folds_are_fair_and_repeatable(folds, seed, kind):
    rng = np.random.default_rng(seed)
    classes = np.r_[[0, 1, 1], rng.choice([0, 1, 2], 60, p=[0.7, 0.2, 0.1]), [3]]
    y = {
        "classes": classes,
        "numbers": rng.normal(size=64),
        "labels": np.eye(4, dtype=int)[classes] + np.eye(4, dtype=int)[0] * (classes == 2)[:, None],
    }[kind]
    task = infer(y)
    fold = divide(task, task.encode(y), folds, seed)
    assert (fold == divide(task, task.encode(y), folds, seed)).all()
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 2
    if kind == "numbers":
        halves = np.bincount(fold[y < np.median(y)], minlength=folds)
        assert halves.max() - halves.min() <= 2
        return
    assert fold[classes == 3] != 0
    for label in range(3):
        of_label = np.bincount(fold[classes == label], minlength=folds)
        assert of_label.max() - of_label.min() <= 2


@pytest.mark.parametrize("y", [RNG.random((100, 15)) > 0.5, np.eye(50, dtype=int)[:, 1:]])
def test_folds_of_many_labels_are_fair_too(y):
    task = Task("multi_label", y.shape[1], "", (), columns=True)
    sizes = np.bincount(divide(task, y.astype("float32"), 5, 0), minlength=5)
    assert sizes.max() - sizes.min() <= 2


def test_a_part_has_all_but_its_fold():
    x, y = np.arange(10)[:, None], np.arange(10) % 2
    split = Split(x, y, np.ones(10), np.arange(10) % 5, 5)
    (x_train, _, weights), (x_held_out, y_held_out, _) = split.part(2)
    assert x_held_out[:, 0].tolist() == [2, 7]
    assert y_held_out.tolist() == [0, 1]
    assert sorted([*x_train[:, 0], 2, 7]) == [*range(10)]
    assert len(weights) == 8
    given_data = Split(x, y, validation=(x, y))
    assert given_data.part(0)[1] == (x, y)
    assert len(given_data.part(0)[0][0]) == 10
