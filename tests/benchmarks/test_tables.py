"""The tables, on made files of the recorded ones' format."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.searches import OptunaSearch
from benchmarks.tables import (
    TABLES,
    DataMissing,
    Interaction,
    LCBench,
    NASBenchMacro,
    Synthetic,
    TaskSet,
    Values,
    interaction,
    lcbench,
    taskset,
)
from benchmarks.tables.base import draw
from benchmarks.tables.interaction import OPTIONS
from benchmarks.tables.nas_bench_macro import OPERATIONS


@pytest.fixture(scope="module")
def macro(tmp_path_factory) -> NASBenchMacro:
    archs = ["".join(genes) for genes in product("012", repeat=8)]
    number = np.arange(len(archs), dtype=np.float32)
    path = tmp_path_factory.mktemp("macro") / "macro.npz"
    runs = np.stack([number - 1, number, number + 1], axis=1)
    np.savez(path, arch=archs, test_acc=runs, flops=1 + number.astype(np.int64))
    return NASBenchMacro(path)


def chain(digits: str) -> Values:
    return {f"position_{i}": OPERATIONS[int(digit)] for i, digit in enumerate(digits)}


def test_macro_looks_up_the_architecture(macro):
    assert macro.true(chain("00000000")) == 0
    assert macro.true(chain("00000012")) == 5
    assert macro.true(chain("20000000")) == 2 * 3**7
    assert macro.regret(chain("22222222")) == 0
    assert macro.regret(chain("22222221")) == 1


def test_macro_shows_one_of_three_runs(macro):
    rng = np.random.default_rng(0)
    seen = [macro.evaluate(chain("00000012"), rng) for _ in range(300)]
    assert set(seen) == {4, 5, 6}
    assert min(seen.count(score) for score in (4, 5, 6)) > 70


def test_macro_lasts_in_proportion_to_flops(macro):
    assert macro.duration(chain("00000002")) == pytest.approx(3 * macro.duration(chain("00000000")))
    assert macro.duration(chain("11111111")) == pytest.approx(1)  # the middle one


def test_macro_knows_what_noise_leaves(macro):
    # One of the best two or three is returned: 2 apart at most, as their runs differ by 2.
    assert 0 < macro.exhausted_regret() < 2


def test_macro_space_holds_every_architecture(macro):
    axes = macro.hyperparameters().space
    assert len(axes) == 8
    assert all(tuple(axis.values) == OPERATIONS and not axis.ordered for axis in axes)


def accuracy(values: Values) -> float:
    """The made landscape of `lcbench_file`: momentum decides, and 0.5 is best."""
    return 90 - 60 * abs(float(values["momentum"]) - 0.5)


@pytest.fixture(scope="module")
def lcbench_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lcbench") / "lcbench.npz"
    configs = [draw(lcbench._space(), np.random.default_rng(seed)) for seed in range(200)]
    final = np.array([accuracy(values) for values in configs])
    curves = np.stack([np.outer(final, [0.5, 0.8, 1.0]), np.outer(100 - final, [0.5, 0.8, 1.0])])
    np.savez(
        path,
        instances=["a", "b"],
        hp_names=list(configs[0]),
        configs=np.array([list(values.values()) for values in configs], dtype=np.float32),
        val_accuracy=curves.astype(np.float16),
    )
    return path


def recorded(path: Path, row: int) -> dict:
    with np.load(path) as data:
        names = [str(name) for name in data["hp_names"]]
        return dict(zip(names, data["configs"][row].tolist(), strict=True))


def test_lcbench_returns_what_was_recorded(lcbench_file):
    table = LCBench(0, lcbench_file)
    with np.load(lcbench_file) as data:
        final = data["val_accuracy"][0, :, -1].astype(float)
    for row in range(0, 200, 20):
        assert table.true(recorded(lcbench_file, row)) == pytest.approx(final[row], abs=0.05)
    best = recorded(lcbench_file, int(final.argmax()))
    assert table.regret(best) == pytest.approx(0, abs=0.5)
    assert table.best == final.max()


def test_lcbench_interpolates_between_and_never_beyond(lcbench_file):
    table = LCBench(0, lcbench_file)
    others = [
        draw(table.hyperparameters(), np.random.default_rng(seed)) for seed in range(1_000, 1_200)
    ]
    assert all(table.regret(values) >= 0 for values in others)
    errors = [table.true(values) - accuracy(values) for values in others]
    spread = np.std([accuracy(values) for values in others])
    assert np.std(errors) < spread / 2


def test_lcbench_takes_a_part_of_a_training(lcbench_file):
    table = LCBench(0, lcbench_file)
    rng = np.random.default_rng(0)
    full = recorded(lcbench_file, 3)
    part = full | {"tuner/epochs": 2, "tuner/initial_epoch": 1}
    assert table.epochs == 3
    assert (table.cost(full), table.duration(full)) == (1, 1)
    assert table.cost(part) == table.duration(part) == pytest.approx(1 / 3)
    assert table.evaluate(part, rng) == pytest.approx(0.8 * table.evaluate(full, rng), rel=0.01)
    assert table.true(part) == table.true(full)


def test_lcbench_gives_each_run_its_task(lcbench_file):
    names = [LCBench(seed, lcbench_file).name for seed in range(4)]
    assert names == ["LCBench a", "LCBench b", "LCBench a", "LCBench b"]


def loss(values: Values) -> float:
    """The made landscape of `taskset_file`: large learning rates diverge."""
    exponent = np.log10(float(values["learning_rate"]))
    return 0.2 + 0.1 * abs(exponent + 3) if exponent < -1 else float("nan")


@pytest.fixture(scope="module")
def taskset_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("taskset") / "taskset.npz"
    configs = [draw(taskset._space(), np.random.default_rng(seed)) for seed in range(200)]
    losses = np.array([loss(values) for values in configs])
    losses[np.flatnonzero(np.isnan(losses))[::2]] = 1e34
    rows = np.array([list(values.values()) for values in configs])
    rows[:, 1:3] = 1 - rows[:, 1:3]
    names = [name.removeprefix("one_minus_") for name in configs[0]]
    curves = np.stack([np.outer(losses, [2.0, 1.0]), np.outer(1 + losses, [2.0, 1.0])])
    np.savez(path, tasks=["a", "b"], hp_names=names, configs=rows, valid_loss=curves)
    return path


def recorded_optimizers(path: Path) -> list[dict]:
    with np.load(path) as data:
        names = [str(name) for name in data["hp_names"]]
        rows = [dict(zip(names, row, strict=True)) for row in data["configs"].tolist()]
    return [
        row | {f"one_minus_{beta}": 1 - row[beta] for beta in ("beta1", "beta2")} for row in rows
    ]


def test_taskset_returns_what_was_recorded(taskset_file):
    table, rng = TaskSet(0, taskset_file), np.random.default_rng(0)
    for values in recorded_optimizers(taskset_file)[::5]:
        expected = loss(values)
        found = -table.evaluate(values, rng)
        assert found == pytest.approx(taskset.DIVERGED if np.isnan(expected) else expected)
    assert min(map(table.regret, recorded_optimizers(taskset_file))) == pytest.approx(0, abs=1e-9)
    assert np.median([*map(table.regret, recorded_optimizers(taskset_file))]) == pytest.approx(
        table.median_regret(), abs=2
    )


def test_taskset_interpolates_between_and_diverges_where_recorded_runs_did(taskset_file):
    table = TaskSet(1, taskset_file)
    space, rng = table.hyperparameters(), np.random.default_rng(1)
    drawn = [draw(space, rng) for _ in range(200)]
    found = np.array([-table.true(values) for values in drawn])
    expected = np.array([1 + loss(values) for values in drawn])
    learned = np.isfinite(expected)
    assert np.mean((found == taskset.DIVERGED) == ~learned) > 0.9
    both = learned & (found < taskset.DIVERGED)
    assert np.abs(found - expected)[both].mean() < 0.2 * expected[both].std()
    assert min(map(table.regret, drawn)) >= 0
    assert TaskSet(3, taskset_file).name == table.name == "TaskSet b"


@pytest.mark.parametrize("name", ["synthetic", "interaction"])
def test_half_of_the_random_configurations_are_better_than_the_median(name):
    table, rng = TABLES[name](5), np.random.default_rng(1)
    space, median = table.hyperparameters(), table.median_regret()
    better = [table.regret(draw(space, rng)) < median for _ in range(1_000)]
    assert np.mean(better) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_synthetic_is_best_at_its_target_and_nowhere_better(seed):
    table = Synthetic(seed)
    assert table.regret(table.target()) == pytest.approx(0)
    regrets = [
        table.regret(draw(table.hyperparameters(), np.random.default_rng(n))) for n in range(300)
    ]
    assert min(regrets) > 0
    assert np.std(regrets) > 1


def test_synthetic_changes_with_its_seed():
    values = Synthetic(0).target()
    assert Synthetic(1).regret(values) > 1
    assert Synthetic(0).regret(values) == pytest.approx(0)


def test_synthetic_noise_is_fair():
    table = Synthetic(3)
    rng = np.random.default_rng(0)
    errors = [table.evaluate(table.target(), rng) - table.best for _ in range(2_000)]
    assert np.mean(errors) == pytest.approx(0, abs=0.03)
    assert np.std(errors) == pytest.approx(0.3, rel=0.1)


def assert_legal(axis, value) -> None:
    if not hasattr(axis, "min_value"):
        assert value in axis.values
        return
    assert isinstance(value, type(axis.min_value))
    assert axis.min_value <= value <= axis.max_value
    if axis.sampling == "linear" and axis.step:
        steps = (value - axis.min_value) / axis.step
        assert steps == pytest.approx(round(steps))


def test_interaction_knows_its_best():
    table = Interaction(3)
    names = [axis.name for axis in table.hyperparameters().space]
    best = max(
        table.true(dict(zip(names, genes, strict=True))) for genes in product(OPTIONS, repeat=8)
    )
    assert table.best == pytest.approx(best)


def test_interaction_makes_no_choice_good_by_itself():
    table = Interaction(3)
    names = [axis.name for axis in table.hyperparameters().space]
    rng, means = np.random.default_rng(0), {}
    drawn = [dict(zip(names, rng.choice(OPTIONS, 8), strict=True)) for _ in range(20_000)]
    scores = np.array([table.true(values) for values in drawn])
    for name, option in product(names, OPTIONS):
        means[name, option] = scores[[values[name] == option for values in drawn]].mean()
    assert np.abs(list(means.values())).max() < 0.15
    assert scores.std() > 1.5
    assert Interaction(4).best != table.best


def test_interaction_knows_what_noise_leaves():
    table, rng = Interaction(3), np.random.default_rng(1)
    names = [axis.name for axis in table.hyperparameters().space]
    scores = np.array(
        [table.true(dict(zip(names, genes, strict=True))) for genes in product(OPTIONS, repeat=8)]
    )
    noise = (rng.normal(scale=interaction.NOISE, size=len(scores)) for _ in range(300))
    returned = np.array([scores[(scores + drawn).argmax()] for drawn in noise])
    expected = table.best - returned.mean()
    assert table.exhausted_regret() == pytest.approx(expected, abs=0.03)
    assert expected > 0.05


def test_optuna_sees_the_same_conditions_as_keras_tuner():
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    space = Synthetic(0).hyperparameters()
    search = OptunaSearch(optuna.samplers.RandomSampler(seed=0), space)
    for _ in range(100):
        values = search.ask("worker0").values
        active = {a.name for a in space.space if all(c.is_active(values) for c in a.conditions)}
        assert set(values) == active
        for axis in space.space:
            if axis.name in values:
                assert_legal(axis, values[axis.name])


def test_missing_data_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("KT_PLUS_DATA", str(tmp_path))
    with pytest.raises(DataMissing, match=r"nas_bench_macro\.npz.*KT_PLUS_DATA"):
        TABLES["nas-bench-macro"](0)
