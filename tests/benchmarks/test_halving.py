"""The benchmark of successive halving, on a made file of the recorded one's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import halving
from benchmarks.searches import Suggestion
from tests.benchmarks.test_scripts import cells
from tests.benchmarks.test_tables import draw, lcbench

EPOCHS = 9


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves that rise to a value that momentum decides."""
    configs = [draw(lcbench._space(), np.random.default_rng(seed)) for seed in range(60)]
    final = np.array([90 - 60 * abs(values["momentum"] - 0.5) for values in configs])
    curves = np.outer(final, 1 - 0.5 ** np.arange(1, EPOCHS + 1))
    np.savez(
        tmp_path / "lcbench_surrogate.npz",
        instances=["a"],
        hp_names=list(configs[0]),
        configs=np.array([list(values.values()) for values in configs], dtype=np.float32),
        val_accuracy=curves[None].astype(np.float16),
    )
    monkeypatch.setenv("KT_PLUS_DATA", str(tmp_path))


@pytest.mark.full
def test_every_method_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    halving.main(["--seeds", "2", "--budget", "5", "--workers", "3"])
    table = cells(capsys.readouterr().out)
    assert table.keys() - {"method"} == halving.METHODS.keys()
    assert table["method"][3:] == ["regret after 260 epochs", "busy"]
    for name in halving.METHODS:
        assert table[name][0].endswith("of 2)")
        assert int(table[name][4].rstrip("%")) > 50


@pytest.mark.parametrize("name", ["ASHA", "Optuna TPE, Hyperband", "kt.Hyperband"])
def test_only_what_was_trained_in_full_is_in_hand(name: str) -> None:
    run, table = halving.measure(name, 0, 6, 1)
    spent, regrets = halving.in_hand(name, run, table)
    # A trial of the first rung begins at the first epoch, and says nothing of it.
    parts = [
        trial.values["tuner/epochs"] - trial.values.get("tuner/initial_epoch", 0)
        for trial in run.completed
    ]
    assert spent == pytest.approx(np.cumsum(parts))
    assert (np.diff(regrets[np.isfinite(regrets)]) <= 0).all()
    first = next(i for i, t in enumerate(run.completed) if t.values["tuner/epochs"] == EPOCHS)
    known = np.flatnonzero(np.isfinite(regrets))[0]
    assert known == (0 if name == "kt.Hyperband" else first)


def test_epochs_to_a_regret() -> None:
    spent, regrets = np.array([2.0, 4.0, 8.0]), np.array([np.inf, 10.0, 3.0])
    assert halving.epochs_to(10, spent, regrets) == 4
    assert halving.epochs_to(5, spent, regrets) == 8
    assert halving.epochs_to(1, spent, regrets) == np.inf


def test_a_pruned_study_goes_on_epoch_by_epoch_and_prunes() -> None:
    import optuna

    pruner = optuna.pruners.PercentilePruner(50.0, n_startup_trials=1, n_warmup_steps=0)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = halving.PrunedStudy(sampler, pruner, lcbench._space(), 3)
    seen = []
    for score in (0.5, 0.6, 0.7, 0.1, 0.9):
        suggestion = study.ask("worker")
        assert isinstance(suggestion, Suggestion)
        seen.append((suggestion.values["tuner/epochs"], len(study.study.trials)))
        study.tell(suggestion, score)
    assert seen == [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]
    states = [trial.state.name for trial in study.study.trials]
    assert states == ["COMPLETE", "PRUNED", "RUNNING"]
