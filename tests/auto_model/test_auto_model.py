"""One call finds a network for given data, keeps to its budget, and says how good it is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris

import kt_plus
from kt_plus.auto_model import finish
from kt_plus.errors import BudgetError, ResumeError
from tests import on_jax
from tests.auto_model.small import small

pytestmark = pytest.mark.slow

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]

QUICK = {"epochs": 8, "batch_size": 8}

WITHOUT_KT_PLUS = """
import sys
sys.modules["kt_plus"] = sys.modules["keras_tuner"] = None  # importing them fails
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def auto_model(directory, **kwargs):
    kwargs = {"max_trials": 3, "ensemble": 1, "seed": 0, "space": small, **kwargs}
    return kt_plus.AutoModel(directory=str(directory), **kwargs)


def fitted(auto, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The model is no")  # no better; it is trained so shortly
        return auto.fit(*args, **{"epochs": 8, "verbose": 0, **kwargs})


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    auto = auto_model(tmp_path_factory.mktemp("iris"), max_trials=2, ensemble=2)
    return fitted(auto, X, NAMES, **QUICK)


@pytest.fixture(scope="module")
def mixed():
    rng = np.random.default_rng(0)
    x = pd.DataFrame(
        {
            "size": rng.normal(size=150),
            "flag": rng.random(150) > 0.5,
            "kind": rng.choice(["a", "b", "c"], 150),
            "time": pd.date_range("2024-01-01", periods=150, freq="5h"),
        }
    )
    y = np.where((x["size"] > 0.4) ^ (x["kind"] == "a"), "yes", "no")
    x.loc[::7, "size"] = np.nan
    x.loc[::9, "kind"] = None
    return x, y


def test_labels_come_back_and_probabilities_sum_to_one(iris):
    assert iris.task.name == "classification"
    assert set(iris.predict(X)) <= set(iris.classes_) == set(NAMES)
    chances = iris.predict_proba(X)
    assert chances.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (iris.classes_[chances.argmax(axis=1)] == iris.predict(X)).all()
    assert iris.predict(X[:0]).shape == (0,)
    found = iris.evaluate(X, NAMES)
    assert found["accuracy"] == (iris.predict(X) == NAMES).mean() > 0.6
    assert found["loss"] == pytest.approx(-np.log(chances[np.arange(150), Y]).mean(), rel=1e-4)


def test_it_says_what_it_found(iris, capsys):
    iris.search_summary()
    text = capsys.readouterr().out
    assert "Classification: y holds 3 different texts; 'setosa' 33.3 %" in text
    assert "A table of 4 columns" in text
    assert "2 trials" in text
    assert "The model is the mean of 2 networks, of the trials" in text
    assert "better than a constant" in text
    assert "a linear model: loss" in text
    assert repr(iris).startswith(
        "AutoModel(classification of tables, 2 trials, 2 networks, held out"
    )
    assert len(kt_plus.results.to_dataframe(iris.tuner)) == 2


def test_what_is_said_of_it_is_true(iris):
    assert len(iris.members) == 2
    comparison = iris.comparisons[0]
    assert comparison.name == "a constant"
    assert comparison.theirs == pytest.approx(np.log(3), abs=0.05)
    assert comparison.ours == pytest.approx(iris.held_out["loss"])
    assert iris.held_out["loss"] == pytest.approx(iris.evaluate(X, NAMES)["loss"], abs=0.25)


def test_the_exported_model_needs_no_kt_plus(iris, tmp_path):
    assert isinstance(iris.export(tmp_path / "model.keras"), keras.Model)
    np.save(tmp_path / "x.npy", X)
    paths = [tmp_path / name for name in ("model.keras", "x.npy", "found.npy")]
    command = [sys.executable, "-c", WITHOUT_KT_PLUS, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "found.npy") == pytest.approx(iris.predict_proba(X), abs=1e-5)


def test_it_is_loaded_from_its_project(iris):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = kt_plus.AutoModel.load(iris.tuner.oracle._directory)
    assert (loaded.predict(X) == iris.predict(X)).all()
    assert loaded.held_out == iris.held_out
    assert str(loaded.comparisons) == str(iris.comparisons)
    with pytest.raises(ValueError, match=r"no search in this process. Call fit"):
        _ = loaded.tuner


@pytest.mark.slow
def test_a_larger_budget_goes_on_and_other_data_are_refused(iris, capsys):
    directory = iris.tuner.oracle._directory
    before = dict(iris.tuner.oracle.notes)
    again = fitted(auto_model(directory, ensemble=2), X, NAMES, **QUICK)
    assert not capsys.readouterr().out  # verbose=0
    notes = again.tuner.oracle.notes
    assert len(again.tuner.oracle.trials) == 3
    ended = {trial: note.seconds for trial, note in before.items() if note.ended is not None}
    assert len(ended) == 2
    assert all(notes[trial].seconds == seconds for trial, seconds in ended.items())
    with pytest.raises(ResumeError, match=r"holds a search on other data.* overwrite=True"):
        fitted(auto_model(directory), X[:100], NAMES[:100])


@pytest.mark.slow
def test_a_network_that_is_finished_is_not_trained_again(tmp_path, monkeypatch):
    calls = []
    train = finish.train

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*args)

    monkeypatch.setattr(finish, "train", interrupted)
    settings = {"max_trials": 1, "ensemble": 3}
    with pytest.raises(KeyboardInterrupt):
        fitted(auto_model(tmp_path, **settings), X, NAMES, epochs=1)
    auto = fitted(auto_model(tmp_path, **settings), X, NAMES, epochs=1)
    assert len(calls) == 3
    assert len(auto.tuner.oracle.trials) == 1
    assert auto.predict(X[:3]).shape == (3,)


