"""Objectives given by name: never reversed, whatever the search, the metric or the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from kt_plus.errors import FatalValueError, ResumeError
from tests.errors import raises_in_three_parts
from tests.integration.small_networks import SEARCHES, new, statuses

pytestmark = pytest.mark.usefixtures("eager")
every_search = pytest.mark.parametrize("search", [name for name in SEARCHES if "plus" in name])

Y = np.eye(2, dtype="float32")[[0, 1, 1, 0]]
FIT = {"epochs": 1, "validation_data": (Y, Y), "verbose": 0}


def mean_io_u() -> Any:
    return keras.metrics.MeanIoU(num_classes=2, sparse_y_true=False, sparse_y_pred=False)


def f1_score() -> Any:
    return keras.metrics.F1Score(average="macro")


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("gain", [-5.0, 5.0])
    return hp


def model_with(metric: Any) -> Any:
    """A model that is always right with a gain of 5, and always wrong with one of -5."""

    def build(hp: Any) -> Any:
        kernel = keras.initializers.Identity(hp.Choice("gain", [-5.0, 5.0]))
        layer = keras.layers.Dense(2, "softmax", use_bias=False, kernel_initializer=kernel)
        model = keras.Sequential([keras.Input((2,)), layer])
        model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[metric()])
        return model

    return build


@pytest.mark.parametrize(
    ("metric", "objective"),
    [
        (f1_score, ["val_f1_score", "val_loss"]),
        (mean_io_u, "val_mean_io_u"),
        (mean_io_u, "val_loss"),  # the trial keeps the values of the other metrics, too
    ],
)
def test_the_best_trial_is_the_best(metric: Any, objective: Any, tmp_path: Path) -> None:
    tuner = kt_plus.GridSearch(model_with(metric), objective, directory=tmp_path)
    tuner.search(Y, Y, **FIT)
    assert len(tuner.oracle.trials) == 2
    assert statuses(tuner) == {"COMPLETED"}
    assert tuner.get_best_hyperparameters()[0].values == {"gain": 5.0}
    best = tuner.oracle.get_best_trials()[0].metrics
    assert best.get_best_value(f"val_{metric.__name__}") == pytest.approx(1.0)
    assert best.get_direction(f"val_{metric.__name__}") == "max"


@every_search
def test_every_search_takes_the_direction_of_the_table(search: str, tmp_path: Path) -> None:
    def searched(objective: Any) -> Any:
        place = {"directory": tmp_path, "project_name": str(objective)}
        return new(search, hyperparameters=space(), objective=objective, **place).oracle.objective

    assert searched("val_r2_score") == kt.Objective("val_r2_score", "max")
    assert searched(None).direction == "min"
    both = searched(["val_f1_score", "val_loss"]).objectives
    assert [(o.name, o.direction) for o in both] == [("val_f1_score", "max"), ("val_loss", "min")]
    for unknown in ("val_usefulness", ["val_loss", "val_usefulness"]):
        with raises_in_three_parts(
            ValueError, happened="got 'val_usefulness'", expected="`objective` must be the name"
        ):
            searched(unknown)


@pytest.mark.parametrize("oracle", kt_plus.oracles.__all__)
def test_every_oracle_takes_the_direction_of_the_table(oracle: str) -> None:
    kind = getattr(kt_plus.oracles, oracle)
    assert kind("val_mean_io_u").objective == kt.Objective("val_mean_io_u", "max")
    with pytest.raises(ValueError, match="got 'val_usefulness'"):
        kind("val_usefulness")
    with pytest.raises(ValueError, match="got 'maximize' for 'val_usefulness'"):
        kind(kt.Objective("val_usefulness", "maximize"))


def test_a_loss_as_metric_that_has_the_name_of_a_maximized_metric(tmp_path: Path) -> None:
    build = model_with(lambda: keras.losses.cosine_similarity)
    name = "val_cosine_similarity"
    tuner = kt_plus.GridSearch(build, name, directory=tmp_path)
    with raises_in_three_parts(
        FatalValueError, happened=f'got {name!r}, which stands for "max"', expected='has "min"'
    ) as caught:
        tuner.search(Y, Y, **FIT)
    assert f'kt_plus.Objective({name!r}, "min")' in str(caught.value)
    objective = kt.Objective(name, "min")
    again = kt_plus.GridSearch(build, objective, directory=tmp_path, overwrite=True)
    again.search(Y, Y, **FIT)
    assert again.get_best_hyperparameters()[0].values == {"gain": 5.0}


def test_a_project_of_the_opposite_direction_resumes_with_that_direction(tmp_path: Path) -> None:
    """Version 0.1 minimized "val_f1_score", and stored that."""
    stored = kt.Objective("val_f1_score", "min")
    place = {"directory": tmp_path, "max_trials": 1}
    first = kt_plus.GridSearch(model_with(f1_score), stored, **place)
    first.search(Y, Y, **FIT)
    with raises_in_three_parts(
        ResumeError,
        happened="the objective [['val_f1_score', 'min']]",
        expected="has [['val_f1_score', 'max']]",
    ) as caught:
        kt_plus.GridSearch(model_with(f1_score), "val_f1_score", **place)
    assert "as a kt_plus.Objective with its direction" in str(caught.value)
    again = kt_plus.GridSearch(model_with(f1_score), stored, **{**place, "max_trials": 2})
    again.search(Y, Y, **FIT)
    assert len(again.oracle.trials) == 2
    assert first.oracle.trials["0"].score == again.oracle.trials["0"].score


def test_a_project_that_keras_tuner_has_reversed(tmp_path: Path) -> None:
    place = {"directory": tmp_path, "max_trials": 1}
    kt.RandomSearch(model_with(f1_score), "val_f1_score", **place).search(Y, Y, **FIT)
    remedy = r"Give kt_plus.Objective\('val_f1_score', 'min'\)"
    with pytest.raises(ResumeError, match=f"'min' for 'val_f1_score'.*{remedy}"):
        kt_plus.RandomSearch(model_with(f1_score), "val_f1_score", **place)
    stored = kt.Objective("val_f1_score", "min")
    assert len(kt_plus.RandomSearch(model_with(f1_score), stored, **place).oracle.trials) == 1
    history = {"history": str(tmp_path / "untitled_project"), "project_name": "next"}
    reversed_history = kt_plus.RandomSearch(
        model_with(f1_score), "val_f1_score", **place, **history
    )
    with pytest.raises(ResumeError, match=f"'min' for 'val_f1_score'.*{remedy}"):
        reversed_history.search(Y, Y, **FIT)
