"""Two workers whose metrics are arrays, which Keras Tuner's messages cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from tests.integration.test_array_metrics import FIT, build_model, statuses

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager")]


def test_trials_of_two_workers_complete(tmp_path: Path) -> None:
    def make_tuner() -> Any:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        place = {"directory": tmp_path, "project_name": "p", "seed": 3}
        tuner = kt_plus.RandomSearch(build_model, "val_accuracy", 2, **place)
        return tuner, {**FIT, "epochs": 2}

    tuner = kt_plus.distribute.search(make_tuner, workers=2)
    assert statuses(tuner) == ["COMPLETED"] * 2
    assert [record.score for record in tuner.oracle.history] == [
        max(record.curve) for record in tuner.oracle.history
    ]
    for trial in tuner.oracle.trials.values():
        assert 0 <= trial.metrics.get_last_value("val_f1_score") <= 1


@pytest.mark.parametrize("objective", ["val_accuracy", "val_f1_score"])
def test_a_training_loop_of_the_users(objective: str, tmp_path: Path) -> None:
    def make_tuner() -> Any:
        class Measuring(kt_plus.RandomSearch):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
                score = trial.hyperparameters.Float("score", 0, 1)
                return {"val_accuracy": score, "val_f1_score": np.array([score, 0.5, 0.0])}

        hp = kt.HyperParameters()
        hp.Float("score", 0, 1)
        place = {"directory": tmp_path, "project_name": "p", "seed": 3, "hyperparameters": hp}
        return Measuring(objective=kt.Objective(objective, "max"), max_trials=2, **place), {}

    if objective == "val_f1_score":
        with pytest.raises(kt.errors.FatalValueError, match=r"single number.*shape \(3,\)"):
            kt_plus.distribute.search(make_tuner, workers=2)
        return
    tuner = kt_plus.distribute.search(make_tuner, workers=2)
    for trial in tuner.oracle.trials.values():
        mean = (trial.score + 0.5) / 3
        assert trial.metrics.get_last_value("val_f1_score") == pytest.approx(mean, abs=1e-6)