def test_a_frame_with_columns_of_every_kind(tmp_path, mixed):
    x, y = mixed
    auto = fitted(auto_model(tmp_path, max_trials=1), x, y, class_weight="balanced", epochs=4)
    assert auto.task.name == "binary"
    assert auto.predict_proba(x).shape == (150, 2)
    unseen = x[:2].assign(kind=["never seen", None], size=np.nan)
    assert set(auto.predict(unseen)) <= {"yes", "no"}
    encoded = auto.encode(x)
    assert encoded.shape == (150, len(auto.feature_names)) == (150, 10)
    found = auto.export().predict(encoded, verbose=0)
    assert found[:, 0] == pytest.approx(auto.predict_proba(x)[:, 1], abs=1e-6)
    assert 0.4 < auto.evaluate(x, y)["auc"] <= 1
    # Baselines have the weights too: of balanced classes a constant tells nothing.
    assert auto.comparisons[0].theirs == pytest.approx(np.log(2), abs=0.02)
    assert auto.comparisons[0].ours == pytest.approx(auto.held_out["loss"])
    assert "1 trial, 1 network, held out" in repr(auto)


@pytest.mark.slow
def test_numbers_are_predicted_in_their_units(tmp_path):
    x, y = load_diabetes(return_X_y=True)
    x, y = x[:200], y[:200]
    x_train, y_train, held_out = x[:150], y[:150], (x[150:], y[150:])
    auto = auto_model(tmp_path, max_trials=1)
    fitted(auto, x_train, y_train, validation_data=held_out, **QUICK)
    assert auto.task.name == "regression"
    assert auto.predict(x).shape == (200,)
    assert 50 < auto.predict(x).mean() < 250
    assert auto.export().predict(x, verbose=0)[:, 0] == pytest.approx(auto.predict(x), rel=1e-4)
    assert auto.export().evaluate(x, y, verbose=0)[0] == pytest.approx(
        auto.evaluate(x, y)["rmse"] ** 2, rel=1e-3
    )
    assert auto.comparisons[0].theirs > 0.5
    with pytest.raises(ValueError, match="regression, without probabilities"):
        auto.predict_proba(x)


@pytest.mark.slow
def test_images_from_a_data_set(tmp_path):
    tf = pytest.importorskip("tensorflow")
    images, labels = load_digits(n_class=3, return_X_y=True)
    images, labels = images[:150].reshape(-1, 8, 8).astype("uint8"), labels[:150]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(50)
    auto = fitted(auto_model(tmp_path, max_trials=1), dataset, **QUICK)
    assert (auto.task.name, auto.inputs.kind, auto.inputs.shape) == (
        "classification",
        "image",
        (8, 8),
    )
    assert auto.predict(dataset).dtype == labels.dtype
    assert auto.evaluate(dataset)["accuracy"] > 0.5
    assert auto.export().predict(images, verbose=0) == pytest.approx(auto.predict_proba(images))


def test_sequences_with_several_labels(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 12, 3))
    y = pd.DataFrame({"up": x[:, -1, 0] > 0, "high": x[:, :, 1].mean(axis=1) > 0}).astype(int)
    auto = fitted(auto_model(tmp_path, max_trials=1), x, y, epochs=2)
    assert (auto.task.name, auto.inputs.kind) == ("multi_label", "sequence")
    assert auto.classes_.tolist() == ["up", "high"]
    assert set(np.unique(auto.predict(x))) <= {0, 1}
    assert auto.predict_proba(x).shape == (120, 2)


def test_it_says_when_a_linear_model_would_do(tmp_path):
    x = np.random.default_rng(1).normal(size=(80, 2))
    with pytest.warns(UserWarning, match=r"The model is no better than a linear model: loss"):
        auto_model(tmp_path, max_trials=1).fit(x, x.sum(axis=1), epochs=1, verbose=0)


@pytest.mark.full
@pytest.mark.slow
def test_it_works_with_keras_on_jax(tmp_path):
    assert "fitted on jax" in on_jax.printed("-m", "tests.auto_model.on_jax", str(tmp_path))


@pytest.mark.slow
def test_minutes_hold_though_an_epoch_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kt_plus.auto_model.budget.Limit.on_train_batch_begin", _sleep, raising=False
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6400, 2))
    y = x[:, 0] > 0
    began = time.monotonic()
    auto = fitted(auto_model(tmp_path, minutes=0.3, max_trials=None), x, y, batch_size=32)
    seconds = time.monotonic() - began
    assert auto.evaluate(x, y)["accuracy"] > 0.8
    assert 0.5 * 18 < seconds < 1.25 * 18


