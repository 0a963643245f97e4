"""Metrics that are arrays, such as `F1Score()`, in every place that reads the logs of Keras."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from kt_plus.engine import logs
from kt_plus.results.html import report
from tests import on_jax
from tests.integration.small_networks import X_VALIDATION, Y_VALIDATION, X, Y

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

CLASSES = 3
FIT = {
    "x": X,
    "y": keras.utils.to_categorical(Y, CLASSES),
    "validation_data": (X_VALIDATION, keras.utils.to_categorical(Y_VALIDATION, CLASSES)),
    "verbose": 0,
}
BY_CLASS = ("f1_score", "val_f1_score")


def build_model(hp: Any) -> Any:
    units = hp.Int("units", 2, 16, step=2)
    layers = [keras.layers.Dense(units, "relu"), keras.layers.Dense(CLASSES, "softmax")]
    model = keras.Sequential(layers)
    metrics = ["accuracy", keras.metrics.F1Score()]
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", metrics=metrics)
    return model


def scores_by_class(model: Any) -> np.ndarray:
    found = model.evaluate(*FIT["validation_data"], verbose=0, return_dict=True)
    return np.asarray(found["f1_score"])


def statuses(tuner: Any) -> list[str]:
    return [trial.status for trial in tuner.oracle.trials.values()]


class Collecting(kt.HyperModel):
    """Keeps the history of each training."""

    def __init__(self) -> None:
        super().__init__()
        self.histories: list[dict[str, list[Any]]] = []

    def build(self, hp: Any) -> Any:
        return build_model(hp)

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        results = model.fit(*args, **kwargs)
        self.histories.append(results.history)
        return results


def test_trials_complete_with_curves_checkpoints_folds_and_runs(tmp_path: Path) -> None:
    tuner = kt_plus.RandomSearch(
        build_model,
        "val_accuracy",
        max_trials=2,
        seed=3,
        folds=2,
        checkpoint_interval=0,
        stopping=kt_plus.stopping.MedianRule(min_trials=1, min_epochs=1),
        directory=tmp_path,
    )
    tuner.search(FIT["x"], FIT["y"], epochs=2, verbose=0)
    assert statuses(tuner) == ["COMPLETED"] * 2
    for record in tuner.oracle.history:
        assert all(np.isfinite(record.curve))
    (metric,) = tuner.oracle.trials["0"].metrics.get_history("val_f1_score")
    assert 0 <= metric.mean() <= 1
    frame = kt_plus.results.to_dataframe(tuner)
    assert frame["score"].notna().all()
    assert len(kt_plus.results.runs_to_dataframe(tuner)) >= 2
    assert "val_accuracy" in Path(report(tuner, tmp_path / "report.html")).read_text()
    kt_plus.results.to_tensorboard(tuner, tmp_path / "events")
    resumed = kt_plus.RandomSearch(build_model, "val_accuracy", 3, seed=3, directory=tmp_path)
    assert statuses(resumed) == ["COMPLETED"] * 2


def test_the_mean_over_the_classes_is_kept_as_in_keras_tuner(tmp_path: Path) -> None:
    kept = {}
    for package in (kt, kt_plus):
        hypermodel = Collecting()
        folder = tmp_path / package.__name__
        tuner = package.RandomSearch(hypermodel, "val_loss", 1, seed=3, directory=folder)
        tuner.search(**FIT, epochs=1)
        (history,) = hypermodel.histories
        assert np.shape(history["val_f1_score"]) == (1, CLASSES)
        metrics = tuner.oracle.trials["0"].metrics
        kept[package] = [
            (metrics.get_last_value(name), float(np.mean(history[name]))) for name in BY_CLASS
        ]
        for found, mean in kept[package]:
            assert found == pytest.approx(mean, abs=1e-6)


class Breaking(keras.callbacks.Callback):
    """Interrupts the search in one execution of its first trial, once."""

    executions = 0
    broken = False

    def on_train_begin(self, logs: Any = None) -> None:
        Breaking.executions += 1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if Breaking.executions == 2 and epoch == 2 and not Breaking.broken:
            Breaking.broken = True
            raise KeyboardInterrupt


def test_a_resumed_training_has_the_arrays_of_all_epochs(tmp_path: Path) -> None:
    """Those of the interrupted execution, and those of the one before, whose results are kept."""
    found = {}
    for name, callbacks in (("whole", []), ("broken", [Breaking()])):
        hypermodel = Collecting()
        search = {"max_trials": 1, "seed": 3, "directory": tmp_path, "project_name": name}
        search |= {"executions_per_trial": 2, "checkpoint_interval": 0}
        tuner = kt_plus.RandomSearch(hypermodel, "val_accuracy", **search)
        try:
            tuner.search(**FIT, epochs=4, callbacks=callbacks)
        except KeyboardInterrupt:
            tuner = kt_plus.RandomSearch(hypermodel, "val_accuracy", **search)
            tuner.search(**FIT, epochs=4, callbacks=callbacks)
        metrics = tuner.oracle.trials["0"].metrics
        found[name] = (hypermodel.histories[-1], metrics.get_last_value("val_f1_score"))
    (whole, mean), (resumed, mean_resumed) = found["whole"], found["broken"]
    assert Breaking.broken
    assert mean_resumed == pytest.approx(mean, abs=1e-6)
    for name in BY_CLASS:
        assert [np.shape(value) for value in resumed[name]] == [(CLASSES,)] * 4
        np.testing.assert_allclose(np.stack(resumed[name]), np.stack(whole[name]), atol=1e-6)
    np.testing.assert_allclose(resumed["val_loss"], whole["val_loss"], rtol=1e-5)


def test_promoted_trials_and_those_that_inherit_complete(tmp_path: Path) -> None:
    halving = kt_plus.SuccessiveHalving(
        build_model,
        "val_accuracy",
        configurations=2,
        max_epochs=2,
        seed=3,
        directory=tmp_path,
        project_name="halving",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*begins at its first epoch")
        halving.search(**FIT)
    assert [(r.rung, r.status) for r in halving.oracle.history] == [
        (0, "completed"),
        (0, "completed"),
        (1, "completed"),
    ]
    evolution = kt_plus.EvolutionarySearch(
        build_model,
        "val_accuracy",
        max_trials=3,
        random_trials=2,
        population_size=2,
        tournament_size=1,
        inherit_weights=True,
        seed=3,
        directory=tmp_path,
        project_name="evolution",
    )
    evolution.search(**FIT, epochs=1)
    assert statuses(evolution) == ["COMPLETED"] * 3
    assert kt_plus.results.to_dataframe(evolution)["inherited"].max() > 0


@pytest.mark.parametrize(
    ("objective", "named"),
    [
        (kt.Objective("val_f1_score", "max"), "'val_f1_score'"),
        (["val_loss", kt.Objective("f1_score", "max")], "'f1_score'"),
    ],
)
def test_an_array_as_the_objective_ends_the_search_at_its_first_epoch(
    objective: Any, named: str, tmp_path: Path
) -> None:
    epochs = []
    counting = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(1))
    counting.__class__.__deepcopy__ = lambda self, memo: self
    tuner = kt_plus.RandomSearch(build_model, objective, 5, seed=3, directory=tmp_path)
    with pytest.raises(kt.errors.FatalValueError) as caught:
        tuner.search(**FIT, epochs=3, callbacks=[counting])
    assert str(caught.value) == (
        f"The objective {named} must be a single number in each epoch, got an array of shape (3,). "
        'Give the metric an average, such as keras.metrics.F1Score(average="macro"), or choose '
        "another objective."
    )
    assert len(epochs) == len(tuner.oracle.trials) == 1


def test_an_array_as_the_objective_of_a_fit_without_callbacks(tmp_path: Path) -> None:
    class Silent(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build_model(hp)

        def fit(self, hp: Any, model: Any, *args: Any, callbacks: Any, **kwargs: Any) -> Any:
            return model.fit(*args, **kwargs)

    objective = kt.Objective("val_f1_score", "max")
    tuner = kt_plus.RandomSearch(Silent(), objective, 5, seed=3, directory=tmp_path)
    with pytest.raises(kt.errors.FatalValueError, match="'val_f1_score' must be a single number"):
        tuner.search(**FIT, epochs=1)
    assert len(tuner.oracle.trials) == 1


class Measuring(kt_plus.RandomSearch):
    """Has a training loop of the user's, which returns the metrics of its model."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        model = build_model(trial.hyperparameters)
        found = model.evaluate(*FIT["validation_data"], verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in found.items()}


