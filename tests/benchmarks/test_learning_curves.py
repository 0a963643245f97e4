"""The learning-curve benchmarks: scores and outcomes by hand, and each script at a small size."""

from __future__ import annotations

import argparse
import math

import numpy as np
import pytest

from benchmarks.learning_curves import (
    calibration,
    cost,
    decisions,
    digits,
    forecasts,
    outcomes,
    searches,
    tasks,
)
from benchmarks.learning_curves.outcomes import Key, Outcomes
from benchmarks.learning_curves.rules import FAMILIES, Unavailable, checked, family_of, make
from benchmarks.recorded import DataMissing
from kt_plus import stopping
from kt_plus.performance_estimation.learning_curves.forecast import AtLeast, Forecast, Mixture
from tests.benchmarks.test_scripts import cells

RISING = np.array(
    [
        [0.1, 0.5, 0.8, 0.9],
        [0.2, 0.3, 0.4, 0.5],
        [0.3, 0.2, 0.6, 0.95],
        [math.nan, math.nan, math.nan, math.nan],
        [0.4, -1e34, math.nan, math.nan],
    ]
)


class Known:
    """A model that expects a normal value, whatever it sees."""

    def __init__(self, horizon: int):
        self.horizon = horizon

    def forecast(self, prefix):
        normal = Mixture(np.ones(1), np.array([0.7]), np.array([0.1]))
        ahead = self.horizon - len(prefix)
        return Forecast(AtLeast(max(prefix), normal), [normal] * ahead, len(prefix))


def test_a_forecast_is_scored():
    curve = np.array([0.5, 0.6, 0.75, 0.72])
    score = forecasts.score_forecast(Known(4), curve, seen=2, ends=True)
    assert score.error_last == pytest.approx(0.02)
    assert score.error_best == pytest.approx(0.05)
    peak = -math.log(0.1 * math.sqrt(2 * math.pi))
    assert score.log_density_last == pytest.approx(peak - 0.5 * 0.2**2)
    assert score.log_density_best == pytest.approx(peak - 0.5 * 0.5**2)
    assert (score.covered_last, score.covered_best) == (1, 1)
    assert score.milliseconds > 0


def test_a_best_that_stays_is_covered_in_part():
    curve = np.array([0.5, 0.7, 0.6, 0.1])
    score = forecasts.score_forecast(Known(4), curve, seen=2, ends=False)
    # Half of the probability lies at 0.7: of the levels from 0 to 0.5, those from 0.05 on.
    assert score.covered_best == pytest.approx(0.9)
    assert score.log_density_best == pytest.approx(math.log(0.5))
    assert math.isnan(score.error_last)
    assert score.error_best == pytest.approx(0)


def test_one_impossible_value_does_not_decide():
    curve = np.array([0.5, 0.6, 0.7, 1e6])
    assert forecasts.score_forecast(Known(4), curve, 2, ends=True).log_density_last == -10


def test_the_last_value_is_repeated():
    score = forecasts.score_last_value(np.array([0.5, 0.6, 0.55, 0.9, 0.8]), 3, ends=True)
    assert score.error_last == pytest.approx(0.25)
    assert score.error_best == pytest.approx(0.3)
    assert math.isnan(score.log_density_last)


def test_means_pass_over_what_is_missing():
    means = forecasts.nan_mean([(1.0, math.nan, math.nan), (3.0, 5.0, math.nan)])
    assert means[:2].tolist() == [2, 5]
    assert math.isnan(means[2])


def test_what_is_forecast_has_not_diverged_yet():
    curves = np.repeat(RISING, 10, axis=0)
    known, asked = forecasts.draw(tasks.Task("made", curves), finished=10, curves=100, part=0.5)
    assert len(known) == 10
    assert np.isfinite(asked[:, :2]).all()
    assert asked[:, :2].min() > -1
    assert 20 <= len(asked) <= 30


def test_the_outcome_of_a_search():
    curves = RISING[:3]
    whole = searches.outcome(curves, [4, 4, 4])
    assert (whole.share, whole.kept, whole.regret) == (1, True, 0)
    stopped = searches.outcome(curves, [4, 1, 2])
    assert stopped.share == pytest.approx(7 / 12)
    assert (stopped.kept, stopped.regret) == (False, pytest.approx(0.05))


def test_a_trial_as_good_as_the_best_will_do():
    curves = np.array([[0.1, 0.9], [0.2, 0.9]])
    assert searches.outcome(curves, [1, 2]).kept
    assert not searches.outcome(curves, [1, 1]).kept


