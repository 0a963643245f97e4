"""Each example is judged on once, and all trials by the same folds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
)

from kt_plus.performance_estimation.folds import Folds
from kt_plus.performance_estimation.training_data import TrainingData

X, Y = np.arange(60)[:, None], np.repeat([0, 1, 2], [30, 20, 10])
DATA = TrainingData(X, Y, sample_weight=X[:, 0] / 10)


@given(st.integers(2, 9), st.integers(0, 30))
def test_every_example_is_judged_on_once(folds, seed):
    judged, sizes = [], []
    for fold in Folds(folds, seed).of(DATA):
        x, y, weight = fold.validation_data
        assert sorted([*fold.x[:, 0], *x[:, 0]]) == [*range(60)]
        assert (Y[x[:, 0]] == y).all()
        assert weight * 10 == pytest.approx(x[:, 0])
        assert (Y[fold.x[:, 0]] == fold.y).all()
        judged += x[:, 0].tolist()
        sizes.append(len(x))
        counts = np.bincount(y, minlength=3)
        assert np.abs(counts - np.array([30, 20, 10]) / folds).max() < 1 + 1e-9
    assert sorted(judged) == [*range(60)]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_divides():
    def judged(seed):
        return Folds(3, seed).nth(DATA, 1).validation_data[0][:, 0].tolist()

    assert judged(0) == judged(0) != judged(1)


@pytest.mark.parametrize(
    "splitter", [KFold(3), StratifiedKFold(4, shuffle=True, random_state=0), PredefinedSplit(Y)]
)
def test_a_splitter_of_scikit_learn(splitter):
    folds = Folds(splitter)
    expected = list(splitter.split(X, Y))
    assert len(folds) == len(expected)
    for number, (train, validation) in enumerate(expected):
        fold = folds.nth(DATA, number)
        assert fold.x[:, 0].tolist() == train.tolist()
        assert fold.validation_data[0][:, 0].tolist() == validation.tolist()


def test_a_splitter_by_classes_knows_one_hot_rows():
    rows = TrainingData(X, np.eye(len(np.unique(Y)))[Y])
    ours = [fold.x.tolist() for fold in Folds(StratifiedKFold(4)).of(rows)]
    assert ours == [fold.x.tolist() for fold in Folds(StratifiedKFold(4)).of(DATA)]


@pytest.mark.parametrize(
    ("splitter", "y", "message"),
    [
        (StratifiedKFold(3), X[:, 0] / 7, "cannot divide these data.*continuous"),
        (GroupKFold(3), Y, "cannot divide these data.*groups.*Choose another one"),
    ],
)
def test_a_splitter_that_cannot_divide_the_data(splitter, y, message):
    with pytest.raises(ValueError, match=message):
        Folds(splitter).check(TrainingData(X, y))


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (LeaveOneOut(), "whose number of folds depends on the data"),
        (1, "folds=1 was given. Expected a whole number of at least 2"),
        (True, "folds=True was given"),
        (2.0, "folds=2.0 was given"),
        ("five", "folds='five' was given"),
        (KFold(3, shuffle=True), "Give it a random_state"),
        (ShuffleSplit(3), "Give it a random_state"),
    ],
)
def test_bad_folds(splitter, message):
    with pytest.raises(ValueError, match=message):
        Folds(splitter)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TrainingData(X, Y, validation_data=(X, Y)), "together with validation_data"),
        (TrainingData(X, Y, validation_split=0.2), "together with validation_split"),
        (TrainingData(x for x in X), "of the type generator. Expected arrays"),
        (TrainingData(), "of the type NoneType"),
        (TrainingData(X[:2], Y[:2]), "folds=3 was given with 2 examples"),
    ],
)
def test_bad_data(data, message):
    with pytest.raises(ValueError, match=message):
        list(Folds(3).of(data))
