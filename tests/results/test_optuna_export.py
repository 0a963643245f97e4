"""Searches as studies of Optuna's, looked at with Optuna's own plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.errors import ResultsError
from kt_plus.results import to_optuna
from tests.errors import raises_in_three_parts
from tests.invented_search import EPOCHS, tuner

optuna = pytest.importorskip("optuna", reason="the extra optuna")


def test_every_trial_is_there(found: Any) -> None:
    study = to_optuna(found)
    oracle = found.oracle
    assert study.direction.name == "MINIMIZE"
    assert study.study_name == "invented"
    assert study.metric_names == ["score"]
    assert [t.user_attrs["trial_id"] for t in study.trials] == oracle.start_order
    for frozen, trial_id in zip(study.trials, oracle.start_order, strict=True):
        trial, note = oracle.trials[trial_id], oracle.notes[trial_id]
        assert frozen.params == {
            n: v for n, v in trial.hyperparameters.values.items() if not n.startswith("tuner/")
        }
        if trial_id in ("03", "11"):
            assert frozen.state.name == "FAIL"
            assert frozen.user_attrs["error"] == "ArithmeticError: it has diverged"
            continue
        assert frozen.state.name == ("PRUNED" if note.stop else "COMPLETE")
        assert frozen.value == trial.score
        assert list(frozen.intermediate_values.values()) == note.curves[-1].values
        assert frozen.user_attrs.get("stop_reason") == note.stop_reason
        assert frozen.duration.total_seconds() == pytest.approx(note.seconds, abs=1e-5)
    states = [t.state.name for t in study.trials]
    assert states.count("PRUNED") > 5
    assert states.count("COMPLETE") > 2
    assert max(max(t.intermediate_values) for t in study.trials) == EPOCHS


def test_optuna_draws_it(found: Any, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    study = to_optuna(found)
    drawing = optuna.visualization.matplotlib
    for draw in (
        drawing.plot_optimization_history,
        drawing.plot_param_importances,
        drawing.plot_intermediate_values,
        drawing.plot_parallel_coordinate,
    ):
        axes = draw(study)
        assert axes.has_data()
        axes.figure.savefig(tmp_path / f"{draw.__name__}.png")
    importances = optuna.importance.get_param_importances(study)
    assert next(iter(importances)) == "limit"


def test_a_file_keeps_it_and_is_not_told_twice(found: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    to_optuna(found, storage=url)
    study = optuna.load_study(study_name="invented", storage=url)
    assert study.best_value == found.oracle.history.best.score * -1
    with raises_in_three_parts(ResultsError, happened="a study 'invented'", expected="none"):
        to_optuna(found, storage=url)
    to_optuna(found, storage=url, study_name="again")


def test_a_study_can_be_gone_on_with(found: Any) -> None:
    study = to_optuna(found)
    trial = study.ask()
    assert 0.2 <= trial.suggest_float("limit", 0.2, 1.0) <= 1.0


def test_plain_keras_tuner_damage_and_values_beside_the_steps(tmp_path: Path) -> None:
    hp = kt.HyperParameters()
    hp.Int("units", 16, 100, step=16, default=50)
    hp.Choice("size", [1, 2, 4], ordered=True)
    hp.Float("rate", 1e-4, 1.0, step=10, sampling="log")
    hp.Float("momentum", 0.1, 0.99, sampling="reverse_log")
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("auc", "max"), 8, hyperparameters=hp)
    oracle._set_project_dir(tmp_path, "plain")
    for i in range(8):
        trial = oracle.create_trial("tuner0")
        if i == 7:
            break
        oracle.update_trial(trial.trial_id, {"loss": 1.0, "auc": 0.1 * i})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    path = tmp_path / "plain" / "trial_0" / "trial.json"
    content = json.loads(path.read_text())
    content["hyperparameters"]["values"].update(units=50, unknown=3)
    path.write_text(json.dumps(content))
    (tmp_path / "plain" / "trial_1" / "trial.json").write_text("{")
    with pytest.warns(UserWarning, match="trial_1.*damaged"):
        study = to_optuna(tmp_path / "plain")
    assert study.direction.name == "MAXIMIZE"
    assert study.metric_names == ["auc"]
    assert study.best_value == pytest.approx(0.6)
    assert study.trials[0].params["units"] == 50
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 6 + ["RUNNING"]
    for trial in study.trials[1:]:
        values = json.loads(
            (
                tmp_path / "plain" / f"trial_{trial.user_attrs['trial_id']}" / "trial.json"
            ).read_text()
        )["hyperparameters"]["values"]
        assert trial.params == pytest.approx(values)


def test_a_search_by_optuna_becomes_a_study(tmp_path: Path) -> None:
    searched = tuner(tmp_path, kt_plus.OptunaSearch, max_trials=5)
    searched.search(verbose=0)
    assert len(to_optuna(tmp_path / "invented").trials) == 5
