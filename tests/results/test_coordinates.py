"""Parallel coordinates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kt_plus.errors import ResultsError
from kt_plus.results import plot_parallel_coordinates
from tests.errors import raises_in_three_parts
from tests.invented_search import tuner

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.mark.parametrize("direction", ["max", "min"])
def test_each_trial_is_a_line_through_its_values(tmp_path: Path, direction: str) -> None:
    with raises_in_three_parts(ResultsError, happened="No trial of", expected="one at least"):
        plot_parallel_coordinates(tuner(tmp_path / "none", direction=direction))
    searched = tuner(tmp_path, direction=direction, fails=("03",))
    searched.search(verbose=0)
    axes = plot_parallel_coordinates(searched)
    oracle = searched.oracle
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(lines) == 29
    best = oracle.history.best
    assert lines[-1].get_label() == f"best: trial {best.trial_id}"
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names[-1] == "score"
    by_name = dict(zip(names, lines[-1].get_ydata(), strict=True))
    expected = dict(
        zip(
            (d.name for d in oracle.space.dimensions), oracle.space.encode(best.values), strict=True
        )
    )
    for name, at in expected.items():
        np.testing.assert_equal(by_name[name], at)
    assert by_name["score"] == 1.0
    assert lines[0].get_ydata()[-1] == 0.0
    few = plot_parallel_coordinates(searched, most=5)
    assert few.get_title(loc="left").startswith("5 best of 29 completed trials")
    axes.figure.savefig(tmp_path / "values.png")
    matplotlib.pyplot.close("all")
