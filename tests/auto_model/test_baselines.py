"""The baselines are the models that they are called, and comparisons are fair."""

from __future__ import annotations

import time

import keras
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, r2_score, roc_auc_score

from kt_plus.auto_model.baselines import Constant, Linear, feature_network
from kt_plus.auto_model.division import example_weights
from kt_plus.auto_model.inference import infer
from kt_plus.auto_model.metrics import Comparison, auc, losses, summary

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
SCORES = X @ RNG.normal(size=(5, 3)) + RNG.normal(size=(120, 3))


def test_logistic_regression_of_several_classes_is_scikit_learns():
    y = SCORES.argmax(axis=1)
    task = infer(y)
    ours = Linear.fit(task, X, task.encode(y)).predict(X)
    theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(X, y).predict_proba(X)
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_logistic_regression_of_two_classes_is_scikit_learns():
    y = np.where(SCORES[:, 0] > 0.5, "yes", "no")
    task = infer(y)
    ours = task.outcomes(Linear.fit(task, X, task.encode(y)).predict(X))
    theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(X, y).predict_proba(X)
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_ridge_regression_is_scikit_learns():
    y = 50 + 7 * SCORES[:, :2]
    task = infer(y)
    ours = task.predictions(task.outcomes(Linear.fit(task, X, task.encode(y)).predict(X)))
    assert ours == pytest.approx(Ridge().fit(X, y).predict(X), abs=1e-2)


def test_each_label_has_a_logistic_regression():
    y = (SCORES > 0).astype(int)
    task = infer(y)
    ours = Linear.fit(task, X, task.encode(y)).predict(X)
    for label in range(3):
        theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(X, y[:, label]).predict_proba(X)
        assert ours[:, label] == pytest.approx(theirs[:, 1], abs=1e-3)


@pytest.mark.parametrize("y", [SCORES.argmax(axis=1), SCORES[:, 0] > 0, SCORES[:, :2]])
def test_an_example_of_twice_the_weight_counts_as_two(y):
    task = infer(y)
    targets, twice = task.encode(y), np.arange(120).repeat(np.arange(120) % 2 + 1)
    weights = np.arange(120) % 2 + 1.0
    for kind, features in ((Constant, ()), (Linear, (X,))):
        ours = kind.fit(task, *features, targets, weights)
        theirs = kind.fit(task, *(f[twice] for f in features), targets[twice])
        given = (X,) if features else (120,)
        assert ours.predict(*given) == pytest.approx(theirs.predict(*given), abs=2e-3)
    outputs = ours.predict(X)
    found = losses(task, targets, outputs, weights).sum()
    assert found == pytest.approx(losses(task, targets[twice], outputs[twice]).sum())


def test_only_the_ratios_of_weights_matter():
    task = infer([0, 1, 1, 1] * 5)
    y = task.encode([0, 1, 1, 1] * 5)
    balanced = example_weights(task, y, None, "balanced")
    assert balanced.mean() == pytest.approx(1)
    assert balanced[:2] == pytest.approx([2, 2 / 3])
    assert example_weights(task, y, None, {0: 300, 1: 100}) == pytest.approx(balanced)
    assert example_weights(task, y, np.full(20, 7), "balanced") == pytest.approx(balanced)
    assert example_weights(task, y, None, None) is None
    with pytest.raises(ValueError, match="All examples have the weight 0"):
        example_weights(task, y, np.zeros(20), None)
    with pytest.raises(ValueError, match=r"class_weight={0: -1, 1: 1} was given. Expected finite"):
        example_weights(task, y, None, {0: -1, 1: 1})


def test_a_linear_model_sees_small_images_whatever_keras_takes_for_channels():
    keras.config.set_image_data_format("channels_first")
    try:
        assert feature_network((64, 64, 3), lambda x: x).output_shape == (None, 32 * 32 * 3)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_a_linear_model_ends_in_time():
    y = RNG.integers(0, 10, 20_000)
    task = infer(y)
    began = time.monotonic()
    model = Linear.fit(task, RNG.normal(size=(20_000, 50)), task.encode(y), seconds=0.05)
    assert time.monotonic() - began < 2
    assert np.isfinite(model.weights).all()


def test_the_constants():
    y = np.array([0] * 70 + [1] * 20 + [2] * 10)
    task = infer(y)
    outputs = Constant.fit(task, task.encode(y)).predict(len(y))
    assert outputs[0] == pytest.approx(DummyClassifier().fit(y, y).predict_proba(y)[0], abs=0.02)
    assert summary(task, task.encode(y), outputs)["accuracy"] == 0.7
    z = RNG.normal(5, 2, 50)
    task = infer(z)
    outputs = Constant.fit(task, task.encode(z)).predict(50)
    expected = DummyRegressor().fit(z, z).predict(z)
    assert task.predictions(task.outcomes(outputs)) == pytest.approx(expected)
    assert summary(task, task.encode(z), outputs)["r2"] == pytest.approx(0, abs=1e-6)
    marks = np.array([[1, 1], [1, 0], [0, 0], [1, 0]])
    task = infer(marks)
    assert Constant.fit(task, task.encode(marks)).predict(4)[0] == pytest.approx([4 / 6, 2 / 6])


def test_measures_are_scikit_learns():
    y = SCORES.argmax(axis=1)
    task = infer(y)
    outputs = RNG.dirichlet(np.ones(3), 120)
    found = summary(task, task.encode(y), outputs)
    assert found["loss"] == pytest.approx(log_loss(y, outputs))
    assert found["balanced_accuracy"] == balanced_accuracy_score(y, outputs.argmax(axis=1))
    two = y > 0
    task = infer(two)
    chances = RNG.random((120, 1)).round(1)  # with ties
    found = summary(task, task.encode(two), chances)
    assert found["auc"] == pytest.approx(roc_auc_score(two, chances))
    assert np.isnan(auc(np.zeros(3, int), np.ones(3)))
    task = infer(SCORES[:, :2])
    outputs = RNG.normal(size=(120, 2))
    found = summary(task, task.encode(SCORES[:, :2]), outputs)
    assert found["r2"] == pytest.approx(r2_score(SCORES[:, :2], task.outcomes(outputs)))
    marks = (SCORES > 0).astype(int)
    task = infer(marks)
    chances = RNG.random((120, 3))
    found = summary(task, task.encode(marks), chances)
    assert found["f1"] == pytest.approx(f1_score(marks, chances > 0.5, average="macro"))
    assert found["exact"] == pytest.approx(((chances > 0.5) == marks).all(axis=1).mean())


def test_a_sure_mistake_does_not_cost_everything():
    task = infer([0, 1, 1, 0])
    assert np.isfinite(losses(task, np.ones((2, 1)), np.zeros((2, 1)))).all()


def test_a_comparison_says_when_there_is_no_difference():
    theirs = RNG.random(100)
    better = Comparison.of("a linear model", theirs - 0.1, theirs + 0.01 * RNG.normal(size=100))
    assert better.is_better
    assert str(better).startswith("The model is better than a linear model: loss ")
    hardly = Comparison.of("a linear model", theirs - 0.001, theirs + RNG.normal(size=100) * 0.1)
    if hardly.ours >= hardly.theirs:
        pytest.fail("the example should be one of a small gain")
    assert "not clearly better (within one standard error)" in str(hardly)
    worse = Comparison.of("a constant", theirs + 0.1, theirs)
    assert not worse.is_better
    assert str(worse).startswith("The model is no better than a constant")
    assert not Comparison.of("a constant", theirs[:1] - 0.1, theirs[:1]).is_better  # of one example
