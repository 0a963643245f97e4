"""The task is told by the targets, and labels come back as they were given."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from kt_plus.auto_model.inference import infer
from kt_plus.auto_model.task import Task

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("y", "name", "outputs"),
    [
        (["no", "yes", "no", "yes"], "binary", 1),
        ([b"no", b"yes", b"no", b"yes"], "binary", 1),
        ([True, False, True, False], "binary", 1),
        ([1, 2, 1, 2], "binary", 1),
        ([0.0, 1.0, 1.0, 0.0], "binary", 1),
        ([-1.0, 1.0] * 2, "binary", 1),
        ([1.0, 2.0, 3.0] * 5, "classification", 3),
        ([[0], [1], [1], [0]], "binary", 1),
        ([[1, 0], [0, 1], [0, 1], [1, 0]], "binary", 1),
        (pd.Series(["a", "b", "c"] * 3, dtype="category"), "classification", 3),
        (pd.Series([1, 2, 3] * 3, dtype="Int64"), "classification", 3),
        (np.arange(10).repeat(5), "classification", 10),
        (np.arange(100).repeat(200), "classification", 100),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]], "classification", 3),
        ([[1, 1, 0], [0, 0, 1], [0, 0, 0]], "multi_label", 3),
        (np.arange(100).repeat(10), "regression", 1),
        (np.arange(10), "regression", 1),
        (RNG.normal(size=20), "regression", 1),
        ([1.0, 2.5, 3.0] * 5, "regression", 1),
        (RNG.normal(size=(20, 2)), "regression", 2),
        (np.array([2, 3.5, 2], object), "regression", 1),
    ],
)
def test_the_targets_tell_the_task(y, name, outputs):
    task = infer(y)
    assert (task.name, task.outputs) == (name, outputs)
    assert task.examples == len(y)
    targets = task.encode(y)
    assert len(targets) == len(y)
    assert targets.dtype == ("int32" if name == "classification" else "float32")
    assert Task.from_config(json.loads(json.dumps(task.get_config()))) == task


@pytest.mark.parametrize(
    "y",
    [
        np.array(["no", "yes", "no", "yes"]),
        np.array([True, False, True, False]),
        np.array([7, 3, 3, 7]),
        np.array([1.0, -1.0, -1.0, 1.0]),
        np.array(["a", "b", "c"] * 3),
        np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0]]),
    ],
)
def test_perfect_outputs_give_back_the_labels(y):
    task = infer(y)
    targets = task.encode(y)
    outputs = np.eye(task.outputs)[targets] if task.name == "classification" else targets
    outcomes = task.outcomes(outputs)
    assert (task.predictions(outcomes) == y).all()
    assert task.predictions(outcomes).dtype == y.dtype
    assert outcomes.shape == (len(y), len(task.classes))
    if task.is_classes:
        assert (task.classes == np.unique(y)).all()
        assert outcomes.sum(axis=1) == pytest.approx(1)


def test_numbers_are_standardised_and_come_back():
    y = RNG.normal(100, 7, size=(50, 2))
    task = infer(y)
    targets = task.encode(y)
    assert targets.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert targets.std(axis=0) == pytest.approx(1, abs=1e-5)
    assert task.predictions(task.outcomes(targets)) == pytest.approx(y, rel=1e-5)
    assert infer(y[:, 0]).predictions(task.outcomes(targets)).shape == (50,)


def test_it_says_what_it_inferred_and_why():
    assert str(infer(["no"] * 95 + ["yes"] * 5)) == (
        "binary classification: y holds 2 different texts; 'no' 95 %, 'yes' 5 %; imbalanced, "
        "rare: 'yes'"
    )
    assert str(infer(np.arange(10).repeat(5))).startswith(
        "classification: y holds 10 different whole numbers; 0 10 %, 1 10 %, ..., 8 10 %, 9 10 %"
    )
    assert str(infer(RNG.normal(size=20))) == (
        "regression: y holds 20 different numbers in 20 examples"
    )
    assert str(infer([1, 2, 2, 1], "classification")).startswith(
        "binary classification: as given; y holds 2 different whole numbers"
    )
    frame = pd.DataFrame({"cat": [1, 1, 0], "dog": [0, 1, 0]})
    assert "multi-label classification" in str(infer(frame))
    assert infer(frame).classes == ("cat", "dog")


def test_what_is_said_overrides():
    y = np.arange(4).repeat(5)
    assert infer(y).name == "classification"
    assert infer(y, "regression").name == "regression"
    assert infer(np.arange(30).repeat(3)).name == "regression"
    assert infer(np.arange(30).repeat(3), "classification").outputs == 30
    assert infer(np.eye(3)[[0, 1, 2]], "multi_label").name == "multi_label"


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (None, "auto", "y is missing"),
        ([1, 2], "binary_classification", "task='binary_classification' was given.*'binary'"),
        ([1, 2], "ranking", "Expected 'auto' or one of"),
        (["a", "a"], "auto", "y is 'a' in all 2 examples"),
        ([[1, 0], [1, 0]], "auto", "All examples of y are of one class, 0"),
        ([1.0, np.nan, 3.0], "auto", "NaN or infinite in 1 of 3 examples, .* number 1"),
        ([1.0, np.inf, 3.0], "auto", "NaN or infinite in 1 of 3"),
        (["a", None, "b"], "auto", "missing .* in 1 of 3 examples, the first of them number 1"),
        (pd.Series(["a", pd.NA, "b"], dtype="string"), "auto", "missing"),
        (np.array(["a", 1, 2], object), "auto", "objects of the types int, str"),
        (np.array([True, 1, 2], object), "auto", "objects of the types bool, int"),
        ([1j, 2], "auto", "complex"),
        (np.zeros((2, 2, 2)), "auto", r"shape \(2, 2, 2\)"),
        (np.zeros((0,)), "auto", r"shape \(0,\)"),
        (["a", "b", "c"], "auto", "3 classes in 3 examples.* task='regression'"),
        (np.eye(5)[:4], "auto", "5 classes in 4 examples"),
        (["a", "b"], "regression", "y holds texts. Expected numbers"),
        ([1, 2, 3] * 3, "binary", "task='binary' was given, and y tells of classification"),
        ([1, 2, 3] * 3, "multi_label", "Expected a column of 0 and 1 for each label"),
        ([[1, 0, 1], [1, 1, 1], [1, 0, 0]], "auto", "labels 0 are the same in all 3 examples"),
        (np.array([["a", "b"], ["b", "a"]]), "auto", "2 columns of texts"),
        (np.column_stack([np.arange(4.0), np.ones(4)]), "auto", "Column 1 of y is the same"),
    ],
)
def test_targets_that_nothing_can_be_learnt_from_are_refused(y, task, message):
    with pytest.raises(ValueError, match=message):
        infer(y, task)


def test_other_targets_than_those_of_fit_are_refused():
    with pytest.raises(ValueError, match=r"labels that fit has not seen: 'c'. Expected some of"):
        infer(["a", "b", "a", "b"]).encode(["a", "c"])
    with pytest.raises(ValueError, match=r"y has 2 columns. Expected 3"):
        infer([[1, 1, 0], [0, 0, 1], [0, 1, 0]]).encode([[1, 0]])
    with pytest.raises(ValueError, match=r"y has the shape \(1, 2\)"):
        infer(["a", "b", "a", "b"]).encode([["a", "b"]])