def test_the_arrays_of_a_training_loop_of_the_users(tmp_path: Path) -> None:
    tuner = Measuring(build_model, "val_accuracy", 1, seed=3, directory=tmp_path)
    tuner.search()
    assert statuses(tuner) == ["COMPLETED"]
    assert 0 <= tuner.oracle.trials["0"].metrics.get_last_value("val_f1_score") <= 1
    objective = kt.Objective("val_f1_score", "max")
    tuner = Measuring(build_model, objective, 5, seed=3, directory=tmp_path, overwrite=True)
    with pytest.raises(kt.errors.FatalValueError, match="'val_f1_score' must be a single number"):
        tuner.search()


def test_a_fit_that_returns_arrays_in_a_dictionary(tmp_path: Path) -> None:
    class Evaluated(Collecting):
        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            super().fit(hp, model, *args, **kwargs)
            found = model.evaluate(*FIT["validation_data"], verbose=0, return_dict=True)
            return {f"val_{name}": value for name, value in found.items()}

    hypermodel, folder = Evaluated(), {"directory": tmp_path, "checkpoint_interval": 0}
    tuner = kt_plus.RandomSearch(
        hypermodel, "val_accuracy", 1, seed=3, executions_per_trial=2, **folder
    )
    tuner.search(**FIT, epochs=1)
    assert statuses(tuner) == ["COMPLETED"]
    means = [np.mean(history["val_f1_score"]) for history in hypermodel.histories]
    found = tuner.oracle.trials["0"].metrics.get_last_value("val_f1_score")
    assert found == pytest.approx(np.mean(means), abs=1e-6)


