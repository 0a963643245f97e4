"""The simulator on a table of nine configurations whose every answer is known."""

from __future__ import annotations

from pathlib import Path

import keras_tuner
import numpy as np
import pytest

from benchmarks.searches import OBJECTIVE, OptunaSearch, OracleSearch, Search
from benchmarks.simulator import Run, simulate
from benchmarks.tables import Synthetic, Table, Values


class Nine(Table):
    """Scores 0 to 8, the first one overrated: it reports 8.5 and is worth 0."""

    name = "nine"
    unit = "points"
    best = 8.0

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        space = keras_tuner.HyperParameters()
        space.Choice("row", [0, 1, 2])
        space.Choice("column", ["a", "b", "c"])
        return space

    def true(self, values: Values) -> float:
        return 3.0 * int(values["row"]) + "abc".index(str(values["column"]))

    def evaluate(self, values: Values, rng: np.random.Generator) -> float:
        return self.true(values) or 8.5

    def duration(self, values: Values) -> float:
        return 1.0 + self.true(values)


class OneAtATime(keras_tuner.oracles.RandomSearchOracle):
    """Lets every worker wait while one works."""

    def populate_space(self, trial_id):
        return {"status": "IDLE"} if self.ongoing_trials else super().populate_space(trial_id)


class NeverReady(keras_tuner.oracles.RandomSearchOracle):
    """Lets every worker wait for ever."""

    def populate_space(self, trial_id):
        return {"status": "IDLE"}


def oracle_search(
    folder: Path, kind: type = keras_tuner.oracles.RandomSearchOracle, **settings
) -> OracleSearch:
    settings = {"max_trials": 9, "seed": 1, "hyperparameters": Nine().hyperparameters()} | settings
    return OracleSearch(kind(objective=OBJECTIVE, **settings), folder)


def run_nine(search: Search, **settings) -> Run:
    return simulate(search, Nine(), **({"budget": 9} | settings))


def test_one_worker_runs_one_trial_after_another(tmp_path):
    run = run_nine(oracle_search(tmp_path))
    ends = [trial.finished for trial in run.completed]
    assert [trial.started for trial in run.completed] == [0.0, *ends[:-1]]
    assert run.utilisation == pytest.approx(1.0)
    assert run.seconds > 0


def test_trials_last_as_long_as_the_table_says_up_to_jitter(tmp_path):
    for trial in run_nine(oracle_search(tmp_path)).completed:
        ratio = (trial.finished - trial.started) / Nine().duration(trial.values)
        assert 0.6 < ratio < 1.7  # five standard deviations


def test_results_arrive_in_the_order_in_which_trials_end(tmp_path):
    run = run_nine(oracle_search(tmp_path), workers=4)
    ends = [trial.finished for trial in run.completed]
    starts = [trial.started for trial in run.completed]
    assert ends == sorted(ends)
    assert starts != sorted(starts)  # some trial overtook one that had started before it
    assert starts.count(0.0) == 4


def test_a_worker_runs_one_trial_at_a_time_and_takes_the_next_at_once(tmp_path):
    run = run_nine(oracle_search(tmp_path), workers=3)
    assert {trial.worker for trial in run.completed} == {"worker0", "worker1", "worker2"}
    for worker in ("worker0", "worker1", "worker2"):
        own = [trial for trial in run.completed if trial.worker == worker]
        assert [trial.started for trial in own] == [0.0, *(t.finished for t in own[:-1])]


def test_the_search_learns_a_result_before_the_next_question(tmp_path):
    search = oracle_search(tmp_path)
    known = []
    ask = search.ask

    def ask_and_count(worker):
        known.append(len(search.oracle.end_order))
        return ask(worker)

    search.ask = ask_and_count
    run_nine(search, workers=4, budget=8)
    assert known == [0, 0, 0, 0, 1, 2, 3, 4]


def test_regret_is_that_of_the_best_observed_trial(tmp_path):
    run = run_nine(oracle_search(tmp_path))
    order = [trial.regret for trial in run.completed]
    overrated = order.index(8.0)
    assert run.regret_after(9) == 8.0
    assert 0 < overrated < 8
    assert run.regret_after(overrated) == min(order[:overrated])
    assert np.isnan(run.regret_after(0))


def test_an_exhausted_search_keeps_what_it_had(tmp_path):
    run = run_nine(oracle_search(tmp_path, max_trials=50), budget=50)
    assert len(run.completed) <= 9
    assert run.regret_after(50) == run.regret_after(len(run.completed))


def test_the_budget_ends_a_search_that_would_go_on(tmp_path):
    assert len(run_nine(oracle_search(tmp_path), budget=5, workers=3).completed) == 5


def test_waiting_workers_are_asked_again(tmp_path):
    run = run_nine(oracle_search(tmp_path, OneAtATime), workers=3)
    ends = [trial.finished for trial in run.completed]
    assert [trial.started for trial in run.completed] == [0.0, *ends[:-1]]
    assert run.utilisation == pytest.approx(1 / 3)


def test_waiting_for_nothing_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="no trial was running"):
        run_nine(oracle_search(tmp_path, NeverReady), workers=2)


def test_equal_seeds_give_equal_runs(tmp_path):
    runs = [
        run_nine(oracle_search(tmp_path / str(number)), workers=3, seed=seed)
        for number, seed in enumerate([5, 5, 6])
    ]
    assert runs[0].completed == runs[1].completed
    assert runs[0].completed != runs[2].completed


def test_a_project_written_by_the_simulator_loads_again(tmp_path):
    run = run_nine(oracle_search(tmp_path), workers=3)
    again = oracle_search(tmp_path).oracle
    again.reload()
    kept = [(t.hyperparameters.values, t.score, t.status) for t in again.trials.values()]
    assert len(kept) == len(run.completed)
    assert all((t.values, t.score, "COMPLETED") in kept for t in run.completed)


def test_hyperband_pays_for_the_epochs_that_it_trains(tmp_path):
    class Curves(Synthetic):
        epochs = 9
        duration = Table.duration

    kind, space = keras_tuner.oracles.HyperbandOracle, Curves().hyperparameters()
    oracle = kind(OBJECTIVE, max_epochs=9, hyperband_iterations=0, seed=1, hyperparameters=space)
    run = simulate(OracleSearch(oracle, tmp_path), Curves(), budget=3)
    values = [trial.values for trial in run.completed]
    trained = [v["tuner/epochs"] - v["tuner/initial_epoch"] for v in values]
    assert trained[:13] == [1] * 9 + [2] * 3 + [6]  # 9 trained to 1 epoch, 3 to 3, one to 9
    assert [9 * trial.cost for trial in run.completed] == pytest.approx(trained)
    assert 3 <= sum(trial.cost for trial in run.completed) < 4
    assert run.makespan == pytest.approx(3, rel=0.2)


def test_optuna_searches_the_same_space():
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    sampler = optuna.samplers.RandomSampler(seed=0)
    run = run_nine(OptunaSearch(sampler, Nine().hyperparameters()), budget=60, workers=4)
    assert len(run.completed) == 60
    assert {trial.regret for trial in run.completed} == set(range(9))
    assert run.regret_after(60) == 8.0