@pytest.mark.parametrize("optuna_too", [False, True])
def test_a_rule_stops_the_trials_it_should(optuna_too):
    rule = "PercentileRule(50, min_trials=1, min_epochs=1)"
    if optuna_too:
        pytest.importorskip("optuna", reason="Optuna is not installed")
        rule = "optuna.MedianPruner(n_startup_trials=1)"
    curves = np.array([[0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9]])
    search = searches.run(rule, curves)
    assert search.lengths == (4, 1, 4)
    assert (search.kept, search.regret) == (True, 0)


@pytest.mark.parametrize(
    "rule",
    [
        "MedianRule(min_trials=1, min_epochs=1)",
        "SuccessiveHalvingRule(2)",
        "Divergence() | Patience(2)",
        "optuna.MedianPruner(n_startup_trials=1)",
        "optuna.PercentilePruner(25.0, n_startup_trials=1)",
        "optuna.SuccessiveHalvingPruner(reduction_factor=2)",
        "optuna.WilcoxonPruner(p_threshold=0.4)",
    ],
)
def test_curves_that_diverge_are_searched_too(rule):
    if "optuna" in rule:
        pytest.importorskip("optuna", reason="Optuna is not installed")
    search = searches.run(rule, RISING[[3, 4, 0, 1, 2]])
    assert len(search.lengths) == 5
    assert 0 < search.share <= 1
    assert math.isfinite(search.regret)


def test_incumbents_are_what_was_seen_before():
    found = searches.incumbents(RISING[:3], [2, 4, 4])
    assert found.tolist() == [-math.inf, 0.5, 0.5]


def test_rules_are_read():
    rule = make("MedianRule(min_epochs=3) | Divergence()")
    assert isinstance(rule, stopping.Stopper)
    assert family_of("MedianRule(min_epochs=3)") == "MedianRule"
    assert family_of("optuna.MedianPruner()") == "optuna.MedianPruner"
    assert family_of("MedianRule() & Patience(3)") == "MedianRule() & Patience(3)"
    assert family_of("auto") == "auto"
    warm = "optuna.PercentilePruner, 5 epochs for all"
    assert family_of(FAMILIES[warm][0]) == warm
    with pytest.raises(Unavailable, match="NoSuchRule"):
        make("NoSuchRule()")
    with pytest.raises(argparse.ArgumentTypeError, match="was not understood"):
        checked("MedianRule(")
    with pytest.raises(argparse.ArgumentTypeError, match="min_epochs=0"):
        checked("MedianRule(min_epochs=0)")


def test_every_setting_of_every_family_can_be_made():
    pytest.importorskip("optuna", reason="Optuna is not installed")
    there = [name for name in FAMILIES if name.startswith("optuna.") or hasattr(stopping, name)]
    assert len(there) >= 8
    for name in there:
        for text in FAMILIES[name]:
            assert make(text) is not None


def test_outcomes_are_kept_and_not_run_again(tmp_path, monkeypatch):
    file = tmp_path / "outcomes.jsonl"
    rule = "MedianRule()"
    wanted = list(outcomes.keys(rule, ["synthetic"], 1, orders=2, trials=12))
    first = Outcomes(file).of(rule, wanted, jobs=1)
    with file.open("a") as lines:
        lines.write('{"key": ["Median')  # killed while it wrote
    monkeypatch.setattr(outcomes, "run", None)
    assert Outcomes(file).of(rule, wanted, jobs=1) == first
    assert len({search.lengths for search in first}) == 2


def test_the_stopped_are_counted_by_what_they_would_have_become():
    # Order 0 shuffles the trials; whatever their order, all but the first stop after one epoch.
    key = Key("any", "synthetic", "synthetic 0", 0, 20)
    curves = outcomes.curves_of(key).curves
    search = searches.outcome(curves, [30] + [1] * 19)
    stopped, beat_then, beat_all = calibration.count(key, search)
    first = tasks.best(curves[0])
    better = sum(tasks.best(curve) > first for curve in curves[1:])
    assert stopped == 19
    assert beat_all <= beat_then <= better
    assert calibration.cells([(19, 0, 0)])[0] == "19"
    assert calibration.cells([(0, 0, 0)]) == ["0", "", ""]


def test_an_interval_is_wilsons():
    low, high = calibration.interval(10, 100)
    assert (low, high) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))
    assert calibration.interval(0, 50)[0] == 0