def test_an_array_of_one_element_is_a_number(tmp_path: Path) -> None:
    """`F1Score()` of a single output, which Keras Tuner optimizes, too."""

    def build(hp: Any) -> Any:
        model = keras.Sequential([keras.layers.Dense(1, "sigmoid")])
        score = keras.metrics.F1Score(threshold=0.5)
        model.compile(keras.optimizers.SGD(hp.Float("rate", 0.1, 1)), "mse", metrics=[score])
        return model

    objective = kt.Objective("val_f1_score", "max")
    tuner = kt_plus.RandomSearch(build, objective, 2, seed=3, directory=tmp_path)
    data = X_VALIDATION, Y_VALIDATION[:, None]
    tuner.search(X, Y[:, None], epochs=2, validation_data=data, verbose=0)
    assert statuses(tuner) == ["COMPLETED"] * 2
    best = tuner.get_best_models()[0].evaluate(*data, verbose=0, return_dict=True)
    assert float(np.ravel(best["f1_score"])[0]) == pytest.approx(tuner.oracle.history.best.score)


def test_logs_may_hold_any_value(tmp_path: Path) -> None:
    class Logging(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["stage"], logs["confusion"] = "warm-up", np.eye(2, dtype=int)

    class Fit(Collecting):
        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> float:
            return float(super().fit(hp, model, *args, **kwargs).history["val_accuracy"][-1])

    tuner = kt_plus.RandomSearch(
        Fit(), "val_accuracy", 1, seed=3, directory=tmp_path, checkpoint_interval=0
    )
    tuner.search(**FIT, epochs=2, callbacks=[Logging()])
    assert statuses(tuner) == ["COMPLETED"]


@pytest.mark.parametrize(
    "value", [0.1, 3, np.float32(0.1), float("inf"), np.eye(2), np.arange(3, dtype="float32")]
)
def test_a_value_is_restored_as_it_was_stored(value: Any) -> None:
    np.testing.assert_array_equal(logs.restored(logs.stored(value)), value)


def test_arrays_of_jax() -> None:
    numpy = pytest.importorskip("jax.numpy", reason="JAX is not installed: pip install jax")
    values = numpy.array([0.25, 0.5, 0.0], "float32")
    assert logs.number(values) == 0.25
    assert logs.stored(values) == [0.25, 0.5, 0.0]
    history = keras.callbacks.History()
    history.history = {"val_loss": [0.5], "f1_score": [values]}
    logs.settle(history, kt.Objective("val_loss", "min"))
    assert type(history.history["f1_score"][0]) is np.ndarray
    with pytest.raises(kt.errors.FatalValueError, match="'f1_score' must be a single number"):
        logs.settle(history, kt.Objective("f1_score", "max"))


JAX = """
import tempfile

import keras

import kt_plus
from tests.integration.test_array_metrics import FIT, build_model, scores_by_class, statuses

assert keras.backend.backend() == "jax"
place = {"seed": 3, "directory": tempfile.mkdtemp(), "checkpoint_interval": 0}
tuner = kt_plus.RandomSearch(
    build_model, "val_accuracy", max_trials=1, executions_per_trial=2, **place
)
tuner.search(**FIT, epochs=2)
assert statuses(tuner) == ["COMPLETED"]
assert scores_by_class(tuner.get_best_models()[0]).shape == (3,)
objective = kt_plus.Objective("val_f1_score", "max")
try:
    kt_plus.RandomSearch(build_model, objective, 1, project_name="array", **place).search(**FIT)
except kt_plus.errors.FatalValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.full
def test_searches_with_keras_on_jax() -> None:
    assert "got an array of shape (3,)" in on_jax.printed("-c", JAX)
