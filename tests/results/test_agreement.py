"""Rank agreement of a project: in numbers, in words, and as a picture."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import kt_plus
from kt_plus.performance_estimation import fidelity
from kt_plus.results import plot_rank_agreement, rank_agreement
from tests.errors import raises_in_three_parts
from tests.invented_search import tuner

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A search whose rungs agree but little: slow curves may rise higher."""
    searched = tuner(
        tmp_path_factory.mktemp("search"),
        kt_plus.SuccessiveHalving,
        direction="min",
        configurations=32,
        ladder=kt_plus.fidelity.Epochs(1, 4, 12),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        searched.search(verbose=0)
    return searched


def test_each_pair_of_rungs_in_words(found: Any) -> None:
    agreement = rank_agreement(found)
    assert [(p.low, p.high, p.trials) for p in agreement] == [(0, 1, 16), (0, 2, 8), (1, 2, 8)]
    assert agreement[0].labels == ("1 epoch", "4 epochs")
    history = found.oracle.history
    pairs = [(history.get(r.parent).score, r.score) for r in history if r.rung == 1]
    assert sorted(agreement[0].scores) == sorted(pairs)
    assert repr(agreement) == repr(rank_agreement(found.project_dir))
    assert not agreement.warnings


def test_the_search_warns_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity.agreement, "LOW", 0.5)
    searched = tuner(
        tmp_path,
        kt_plus.SuccessiveHalving,
        configurations=32,
        ladder=kt_plus.fidelity.Epochs(1, 4, 12),
    )
    told = "between 4 epochs and 12 epochs on 8 trials: promotions are close to random"
    with pytest.warns(UserWarning, match=told):
        searched.search(verbose=0)


def test_the_picture_shows_each_coefficient_with_its_interval(found: Any) -> None:
    ax = plot_rank_agreement(found)
    drawn = [line.get_xdata() for line in ax.lines]
    for pair in rank_agreement(found):
        for told in (pair.kendall, pair.spearman):
            assert any(list(x) == [told.low, told.high] for x in drawn)
            assert any(list(x) == [told.value] for x in drawn)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "1 epoch\n→ 4 epochs, 16 trials"
    ax.figure.canvas.draw()
    plt.close(ax.figure)
    own = plt.figure().add_subplot()
    assert plot_rank_agreement(found, own) is own
    plt.close(own.figure)


def test_a_search_without_rungs_has_nothing_to_compare(tmp_path: Path) -> None:
    searched = tuner(tmp_path, max_trials=3)
    searched.search(verbose=0)
    assert not rank_agreement(searched)
    with raises_in_three_parts(
        kt_plus.errors.ResultsError,
        happened="has no two rungs to compare",
        expected="Expected a search in which at least two configurations",
    ):
        plot_rank_agreement(searched)


def test_an_interrupted_project_is_read_as_it_is(found: Any, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(found.project_dir, copied)
    last = found.oracle.start_order[-1]
    shutil.rmtree(copied / f"trial_{last}")
    trials = [pair.trials for pair in rank_agreement(copied)]
    assert trials == [16, 7, 7]
