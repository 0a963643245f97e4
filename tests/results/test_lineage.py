"""Family trees, and several searches in one picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus.errors import ResultsError
from kt_plus.results import plot_family_tree, plot_searches
from tests.errors import raises_in_three_parts
from tests.invented_search import tuner

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Evolution and random search on the same space."""
    found = {}
    for name, kind in (("evolution", "EvolutionarySearch"), ("random", "RandomSearch")):
        folder = tmp_path_factory.mktemp(name)
        found[name] = tuner(folder, getattr(kt_plus, kind), fails=("04",))
        found[name].search(verbose=0)
    return found


def test_the_family_tree_has_every_descent(searched: Any) -> None:
    oracle = searched["evolution"].oracle
    axes = plot_family_tree(searched["evolution"])
    number = {trial_id: i for i, trial_id in enumerate(oracle.start_order)}
    expected = {
        (number[note.parent], number[trial_id])
        for trial_id, note in oracle.notes.items()
        if note.parent is not None and oracle.trials[trial_id].score is not None
    }
    lines = [line for line in axes.lines if len(line.get_xdata())]
    assert {tuple(line.get_xdata()) for line in lines} == expected
    assert len(expected) > 10
    famous = {tuple(line.get_xdata()) for line in lines if line.get_linewidth() == 2}
    trial_id = oracle.history.best.trial_id
    ancestors = set()
    while (parent := oracle.notes[trial_id].parent) is not None:
        ancestors.add((number[parent], number[trial_id]))
        trial_id = parent
    assert famous == ancestors
    matplotlib.pyplot.close("all")


def test_what_is_far_worse_is_counted_and_not_drawn(searched: Any, tmp_path: Path) -> None:
    project = tmp_path / "copied"
    shutil.copytree(searched["evolution"].project_dir, project)
    for trial_id in ("06", "07"):
        path = project / f"trial_{trial_id}" / "trial.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "score": -50.0}))
    axes = plot_family_tree(project)
    low, _ = axes.get_ylim()
    scores = [t.score for t in searched["evolution"].oracle.trials.values() if t.score is not None]
    hidden = 2 + sum(score < low for score in scores[:6] + scores[8:])
    title = axes.get_title(loc="left")
    assert title == f"Family tree of 29 trials, {hidden} of them worse than is drawn"
    assert low > -50
    matplotlib.pyplot.close("all")


def test_random_search_has_no_family(searched: Any) -> None:
    with raises_in_three_parts(ResultsError, happened="No trial of", expected="derives trials"):
        plot_family_tree(searched["random"])


def test_searches_are_compared(searched: Any) -> None:
    axes = plot_searches(searched, "trials")
    for name, line in zip(searched, axes.lines[::2], strict=True):
        best = searched[name].oracle.history.best.score
        assert line.get_label() == f"{name}: {best:.4g} (29 trials)"
        assert line.get_ydata()[-1] == best
        assert list(line.get_ydata()) == sorted(line.get_ydata())
        assert line.get_xdata()[-1] == 30
    assert axes.get_xlabel() == "trials ended"
    matplotlib.pyplot.close("all")


def test_long_names_leave_room_for_the_picture(searched: Any) -> None:
    names = ("the search by evolution as it was", "another search with a long name", "a third")
    axes = plot_searches(dict.fromkeys(names, searched["random"]), "trials")
    figure = axes.figure
    figure.canvas.draw()
    assert axes.bbox.width > 0.8 * figure.bbox.width
    legend = axes.get_legend().get_window_extent()
    assert figure.bbox.x0 <= legend.x0
    assert legend.x1 <= figure.bbox.x1
    matplotlib.pyplot.close("all")


def test_other_objectives_are_not_compared(searched: Any, tmp_path: Path) -> None:
    other = tuner(tmp_path, direction="min")
    with raises_in_three_parts(
        ValueError,
        happened="score (minimised), score (maximised)",
        expected="searches of one objective",
    ):
        plot_searches({**searched, "other": other})
    with raises_in_three_parts(ValueError, happened="against='days'", expected="'seconds'"):
        plot_searches(searched, "days")
    with raises_in_three_parts(ValueError, happened="no search", expected="one objective"):
        plot_searches({})
