"""`OptunaSearch` in whole searches: stopping, failures, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kt_plus
from tests.invented_search import Foretelling, tuner

pytest.importorskip("optuna", reason="the extra optuna")


def searched(directory: Path, max_trials: int, **settings: Any) -> Any:
    search = tuner(
        directory,
        kt_plus.OptunaSearch,
        max_trials=max_trials,
        stopping=Foretelling(),
        fails=("03",),
        max_consecutive_failed_trials=5,
        **settings,
    )
    search.search(verbose=0)
    return search


def proposed(search: Any) -> list[dict[str, Any]]:
    oracle = search.oracle
    return [oracle.trials[i].hyperparameters.values for i in oracle.start_order]


@pytest.mark.parametrize("direction", ["max", "min"])
def test_it_goes_on_as_the_uninterrupted_search(tmp_path: Path, direction: str) -> None:
    whole = searched(tmp_path / "whole", 24, direction=direction)
    for trials in (13, 24):
        parts = searched(tmp_path / "parts", trials, direction=direction)
    assert proposed(parts) == proposed(whole)
    frame = kt_plus.results.to_dataframe(parts)
    assert frame["stop_reason"].notna().sum() > 3
    assert list(frame.index[frame["status"] == "failed"]) == ["03"]
    best = parts.get_best_hyperparameters()[0].values
    assert best["limit"] > 0.8


def test_it_has_the_constructor_of_its_kin(tmp_path: Path) -> None:
    search = tuner(tmp_path, kt_plus.OptunaSearch, max_trials=3)
    assert "TPESampler" in repr(search.oracle)
    assert type(search.oracle) is kt_plus.oracles.OptunaSearchOracle
