"""The caller of a parallel search learns why it has ended before `max_trials`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kt_plus
from tests.distribute.searches import space, sums

pytestmark = pytest.mark.slow


def test_the_caller_is_warned_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="The search ended") as caught:
        kt_plus.distribute.search(sums(tmp_path, max_trials=20), workers=2)
    (warning,) = [each for each in caught if "The search ended" in str(each.message)]
    assert warning.filename == __file__
    assert "after 10 of 20 trials: no untried configuration is left" in str(warning.message)
    assert "(configurations tried: 10)" in str(warning.message)
    assert "untried" not in capsys.readouterr().out


def test_a_complete_grid_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def make_tuner() -> Any:
        class Grid(kt_plus.GridSearch):
            def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
                return float(trial.hyperparameters.get("x"))

        hp, folder = space(), tmp_path
        return Grid(max_trials=20, hyperparameters=hp, directory=folder, project_name="p"), {}

    kt_plus.distribute.search(make_tuner, workers=2)
    line = (
        "The search ended after 10 of 20 trials: the grid is complete (configurations tried: 10)."
    )
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count(line) == 1
