"""Normalized regret: runs, their file, and the tables of means and of paired differences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import runs, strategies
from benchmarks.methods import Unavailable, parse
from benchmarks.runs import Outcome, Results, Task, complete, outcome
from benchmarks.strategies import Comparison, Figure
from benchmarks.tables import Synthetic
from tests.benchmarks.test_scripts import cells

RANDOM = Task("kt.RandomSearch", "synthetic", 3, 8)


def test_an_outcome_is_the_regret_of_what_the_search_would_return():
    found = outcome(RANDOM)
    run = runs.run(parse(RANDOM.method), "synthetic", 3, 8, workers=1)
    median = Synthetic(3).median_regret()
    for budget in range(1, 9):
        expected = np.clip(run.regret_after(budget) / median, 0, 1)
        assert found.after(budget) == pytest.approx(expected, abs=1e-6)
    assert found.after(0) == 1.0
    assert found.trials == 8
    assert found.seconds > 0


def test_what_noise_alone_leaves_is_subtracted(monkeypatch):
    task = Task("kt.RandomSearch", "interaction", 0, 3)
    before = outcome(task).after(3)
    median, floor = runs._scale("interaction", 0)
    assert 0 < floor < 0.1
    monkeypatch.setattr(runs, "_scale", lambda family, seed: (median, 0.0))
    assert outcome(task).after(3) - before == pytest.approx(floor, abs=1e-5)


def test_a_run_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "MEMORY", tmp_path)
    outcome(RANDOM)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_benchmark_resumes(monkeypatch, tmp_path):
    path = tmp_path / "results.jsonl"
    wanted = [Task("kt.RandomSearch", "synthetic", seed, 3) for seed in range(3)]
    complete(wanted[:2], Results(path))
    with path.open("a") as file:
        file.write('\n{"key": "cut sho')  # killed while it wrote
    asked = []
    monkeypatch.setattr(runs, "outcome", lambda task: asked.append(task) or outcome(task))
    outcomes, _ = complete(wanted, Results(path))
    assert asked == wanted[2:]
    assert {task: Results(path).get(task) for task in wanted} == outcomes


def test_a_run_is_made_again_after_a_change_of_its_code(monkeypatch, tmp_path):
    results = Results(tmp_path / "results.jsonl")
    complete([RANDOM], results)
    assert results.get(RANDOM) is not None
    monkeypatch.setattr(runs, "fingerprint", lambda method: "changed")
    assert Results(results.path).get(RANDOM) is None


def test_only_our_methods_depend_on_our_code(monkeypatch, tmp_path):
    def fingerprints(own: str) -> list[str]:
        monkeypatch.setattr(runs, "_OWN", (own,))
        runs.fingerprint.cache_clear()
        return [runs.fingerprint(name) for name in ("kt.RandomSearch", "kt_plus.RandomSearch")]

    before, after = fingerprints("oracles.py"), fingerprints("tuners.py")
    runs.fingerprint.cache_clear()
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.full  # imports Keras Tuner in two more processes
def test_processes_give_the_same_runs(tmp_path):
    wanted = [Task("kt.RandomSearch", "synthetic", seed, 3) for seed in range(4)]
    alone, _ = complete(wanted, Results(tmp_path / "one"))
    together, _ = complete(wanted, Results(tmp_path / "two"), jobs=2)
    assert {t: o.steps for t, o in together.items()} == {t: o.steps for t, o in alone.items()}


def of(*regrets: float) -> Outcome:
    return Outcome([(n + 1, regret) for n, regret in enumerate(regrets)], len(regrets), 0.1)


@pytest.fixture
def comparison() -> Comparison:
    table = {
        ("ours", "a"): {0: of(0.5, 0.1), 1: of(0.5, 0.3), 2: of(1.0, 1.0)},
        ("ours", "b"): {0: of(0.4, 0.4), 1: of(0.6, 0.6)},
        ("theirs", "a"): {0: of(0.7, 0.2), 1: of(0.5, 0.5)},
        ("theirs", "b"): {0: of(0.6, 0.5), 1: of(0.8, 0.7)},
    }
    outcomes = {
        Task(method, family, seed, 2): found
        for (method, family), by_seed in table.items()
        for seed, found in by_seed.items()
    }
    return Comparison(outcomes, ["a", "b"], [1, 2, 5])


def test_families_weigh_the_same_in_the_mean(comparison):
    figures = comparison.regrets()
    assert figures["ours", "a", 1].mean == pytest.approx(2 / 3)
    assert figures["ours", "b", 1].mean == pytest.approx(0.5)
    mean = figures["ours", "mean", 1]
    assert mean.mean == pytest.approx((2 / 3 + 0.5) / 2)
    errors = [figures["ours", family, 1].error for family in "ab"]
    assert mean.error == pytest.approx(np.hypot(*errors) / 2)
    assert ("ours", "a", 5) not in figures  # the runs ended after 2 trials


def test_differences_are_those_of_the_same_seeds(comparison):
    figures = comparison.differences("theirs")
    difference = figures["ours", "a", 2]
    assert difference == Figure(pytest.approx(-0.15), pytest.approx(0.05), 2)
    assert figures["ours", "b", 1].error == pytest.approx(0)
    assert comparison.ratio("ours", "theirs", 2) == pytest.approx((0.2 + 0.5) / (0.35 + 0.6))


def test_differences_beyond_two_errors_are_marked(comparison):
    tables = dict(strategies.pair_tables(comparison, "theirs"))
    assert tables["a"][1] == ["ours", "2", "-0.100 ± 0.100", "-0.150 ± 0.050 *", ""]
    assert tables["b"][1][2] == "-0.200 ± 0.000 *"
    assert tables["mean"][1][3].endswith(", x 0.74")


def test_slow_methods_make_fewer_and_shorter_runs():
    methods = ["kt.RandomSearch", "kt.BayesianOptimization"]
    options = strategies._options(["--family", "synthetic", "--methods", *methods])
    wanted = strategies.tasks(options)
    trials = {task.method: task.trials for task in wanted}
    assert trials == {"kt.RandomSearch": 200, "kt.BayesianOptimization": 30}
    runs_of = [task.method for task in wanted]
    assert [runs_of.count(method) for method in methods] == [16, 8]


def test_strategies_prints_tables_and_writes_figures(capsys, tmp_path):
    figures = tmp_path / "figures.json"
    settings = f"""
        --family synthetic interaction --seeds 2 --checkpoints 2 6 --workers 3
        --methods kt.RandomSearch optuna.Random kt.NoSuchSearch --pairs kt.RandomSearch
        --json {figures} --results {tmp_path / "results.jsonl"}
    """
    strategies.main(settings.split())
    output = capsys.readouterr().out
    regrets, differences = output.split("Paired difference from kt.RandomSearch, mean")
    first = cells(regrets.split("Normalized regret")[1])
    assert first["method"] == ["runs", "after 2", "after 6", "ms a trial"]
    early, late = (float(cell.split(" ± ")[0]) for cell in first["kt.RandomSearch"][1:3])
    assert 0 < late <= early <= 1
    assert set(cells(differences)) >= {"method", "optuna.Random"}
    assert "Left out: kt.NoSuchSearch" in output
    records = json.loads(figures.read_text())
    assert {record["family"] for record in records} == {"mean", "synthetic", "interaction"}
    assert {record["minus"] for record in records} == {None, "kt.RandomSearch"}


def test_the_prototype_is_left_out_where_it_is_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("KT_PLUS_PROTOTYPES", str(tmp_path / "nowhere"))
    with pytest.raises(Unavailable, match="KT_PLUS_PROTOTYPES"):
        parse("prototype").start(Synthetic(0), 5, 0, tmp_path)


def test_the_prototype_searches_with_its_settings(monkeypatch, tmp_path):
    (tmp_path / "screened_evolution.py").write_text(
        "from dataclasses import dataclass\n"
        "from kt_plus.search_strategies.exhaustive import RandomSampling\n"
        "@dataclass(frozen=True)\n"
        "class Screened(RandomSampling):\n"
        "    init: int\n    design: str\n    yt: str\n    cap: int\n"
    )
    monkeypatch.setenv("KT_PLUS_PROTOTYPES", str(tmp_path))
    search = parse("prototype(cap=50)").start(Synthetic(0), 5, 0, Path(tmp_path, "project"))
    assert (search.oracle.strategy.cap, search.oracle.strategy.yt) == (50, "sq")
    assert set(search.ask("worker0").values) >= {"optimizer", "batch_size"}


def test_a_setting_that_a_search_lacks_leaves_it_out(tmp_path):
    with pytest.raises(Unavailable, match="no_such_setting"):
        parse("kt_plus.RandomSearch(no_such_setting=1)").start(Synthetic(0), 5, 0, tmp_path)