def test_a_budget_that_earlier_sessions_have_spent_says_so(tmp_path):
    (tmp_path / "auto_model").mkdir()
    state = {"schema": 1, "seconds": 1e6, "members": [], "seed": 0}
    (tmp_path / "auto_model" / "auto_model.json").write_text(json.dumps(state))
    with pytest.raises(BudgetError, match=r"No trial has ended within 1 minute"):
        fitted(auto_model(tmp_path, minutes=1, max_trials=None), X, NAMES)


def test_a_budget_too_small_for_a_trial_says_what_would_do(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kt_plus.auto_model.budget.Limit.on_train_batch_begin", _sleep, raising=False
    )
    x = np.random.default_rng(0).normal(size=(64_000, 2))
    auto = auto_model(tmp_path, minutes=0.05, max_trials=None)
    with pytest.raises(
        BudgetError, match=r"minutes=0.05 was given.* at least [0-9.]+ minutes"
    ) as e:
        fitted(auto, x, x[:, 0] > 0, batch_size=32)
    least = float(str(e.value).split("at least ")[1].split(" ")[0])
    assert 0.25 < least < 10  # 1,600 batches of 0.01 s are 0.27 minutes
    assert auto.tuner.oracle.get_best_trials(1)[0].score is None


def _sleep(self, batch, logs=None):
    time.sleep(0.01)


NUMBERS = np.arange(40.0).reshape(20, 2)
HALVES = np.arange(20) % 2


@pytest.mark.parametrize(
    ("x", "y", "arguments", "message"),
    [
        (NUMBERS, HALVES[:19], {}, "x holds 20 examples, and y 19 targets"),
        (NUMBERS, None, {}, "y is missing"),
        (NUMBERS, np.ones(20), {}, "y is 1.0 in all 20 examples"),
        (NUMBERS, np.eye(20)[:, :2] * np.nan, {}, "y is NaN or infinite in 20 of 20"),
        (NUMBERS, [str(i) for i in range(20)], {}, "20 classes in 20 examples"),
        (NUMBERS[:, 0], HALVES, {}, r"shape \(20,\). Expected a table"),
        (NUMBERS * [1, np.nan], HALVES, {}, "columns 1 of x are NaN in all examples"),
        (NUMBERS.astype(object), HALVES, {}, "array of objects.* DataFrame"),
        (NUMBERS[:8], HALVES[:8], {}, "x holds 8 examples. Expected at least 10"),
        (np.full((20, 8, 8), np.nan), HALVES, {}, "NaN or infinite in 20 of 20"),
        (NUMBERS, HALVES, {"validation_split": 0.9}, "validation_split=0.9 was given"),
        (
            NUMBERS,
            HALVES,
            {"validation_data": (NUMBERS[:, :1], HALVES)},
            "Expected numbers in 2 col",
        ),
        (NUMBERS, HALVES, {"validation_data": NUMBERS}, "y is missing"),
        (NUMBERS, HALVES, {"validation_data": (NUMBERS, HALVES + 5)}, "has not seen: 5, 6"),
        (NUMBERS, HALVES, {"class_weight": {0: 1}}, "Expected 'balanced', or a weight for each"),
        (NUMBERS, HALVES, {"sample_weight": [1, 2]}, "Expected 20 finite numbers from 0 on"),
        (NUMBERS, HALVES, {"epochs": 0}, "epochs=0 was given"),
        (NUMBERS, HALVES, {"batch_size": 1.5}, "batch_size=1.5 was given"),
    ],
)
def test_bad_data_are_refused_before_anything_is_trained(tmp_path, x, y, arguments, message):
    with pytest.raises(ValueError, match=message):
        auto_model(tmp_path).fit(x, y, verbose=0, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": 0}, "minutes=0 was given. Expected a number above 0"),
        ({"minutes": "5"}, "minutes='5' was given"),
        ({"max_trials": 0}, "max_trials=0 was given. Expected a whole number of at least 1"),
        ({"max_epochs": 1.5}, "max_epochs=1.5 was given"),
        ({"ensemble": 0}, "ensemble=0 was given. Expected the number of networks"),
        ({"task": "clasification"}, "Did you mean 'classification'"),
        ({"data": "tables"}, "data='tables' was given"),
        ({"space": "chain"}, "space='chain' was given. Expected what makes a space"),
    ],
)
def test_impossible_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt_plus.AutoModel(**arguments)


def test_what_is_not_fitted_says_so(tmp_path):
    auto = kt_plus.AutoModel("binary")
    assert repr(auto) == "AutoModel(task='binary', budget of 10 minutes, not fitted)"
    for call in (auto.predict, auto.predict_proba, auto.encode):
        with pytest.raises(ValueError, match=r"not fitted. Call fit"):
            call(X)
    with pytest.raises(ValueError, match="holds no finished AutoModel"):
        kt_plus.AutoModel.load(str(tmp_path))
