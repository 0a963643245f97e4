"""Parts of the data: nested, seeded, stratified; the same for a data set in any order."""

from __future__ import annotations

import pickle
import warnings
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix

from kt_plus.performance_estimation.fidelity import DataFraction, Resolution, TrainingData
from kt_plus.performance_estimation.training_data import classes_of
from tests.errors import raises_in_three_parts

pytestmark = pytest.mark.versions

RNG = np.random.default_rng(0)
X = np.arange(200, dtype="float32").reshape(100, 2)
Y = np.repeat([0, 1, 2], [60, 30, 10])
DATA = TrainingData(X, Y)


def rows(data):
    return {int(row[0]) // 2 for row in np.asarray(data.x)}


@pytest.fixture(scope="module")
def tf():
    import tensorflow

    return tensorflow


def examples(dataset):
    """Each example's number and class, in order."""
    return [(int(x[0]) // 2, int(y)) for x, y in dataset.unbatch().as_numpy_iterator()]


@given(st.integers(0, 50), st.lists(st.integers(5, 40), min_size=1, max_size=6))
def test_parts_are_nested_seeded_and_stratified(seed, counts):
    y = RNG.permutation(np.repeat(np.arange(len(counts)), counts))
    data = TrainingData(np.arange(len(y))[:, None] * 2, y)
    fidelity = DataFraction(1 / 8, 1 / 4, 1 / 2, 1, seed=seed)
    again = DataFraction(1 / 8, 1 / 3, 1 / 2, 1, seed=seed)
    before = set()
    for level in fidelity.levels:
        part = fidelity.apply(level, data)
        assert rows(part) >= before
        before = rows(part)
        expected = [int(level * count + 0.5) for count in counts]
        assert np.bincount(part.y).tolist() == expected
        assert (np.sort(part.x[:, 0]) == part.x[:, 0]).all(), "the order was changed"
        assert (y[part.x[:, 0] // 2] == part.y).all()
    assert fidelity.apply(1.0, data) is data
    assert rows(again.apply(1 / 8, data)) == rows(fidelity.apply(1 / 8, data))


def test_another_seed_chooses_others():
    parts = [rows(DataFraction(0.3, 1, seed=seed).apply(0.3, DATA)) for seed in range(3)]
    assert parts[0] != parts[1] != parts[2]


def test_targets_of_every_kind():
    assert classes_of(Y).tolist() == Y.tolist()
    assert classes_of(Y[:, None].astype("uint8")).tolist() == Y.tolist()
    assert classes_of(np.array(["a", "b", "a", "a"])).tolist() == [0, 1, 0, 0]
    assert classes_of(pd.Series(Y)).tolist() == Y.tolist()
    assert classes_of(np.eye(3)[Y]).tolist() == Y.tolist()
    assert classes_of(Y > 1).tolist() == (Y > 1).astype(int).tolist()
    assert classes_of((Y > 1).astype("float32")).tolist() == (Y > 1).astype(int).tolist()
    assert classes_of(Y.astype(float)) is None
    assert classes_of(np.arange(100)) is None, "these are quantities"
    assert classes_of(np.ones((100, 3))) is None
    assert classes_of([Y, Y]) is None
    assert classes_of(None) is None


def test_quantities_are_chosen_without_classes():
    part = DataFraction(0.25, 1).apply(0.25, TrainingData(X, X[:, 0] / 7))
    assert len(part.x) == 25
    unstratified = DataFraction(0.25, 1, stratify=False).apply(0.25, DATA)
    assert len(unstratified.x) == 25


def test_all_parts_of_the_data_are_taken_alike():
    frame = pd.DataFrame({"a": np.arange(100) * 2})
    data = TrainingData({"a": X, "b": [X * 10]}, frame, sample_weight=np.arange(100))
    part = DataFraction(0.1, 1, stratify=False).apply(0.1, data)
    chosen = part.x["a"][:, 0]
    assert len(chosen) == 10
    assert part.x["b"][0][:, 0].tolist() == (chosen * 10).tolist()
    assert part.y["a"].tolist() == chosen.tolist()
    assert (part.sample_weight * 2).tolist() == chosen.tolist()


def test_sparse_matrices_and_named_tuples(tf):
    pair = namedtuple("Pair", "left right")(X, coo_matrix(X))
    part = DataFraction(0.1, 1).apply(0.1, TrainingData(pair, Y)).x
    assert len(part.left) == 10
    assert (part.right.toarray() == part.left).all()
    ragged = tf.ragged.constant([[1.0]] * 50 + [[2.0, 3.0]] * 50)
    with pytest.raises(ValueError, match="was given RaggedTensor as training data"):
        DataFraction(0.1, 1).check(TrainingData(ragged, Y))


def test_the_validation_split_is_set_apart_before():
    data = TrainingData(X, Y, sample_weight=np.arange(100.0), validation_split=0.2)
    part = DataFraction(0.5, 1, stratify=False).apply(0.5, data)
    assert part.validation_split == 0
    x, y, weight = part.validation_data
    assert x.tolist() == X[80:].tolist()
    assert y.tolist() == Y[80:].tolist()
    assert weight.tolist() == [*range(80, 100)]
    assert len(part.x) == 40
    assert max(rows(part)) < 80


def test_a_class_that_would_be_lost_is_told_with_all_counts():
    y = np.repeat([0, 1, 2], [60, 30, 3])
    data = TrainingData(np.zeros((93, 1)), y)
    with pytest.raises(ValueError, match=r"of class 2 that would be 0 of 3 examples") as error:
        DataFraction(1 / 10, 1).check(data)
    assert "1/10 of 93 examples was asked for" in str(error.value)
    assert "(now 6, 3, 0)" in str(error.value)
    assert "Begin the ladder at 0.167 or more" in str(error.value)
    DataFraction(0.167, 1).check(data)
    DataFraction(1 / 10, 1, stratify=False).check(data)
    with pytest.raises(ValueError, match="of the training data that would be 0 of 3 examples"):
        DataFraction(1 / 10, 1).check(TrainingData(np.zeros((3, 1)), np.ones(3)))


def test_what_no_part_can_be_taken_of():
    with pytest.raises(ValueError, match="was given generator as training data"):
        DataFraction(0.5, 1).check(TrainingData(x for x in ()))
    with pytest.raises(ValueError, match="the targets are no classes"):
        DataFraction(0.5, 1, stratify=True).check(TrainingData(X, X[:, 0] / 7))


def test_a_data_set_has_the_same_part_in_any_order(tf):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(100, seed=1).batch(16)
    fidelity = DataFraction(0.2, 0.5, 1)
    fidelity.check(TrainingData(dataset))
    part = fidelity.apply(0.2, TrainingData(dataset)).x
    first, second = examples(part), examples(part)
    assert first != second, "it was shuffled anew"
    assert sorted(first) == sorted(second)
    assert np.bincount([y for _, y in first]).tolist() == [12, 6, 2]
    half = examples(fidelity.apply(0.5, TrainingData(dataset)).x)
    assert {*first} < {*half}
    assert np.bincount([y for _, y in half]).tolist() == [30, 15, 5]
    assert int(part.cardinality()) == 2
    assert [len(y) for _, y in part] == [16, 4]
    ordered = tf.data.Dataset.from_tensor_slices((X, Y)).batch(7)
    again = DataFraction(0.2, 1).apply(0.2, TrainingData(ordered)).x
    assert sorted(examples(again)) == sorted(first)
    other = DataFraction(0.2, 1, seed=1).apply(0.2, TrainingData(ordered)).x
    assert sorted(examples(other)) != sorted(first)


def test_data_sets_of_other_kinds(tf):
    one_hot = tf.data.Dataset.from_tensor_slices((X, np.eye(3, dtype="float32")[Y])).batch(10)
    part = DataFraction(0.2, 1).apply(0.2, TrainingData(one_hot)).x
    assert sum(y.numpy() for _, batch in part for y in batch).tolist() == [12, 6, 2]
    texts = np.array(["no", "so", "yes"])[Y]
    nested = tf.data.Dataset.from_tensor_slices(({"a": X, "b": texts}, texts, Y)).batch(10)
    part = DataFraction(0.2, 1).apply(0.2, TrainingData(nested)).x
    found = np.concatenate([y.numpy() for _, y, _ in part])
    assert sorted(found.tolist()) == [b"no"] * 12 + [b"so"] * 6 + [b"yes"] * 2
    alone = tf.data.Dataset.from_tensor_slices(X).batch(10)
    part = DataFraction(0.25, 1).apply(0.25, TrainingData(alone)).x
    assert sum(len(batch) for batch in part) == 25


def test_a_data_set_whose_last_batch_is_dropped_and_one_with_equal_examples(tf):
    shuffled = (
        tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(100).batch(32, drop_remainder=True)
    )
    equal = tf.data.Dataset.from_tensor_slices((X // 40, Y)).batch(16)
    for dataset in (shuffled, equal):
        part = DataFraction(0.4, 1).apply(0.4, TrainingData(dataset)).x
        lengths = [sum(1 for _ in part) for _ in range(4)]
        assert lengths == [int(part.cardinality())] * 4
        assert sum(len(y) for _, y in part) >= 36


def test_random_augmentation_in_the_data_set_is_refused(tf):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    # Its state goes on; TensorFlow's other random numbers are the same again where a seed is set.
    rng = tf.random.Generator.from_seed(0)
    noisy = dataset.map(lambda x, y: (x + rng.normal(tf.shape(x)), y))
    with raises_in_three_parts(
        ValueError, happened="examples are others each time", expected="the same examples in every"
    ):
        DataFraction(0.5, 1).check(TrainingData(noisy))
    DataFraction(0.5, 1).check(TrainingData(noisy.cache()))


def test_bad_data_sets(tf):
    def batches():
        yield X, Y

    signature = (tf.TensorSpec((None, 2)), tf.TensorSpec((None,), tf.int64))
    unknown = tf.data.Dataset.from_generator(batches, output_signature=signature)
    fidelity = DataFraction(0.2, 1)
    with pytest.raises(ValueError, match=r"of unknown length.*assert_cardinality\(batches\)"):
        fidelity.check(TrainingData(unknown))
    told = unknown.apply(tf.data.experimental.assert_cardinality(1))
    fidelity.check(TrainingData(told))
    endless = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10).repeat()
    with pytest.raises(ValueError, match=r"of infinite length.*Leave out `repeat\(\)`"):
        fidelity.check(TrainingData(endless))
    with pytest.raises(ValueError, match=r"Expected batches of dense tensors: call `.batch\(32\)`"):
        fidelity.check(TrainingData(tf.data.Dataset.from_tensor_slices((X, Y))))
    with pytest.raises(ValueError, match="of class 2 that would be 0 of 10 examples"):
        DataFraction(0.04, 1).check(
            TrainingData(tf.data.Dataset.from_tensor_slices((X, Y)).batch(10))
        )


def test_images_are_made_smaller(tf):
    images = np.tile(np.arange(8, dtype="uint8")[None, :, None, None], (5, 1, 6, 1))
    data = TrainingData([images, X[:5]], Y[:5], validation_data=([images, X[:5]], Y[:5]))
    fidelity = Resolution(0.5, 1)
    fidelity.check(data)
    small = fidelity.apply(0.5, data)
    assert small.x[0].shape == small.validation_data[0][0].shape == (5, 4, 3, 1)
    assert small.x[1] is data.x[1]
    assert (np.diff(small.x[0][0, :, 0, 0]) > 0).all(), "the ramp is still one"
    assert fidelity.apply(1.0, data) is data
    dataset = tf.data.Dataset.from_tensor_slices((images, Y[:5])).batch(2)
    smaller = fidelity.apply(0.5, TrainingData(dataset, validation_data=dataset))
    for found in (smaller.x, smaller.validation_data):
        batch = np.concatenate([x for x, _ in found.as_numpy_iterator()])
        assert batch == pytest.approx(small.x[0], abs=1e-4)


def test_each_trial_of_a_rung_has_the_same_small_images_and_a_new_search_others():
    images = np.zeros((5, 4, 4, 1), "float32")
    data = TrainingData(images, Y[:5], validation_data=(images + 1, Y[:5]))
    fidelity = Resolution(0.5, 1)
    first, second = fidelity.apply(0.5, data), fidelity.apply(0.5, data)
    assert second.x is first.x
    assert second.validation_data[0] is first.validation_data[0]
    assert pickle.loads(pickle.dumps(fidelity)).levels == fidelity.levels
    images += 2
    fidelity.check(data)
    assert fidelity.apply(0.5, data).x == pytest.approx(2.0, abs=1e-5)


def test_resolution_of_targets_as_large_as_the_images_and_of_an_unknown_size(tf):
    images = np.zeros((5, 8, 6, 3), "float32")
    dataset = tf.data.Dataset.from_tensor_slices((images, images)).batch(2)
    for data in (TrainingData(images, images[..., 0]), TrainingData(dataset)):
        with raises_in_three_parts(
            ValueError, happened="targets are as large as the images", expected="such as classes"
        ):
            Resolution(0.5, 1).check(data)
    Resolution(0.5, 1).check(TrainingData(images, images[:, :, 0]))
    signature = tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None,))
    unknown = tf.data.Dataset.from_generator(lambda: iter(()), output_signature=signature)
    with raises_in_three_parts(
        ValueError, happened="(None, None, None, 3)", expected="known height and width"
    ):
        Resolution(0.5, 1).check(TrainingData(unknown))


def test_resolution_of_what_is_no_image(tf):
    with pytest.raises(ValueError, match=r"have the shapes \[\(100, 2\)\]. Expected images"):
        Resolution(0.5, 1).check(DATA)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)
    with pytest.raises(ValueError, match=r"have the shapes \[\(None, 2\)\]. Expected images"):
        Resolution(0.5, 1).check(TrainingData(dataset))


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataFraction(0.2, 1).apply(0.2, DATA)
