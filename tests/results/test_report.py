"""The report: one file that needs nothing else, of searches of every kind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.__main__ import main
from kt_plus.errors import ResultsError
from kt_plus.results import plot_best_so_far, plot_learning_curves, to_dataframe
from tests.errors import raises_in_three_parts
from tests.invented_search import tuner

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """An empty element of a picture."""

    def handle_data(self, data: str) -> None:
        if any(tag in self.open for tag in ("td", "th")):
            self.rows[-1][-1] += data


def test_it_has_every_trial_and_needs_nothing_else(found: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    assert kt_plus.report(found, path) == str(path)
    text = path.read_text()
    head, *rows = Page(text).rows
    frame = to_dataframe(found)
    assert [row[0] for row in rows] == list(frame["score"].sort_values(kind="stable").index)
    assert head[:5] == ["trial", "status", "score", "epochs", "seconds"]
    assert {"limit", "pace", "kind", "noise", "stop_reason", "error"} <= set(head)
    assert not {"parent", "inherited", "fidelity"} & set(head)  # nothing is told there
    assert "ArithmeticError: it has diverged" in text
    assert f"score <b>{found.oracle.history.best.score * -1:.5g}</b>" in text
    outside = re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import""", text)
    assert outside == []
    assert text.count("<svg") == 5
    assert "#010203" not in text
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)
    assert len(text) < 500_000
    assert list(path.parent.iterdir()) == [path]


def test_the_command_line_writes_it(found: Any, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "report.html"
    assert main(["report", found.project_dir, "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert "<table>" in path.read_text()
    assert main(["report", str(tmp_path / "nothing")]) == 1
    assert "is not a project directory" in capsys.readouterr().err
    shown = subprocess.run(
        [sys.executable, "-m", "kt_plus", "--help"], capture_output=True, text=True, timeout=120
    )
    assert "report" in shown.stdout


def test_damaged_running_and_hand_edited_trials(found: Any, tmp_path: Path) -> None:
    project = tmp_path / "copy"
    shutil.copytree(found.project_dir, project)

    def edit(trial_id: str, **entries: Any) -> None:
        path = project / f"trial_{trial_id}" / "trial.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    def note_of(trial_id: str) -> Any:
        return json.loads((project / f"trial_{trial_id}" / "trial.json").read_text())["kt_plus"]

    (project / "trial_05" / "trial.json").write_text('{"trial_id": "05", ')
    edit("06", status="RUNNING", score=None)
    edit("07", score=float("nan"))
    edit("08", message="<script>alert(1)</script>", status="FAILED")
    edit("09", score=-1e9)
    edit("10", kt_plus={**note_of("10"), "parent": "02", "inherited": 12})
    with pytest.warns(UserWarning, match="trial_05.*damaged"):
        path = kt_plus.report(project, tmp_path / "report.html")
    text = Path(path).read_text()
    page = Page(text)
    assert len(page.rows) == 1 + 29
    assert re.search(r'<p class="warning">[^<]*trial_05[^<]*damaged', text)
    assert "<script>alert" not in text
    (child,) = [dict(zip(page.rows[0], row, strict=True)) for row in page.rows if row[0] == "10"]
    assert (child["parent"], child["inherited"]) == ("02", "12")
    assert ["06", "running", ""] in [row[:3] for row in page.rows]


def plain_project(directory: Path, trials: int) -> Path:
    hp = kt.HyperParameters()
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    oracle = kt.oracles.RandomSearchOracle(
        kt.Objective("loss", "min"), trials, hyperparameters=hp, seed=1
    )
    oracle._set_project_dir(directory, "plain")
    for i in range(trials):
        trial = oracle.create_trial("tuner0")
        oracle.update_trial(trial.trial_id, {"loss": 1.0 / (i + 1)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return directory / "plain"


def test_plain_keras_tuner_and_empty_projects(tmp_path: Path) -> None:
    text = Path(kt_plus.report(plain_project(tmp_path, 4), tmp_path / "a.html")).read_text()
    assert "loss, minimised" in text
    assert text.count("<svg") == 2
    assert [row[0] for row in Page(text).rows[1:]] == ["3", "2", "1", "0"]
    empty = tuner(tmp_path)
    Page(text := Path(kt_plus.report(empty, tmp_path / "b.html")).read_text())
    assert "No trial has completed yet" in text


def test_the_best_so_far_is_drawn(found: Any) -> None:
    oracle = found.oracle
    assert len(oracle.end_order) == len(oracle.trials) == 30
    best, epochs, expected = None, 0, []
    for trial_id in oracle.end_order:
        epochs += oracle.notes[trial_id].epochs
        score = oracle.trials[trial_id].score
        if score is not None:
            best = score if best is None else min(best, score)
            expected.append((epochs, best))
    line = plot_best_so_far(found).lines[0]
    drawn = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert drawn == [*expected, (epochs, best)]
    axes = plot_best_so_far(found, "seconds")
    assert axes.get_xlabel() == "time of the search in seconds"
    assert axes.get_ylabel() == "score (smaller is better)"
    texts = {t.get_text() for t in axes.get_legend().get_texts()}
    assert texts == {"completed", "stopped early", "failed", f"best so far: {best:.4g}"}
    matplotlib.pyplot.close("all")


def test_only_trials_of_full_fidelity_are_the_best(tmp_path: Path) -> None:
    searched = tuner(tmp_path)
    searched.search(verbose=0)
    best = searched.oracle.history.best
    path = tmp_path / "invented" / f"trial_{best.trial_id}" / "trial.json"
    content = json.loads(path.read_text())
    content["kt_plus"]["full_fidelity"] = False
    path.write_text(json.dumps(content))
    scores = sorted(r.score for r in searched.oracle.history.completed if r is not best)
    axes = plot_best_so_far(tmp_path / "invented")
    assert axes.lines[0].get_ydata()[-1] == scores[-1] < best.score
    assert "of lower fidelity" in {t.get_text() for t in axes.get_legend().get_texts()}
    text = Path(kt_plus.report(tmp_path / "invented", tmp_path / "a.html")).read_text()
    assert f"score <b>{scores[-1]:.5g}</b>" in text
    matplotlib.pyplot.close("all")


def test_of_many_curves_some_are_drawn_and_the_best_one(found: Any) -> None:
    best = found.oracle.history.best.trial_id
    axes = plot_learning_curves(found, most=8)
    assert axes.get_title(loc="left") == "Learning curves of 8 of 30 trials"
    labels = [line.get_label() for line in axes.lines]
    assert f"best: trial {best}" in labels
    matplotlib.pyplot.close("all")


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    plain = plain_project(tmp_path, 2)
    with raises_in_three_parts(ResultsError, happened="no learning curves", expected="kt_plus"):
        plot_learning_curves(plain)
    with raises_in_three_parts(ResultsError, happened="neither epochs", expected="against"):
        plot_best_so_far(plain)
    with raises_in_three_parts(ValueError, happened="against='days'", expected="'seconds'"):
        plot_best_so_far(plain, "days")
