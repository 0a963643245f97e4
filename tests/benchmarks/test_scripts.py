"""The scripts themselves, at a size of seconds."""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import ClassVar

import pytest

from benchmarks import (
    architectures,
    bayesian,
    inheritance,
    overhead,
    proposals,
    results,
    scaling,
    training,
)
from benchmarks.methods import Unavailable, parse, spread
from benchmarks.simulator import Completed, Run
from benchmarks.tables import Synthetic
from kt_plus.search_strategies.exhaustive import RandomSampling
from tests.integration.test_kill import run


def cells(output: str) -> dict[str, list[str]]:
    """The printed table: first cell -> the others."""
    lines = [line.strip("| ").split("|") for line in output.splitlines() if line.startswith("| ")]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in lines}


def test_overhead_times_each_trial(tmp_path):
    cost = overhead.measure(parse("kt.RandomSearch"), tmp_path, 20)
    assert len(cost.seconds) == 20
    assert min(cost.seconds) > 0
    assert cost.reload_seconds > 0


@pytest.mark.full
def test_results_are_measured(capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("optuna")
    pytest.importorskip("sklearn")
    results.main(["--trials", "30"])
    *_, head, _, line = capsys.readouterr().out.splitlines()
    assert "both (s)" in head
    assert line.startswith("| 30 ")


@pytest.mark.full
def test_bayesian_compares_with_keras_tuners(capsys):
    pytest.importorskip("optuna", reason="the extra optuna")
    pytest.importorskip("sklearn", reason="the extra bayesian")
    bayesian.main(["--trials", "6", "--timed", "1"])
    table = cells(capsys.readouterr().out)
    ours, theirs = (
        table[name]
        for name in ("kt_plus.OptunaSearch", "kt.BayesianOptimization(num_initial_points=6)")
    )
    assert float(ours[0]) > 0 < float(theirs[0])
    assert float(theirs[1]) == 1.0


def test_overhead_compares_with_the_first():
    usual, spiky = [0.001] * 200, [0.002] * 199 + [1.0]
    costs = [overhead.Cost("first", usual, 2.0), overhead.Cost("second", spiky, 0.5)]
    head, *lines = overhead.table(costs)
    assert head == ["measured", "first", "second", "/ first"]
    table = {name: cells for name, *cells in lines}
    assert table["trial 100, median (ms)"] == ["1.00", "2.00", "2.000"]
    assert table["trial 100, mean (ms)"] == ["1.00", "2.00", "2.000"]
    assert table["all 200 trials (s)"] == ["0.20", "1.40", "6.990"]
    assert table["reload of 200 (s)"] == ["2.00", "0.50", "0.250"]
    assert costs[1].around(200) == spiky[150:]


def test_overhead_notices_a_lost_trial(tmp_path):
    method = parse("kt.RandomSearch")
    overhead.measure(method, tmp_path, 5)
    (tmp_path / "project" / "trial_3" / "trial.json").unlink()
    with pytest.raises(RuntimeError, match="reloaded 4 completed trials"):
        overhead.time_reload(method, tmp_path, 5)


@pytest.mark.full
@pytest.mark.slow  # imports Keras Tuner in a second process
def test_overhead_prints_a_table_and_leaves_nothing_behind(capsys, tmp_path):
    methods = ["kt.RandomSearch", "kt.NoSuchSearch"]
    overhead.main(["--trials", "20", "--directory", str(tmp_path), "--methods", *methods])
    output = capsys.readouterr().out
    assert float(cells(output)["all 20 trials (s)"][0]) > 0
    assert "Left out: kt.NoSuchSearch" in output
    assert not list(tmp_path.iterdir())


def test_proposals_are_timed_as_the_search_grows(capsys):
    methods = ["optuna.TPE", "kt_plus.ReinforcementLearning", "kt.RandomSearch"]
    settings = "--trials 12 5 --proposals 2 --dimensions 34 --methods"
    proposals.main([*settings.split(), *methods])
    output = capsys.readouterr().out
    table = cells(output.split("34 hyperparameters")[1])
    assert table["method"][:2] == ["5 trials (ms)", "12 trials (ms)"]
    assert all(float(cell) > 0 for name in methods[:2] for cell in table[name])
    assert "Left out: kt.RandomSearch" in output


def test_timed_proposals_are_those_of_the_method():
    class Counting(RandomSampling):
        seen: ClassVar[list[int]] = []

        def propose(self, space, history, rng):
            self.seen.append(len(history))
            return super().propose(space, history, rng)

    method = parse("kt_plus.RandomSearch")

    def start(*arguments):
        search = method.start(*arguments)
        search.oracle.strategy = Counting()
        return search

    counted = argparse.Namespace(start=start)
    costs = dict(proposals.measure(counted, Synthetic(0), [4, 10], 2))
    assert [len(cost.later) for cost in costs.values()] == [2, 2]
    assert Counting.seen == [4, 5, 6, 10, 11, 12]


def test_the_larger_space_has_as_many_hyperparameters_as_it_says():
    for dimensions, layers in proposals.DIMENSIONS.items():
        assert len(Synthetic(0, layers).hyperparameters().space) == dimensions


def test_methods_take_settings():
    method = parse("kt_plus.EvolutionarySearch(population_size=20, crossover=0.5)")
    assert (method.package, method.name) == ("kt_plus", "EvolutionarySearch")
    assert method.settings == {"population_size": 20, "crossover": 0.5}
    assert parse("kt.RandomSearch").settings == {}


@pytest.mark.parametrize("text", ["RandomSearch", "sklearn.Random", "kt.RandomSearch(3)", "kt.a.b"])
def test_methods_that_cannot_be_read_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="was not understood"):
        parse(text)