@pytest.fixture
def taskset_file(tmp_path, monkeypatch):
    losses = np.array([[2.0, 1.0, 0.5], [2.0, math.nan, math.nan], [2.2, 1e34, 2.0]])
    np.savez(
        tmp_path / "taskset_rnn.npz",
        tasks=["rnn_text_classification_family_seed8"],
        train_loss=losses[None].astype(np.float32),
        valid_loss=2 * losses[None].astype(np.float32),
    )
    monkeypatch.setenv("KT_PLUS_DATA", str(tmp_path))


def test_losses_are_mapped_by_the_tasks_initial_loss(taskset_file):
    train, valid = tasks.read("taskset")
    assert train.name == "seed8 train_loss"
    assert train.horizon == 2
    assert train.curves[0].tolist() == [0.5, 0.75]
    assert np.isnan(train.curves[1]).all()
    assert train.curves[2, 0] == pytest.approx(-5e33, rel=1e-5)
    assert valid.curves[0].tolist() == [0.5, 0.75]
    (whole, _) = tasks.taskset(untrained=True)
    assert whole.curves[2, 0] == pytest.approx(-0.1)


def test_without_the_data_the_scripts_say_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("KT_PLUS_DATA", str(tmp_path))
    with pytest.raises(DataMissing, match=r"taskset_rnn\.npz.*KT_PLUS_DATA.*--sets synthetic"):
        tasks.read("taskset")
    for script in (forecasts, decisions):
        with pytest.raises(SystemExit, match=r"taskset_rnn\.npz"):
            script.main(["--sets", "taskset"])


@pytest.mark.full
def test_forecasts_prints_one_table(capsys):
    settings = "--sets synthetic --tasks 2 --curves 3 --draws 2000 --parts 0.2 0.4 --each"
    models = ["last value repeated", "LC-PFN's prior"]
    forecasts.main([*settings.split(), "--models", *models])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| s")]
    assert len(lines) == 6
    overall = [cell.strip() for cell in lines[3].split("|")]
    assert overall[2:4] == ["LC-PFN's prior", "20 40"]
    assert 0 < float(overall[4]) < 0.2
    assert 0 <= float(overall[8]) <= 1


@pytest.mark.full
@pytest.mark.slow  # imports NumPy and Optuna in two more processes
def test_decisions_prints_one_table_and_draws(capsys, tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
    picture = tmp_path / "trade_off.png"
    settings = f"--sets synthetic --tasks 1 --orders 2 --trials 15 --jobs 2 --picture {picture}"
    rules = ["MedianRule()", "optuna.MedianPruner()", "NoSuchRule()"]
    decisions.main([*settings.split(), "--rules", *rules])
    output = capsys.readouterr().out
    table = cells(output)
    for rule in rules[:2]:
        share, kept, regret = map(float, table[rule])
        assert 0.1 < share < 1
        assert 0 <= kept <= 1
        assert regret >= 0
    assert "Left out: NoSuchRule()" in output
    assert picture.stat().st_size > 10_000


@pytest.mark.full
def test_calibration_prints_one_table(capsys):
    settings = "--sets synthetic --tasks 1 --orders 1 --trials 20 --thresholds 50 90"
    calibration.main([*settings.split(), "--rules", "PercentileRule({t}, 3, 2)"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "PercentileRule" in line]
    stopped = [int(line.split("|")[4]) for line in lines]
    assert 0 < stopped[0] < stopped[1] <= 19


@pytest.mark.full
def test_cost_prints_one_table(capsys):
    settings = "--horizons 20 --finished 10 --decisions 30 --draws 2000 --rules MedianRule()"
    cost.main([*settings.split(), "--models", "LC-PFN's prior"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 20")]
    assert len(lines) == 2
    median, high, _ = map(float, lines[1].split("|")[3:6])
    assert 0 < median <= high


def test_each_trial_that_is_timed_joins_the_finished_ones():
    seen = [
        (trial.trial_id, len(trial.curve), len(history.completed), len(known))
        for trial, history, known in cost.decisions(finished=5, horizon=20, count=20)
    ]
    assert seen[0] == ("5", 2, 5, 5)
    assert seen[-1] == ("6", 19, 6, 6)


@pytest.mark.full
@pytest.mark.slow  # trains in a second process
def test_digits_trains_and_reads_what_is_there(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    options = argparse.Namespace(output=tmp_path, trials=2, epochs=2)
    result = digits.in_a_process(digits.WITHOUT, 0, options)
    assert result.epochs == 4
    assert 0.05 < result.accuracy <= 1
    assert result.stopped == 0
    monkeypatch.setattr(digits.subprocess, "run", None)
    assert digits.in_a_process(digits.WITHOUT, 0, options) == result
