"""The benchmark of AutoModel divides and judges as it says."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import r2_score

from benchmarks import auto_model


@pytest.mark.parametrize("name", auto_model.DATA)
def test_a_quarter_is_left_to_judge_by(name):
    data = auto_model.split(name, 0)
    assert len(data.y_test) == pytest.approx((len(data.y) + len(data.y_test)) / 4, abs=1)
    assert (auto_model.split(name, 0).y_test == data.y_test).all()
    assert (auto_model.split(name, 1).y_test != data.y_test).any()
    if name != "diabetes":
        train, test = (np.bincount(y) / len(y) for y in (data.y, data.y_test))
        assert train == pytest.approx(test, abs=0.02)


def test_scores_and_their_errors():
    hits = np.array([1, 1, 1, 0])
    assert auto_model.score(np.ones(4), hits, False) == (0.75, 0.25)
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    found = y + 0.5 * rng.normal(size=200)
    mean, error = auto_model.score(y, found, True)
    assert mean == pytest.approx(r2_score(y, found))
    assert 0.01 < error < 0.1


def test_the_usual_models_are_beside_it():
    lines = []
    for cells in auto_model.rows("wine", 5.0, 0):
        lines.append(cells)
        if len(lines) == 2:
            break
    assert [cells[2] for cells in lines] == ["HistGradientBoosting", "LogisticRegression"]
    assert all(0.8 < float(cells[3]) <= 1 for cells in lines)