def test_settings_reach_the_oracle(tmp_path):
    search = parse("kt.RandomSearch(max_retries_per_trial=2)").start(Synthetic(0), 7, 1, tmp_path)
    assert search.oracle.max_retries_per_trial == 2
    assert search.oracle.max_trials == 7
    assert search.oracle.seed == spread(1)


def test_hyperband_is_left_out_where_there_are_no_curves(tmp_path):
    with pytest.raises(Unavailable, match="final results only"):
        parse("kt.Hyperband").start(Synthetic(0), 7, 1, tmp_path)


def test_seeds_are_far_apart():
    seeds = sorted(spread(number) for number in range(200))
    assert min(b - a for a, b in pairwise(seeds)) > 5_000
    assert all(0 < seed < 2**31 for seed in seeds)


@pytest.mark.full
def test_scaling_prints_one_table(capsys):
    settings = "--table synthetic --seeds 2 --trials 20 --workers 1 4 --regret 6"
    scaling.main([*settings.split(), "--methods", "kt_plus.RandomSearch"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "RandomSearch" in line]
    one, four = ([cell.strip() for cell in line.strip("| ").split("|")] for line in lines)
    assert one[1:3] == ["1", "100%"]
    assert four[1:3] == ["4", "100%"]
    assert float(one[3]) > float(four[3]) > 0
    assert float(four[4]) > 1


def test_the_time_to_a_regret_is_that_of_what_would_be_returned():
    def trial(score, regret, finished):
        return Completed({}, score, regret, 1.0, 0.0, finished, "worker0")

    # The second one is good enough, but not the best observed by then.
    run = Run((trial(3.0, 2.0, 1.0), trial(2.0, 0.5, 2.0), trial(4.0, 0.9, 3.0)), 1, 0.0)
    assert scaling.time_to(run, 1.0) == 3.0
    assert scaling.time_to(run, 2.0) == 1.0
    assert scaling.time_to(run, 0.1) == float("inf")


@pytest.mark.full
@pytest.mark.slow  # imports Keras Tuner in a process of its own
def test_a_chief_serves():
    methods = "kt.RandomSearch kt_plus.RandomSearch kt.NoSuchSearch"
    settings = f"--behind 5 20 --trials 16 --workers 4 --methods {methods}"
    table = run("benchmarks.chief", *settings.split())
    lines = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("| k")]
    assert [[cell.strip() for cell in cells[:2]] for cells in lines] == [
        [method, behind] for method in methods.split()[:2] for behind in ("5", "20")
    ]
    assert all(float(cells[2]) > 0 for cells in lines)
    assert "Left out: kt.NoSuchSearch" in table


@pytest.mark.full
@pytest.mark.slow
def test_architectures_prints_a_line_for_each_network(capsys):
    pytest.importorskip("sklearn")
    settings = "--space chain --trials 1 --epochs 1 --search evolution"
    architectures.main(settings.split())
    table = cells(capsys.readouterr().out)
    assert set(table) == {"space", "by hand", "chain"}
    for line in ("by hand", "chain"):
        accuracy = float(table[line][2])
        assert 0.05 < accuracy <= 1.0  # judged on 600 digits after one epoch
    assert table["chain"][5] == "1"


def test_how_many_epochs_inheritance_needs():
    steps = [(1, 0.5), (4, 0.8), (9, 0.9)]
    assert inheritance.reached(steps, 0.5) == 1
    assert inheritance.reached(steps, 0.6) == 4
    assert inheritance.reached(steps, 0.91) is None


@pytest.mark.full
@pytest.mark.slow
def test_what_a_search_adds_to_the_training(monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(training, "EPOCHS", 1)
    monkeypatch.setattr(training, "TRIALS", 1)
    for method in (training.ITSELF, *training.SEARCHES):
        training.main(["--one", method, "small"])
    taken = [float(line) for line in capsys.readouterr().out.split()]
    assert len(taken) == 3
    assert all(seconds > 0 for seconds in taken)
