"""AutoModel with an objective of its own, and what it reports when its budget cuts a trial."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from tests.auto_model.small import small
from tests.errors import raises_in_three_parts

X = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
Y = np.where(X[:, 0] > 0, "yes", "no")


def error_rate(y_true: Any, y_pred: Any) -> Any:
    right = keras.ops.argmax(y_true, -1) == keras.ops.argmax(y_pred, -1)
    return 1.0 - keras.ops.cast(right, "float32")


def space_with_error_rate(*args: Any, **kwargs: Any) -> Any:
    space = small(*args, **kwargs)
    build = space.build

    def with_metric(hp: Any) -> Any:
        model = build(hp)
        model.compile(model.optimizer, model.loss, metrics=[error_rate])
        return model

    space.build = with_metric
    return space


def fitted(auto: Any, **settings: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The model is no")  # no better; it is trained so shortly
        return auto.fit(X, Y, batch_size=30, **{"epochs": 4, "verbose": 0, **settings})


def test_an_objective_of_the_space(tmp_path: Path) -> None:
    objective = kt.Objective("val_error_rate", "min")
    settings = {"directory": str(tmp_path), "space": space_with_error_rate, "seed": 0}
    auto = kt_plus.AutoModel(max_trials=1, ensemble=1, objective=objective, **settings)
    fitted(auto)
    assert auto.tuner.oracle.objective is objective
    scores = [trial.score for trial in auto.tuner.oracle.get_best_trials(None)]
    assert all(0 <= score <= 1 for score in scores)
    loaded = kt_plus.AutoModel.load(str(tmp_path))
    assert (loaded.objective.name, loaded.objective.direction) == ("val_error_rate", "min")
    assert loaded.predict(X).tolist() == auto.predict(X).tolist()


def test_impossible_objectives_are_errors_at_once() -> None:
    for objective in ("val_error_rate", ["val_error_rate"]):
        with raises_in_three_parts(
            ValueError, happened="got 'val_error_rate'", expected="`objective` must be"
        ):
            kt_plus.AutoModel(objective=objective)
    for objective in (None, ["val_loss", "val_accuracy"]):
        with raises_in_three_parts(
            ValueError, happened=f"got {objective!r}", expected="`objective` must be"
        ):
            kt_plus.AutoModel(objective=objective)
    with pytest.raises(ValueError, match="got 'maximise' for 'val_error_rate'"):
        kt_plus.AutoModel(objective=kt.Objective("val_error_rate", "maximise"))
    assert kt_plus.AutoModel(objective="val_accuracy").objective == "val_accuracy"


def test_epochs_that_the_budget_cuts_are_not_saved(tmp_path: Path, capfd: Any) -> None:
    settings = {"directory": str(tmp_path), "space": small, "seed": 0}
    auto = kt_plus.AutoModel(max_epochs=2, ensemble=1, **settings)
    fitted(auto, epochs=200, verbose=1)
    assert ", 0 saved" in capfd.readouterr().err
    (note,) = [note for note in auto.tuner.oracle.notes.values() if note.stop]
    assert note.stop.cause == "budget"
    auto.search_summary()
    assert "1 trial, 0 of them stopped early, 1 cut by the budget; " in capfd.readouterr().out
