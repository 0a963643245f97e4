"""The demo, shortened: interrupted in each of its two searches, it goes on where it was."""

from __future__ import annotations

import importlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = EXAMPLES / "digits_demo.py"
SEARCHES = ("keras_tuner.RandomSearch", "kt_plus.EvolutionarySearch")
THIRD = "kt_plus.ReinforcementLearning"  # by an option
PATIENCE = 240.0  # seconds for what takes some twenty
EPOCHS = 12  # what each of the short searches may train


@contextmanager
def demo(output: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo, running in a process of its own that ends with the block."""
    # Where this process ignores Ctrl-C, as in the background of a shell, so would its children.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, DEMO, "--small", "--seeds", "0", "--output", output, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def run(output: Path, *options: str) -> str:
    """What the demo printed, run to its end."""
    with demo(output, *options) as process:
        printed, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, printed
        return printed


def interrupt(output: Path, when: Callable[[], bool]) -> str:
    """What the demo printed until it was interrupted, as soon as `when` held."""
    with demo(output) as process:
        deadline = time.monotonic() + PATIENCE
        while not when() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[0]
        assert when(), "what was waited for never came"
        printed = press_ctrl_c(process)
        assert process.returncode == 130, printed
        assert "Interrupted." in printed
        assert "Traceback" not in printed or "Exception ignored in" in printed
        return printed


def press_ctrl_c(process: subprocess.Popen[str]) -> str:
    """What was printed after Ctrl-C, pressed again when Python says that it has lost one.

    It loses what arrives in a weakref's callback, and prints an ignored KeyboardInterrupt.
    """
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    lines, ignored = [], False
    for line in process.stdout:
        lines.append(line)
        ignored = ignored or "Exception ignored in" in line
        if ignored and line.startswith("KeyboardInterrupt"):
            ignored = False
            process.send_signal(signal.SIGINT)
    process.wait()
    return "".join(lines)


def completed(project: Path) -> dict[str, tuple[dict[str, object], int]]:
    """The completed trials of a project: by id what their files say, and when they were written."""
    trials = {}
    for file in sorted(project.glob("trial_*/trial.json")):
        try:
            state = json.loads(file.read_text())
        except ValueError:  # Keras Tuner is writing it
            continue
        if state["status"] == "COMPLETED":
            trials[state["trial_id"]] = (state, file.stat().st_mtime_ns)
    return trials


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that makes the table and counts the wins."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("digits_report")


def test_it_counts_the_seeds_that_it_wins_loses_and_ties(report: ModuleType) -> None:
    def outcomes(name: str, *tests: float) -> list[Any]:
        curves = [[0.5, 0.6], [0.4]]
        return [report.Outcome(name, s, 0.6, t, 1.0, curves, [False, True]) for s, t in tests]

    theirs, ours = SEARCHES
    rest = " (accuracy of the best model on test images)."
    for tests, answer in (
        ((0.8, 0.9, 0.85), "won in 2 of 3"),
        ((0.6, 0.6, 0.8), "won in 0 of 3"),
        ((0.8, 0.7, 0.8), "won in 1 of 3, equal in 1"),
    ):
        all_of_them = [*outcomes(theirs, *enumerate((0.7, 0.7, 0.9)))]
        all_of_them += outcomes(ours, *enumerate(tests))
        assert report.wins(all_of_them, ours, theirs) == f"{ours} {answer}{rest}"
    head, _, *rows = report.table(all_of_them).splitlines()
    assert head.split()[-4:] == ["stopped", "early", "epochs", "seconds"]
    assert [row.split() for row in rows][3:] == [
        [ours, "0", "60.00", "80.00", "2", "1", "3", "1"],
        [ours, "1", "60.00", "70.00", "2", "1", "3", "1"],
        [ours, "2", "60.00", "80.00", "2", "1", "3", "1"],
    ]


def test_interrupted_in_evolution_it_resumes(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    folder = output / "small" / "seed_0"
    random_search, evolution = (folder / search for search in SEARCHES)
    interrupt(output, when=lambda: len(completed(evolution)) >= 2)
    theirs, ours = completed(random_search), completed(evolution)
    assert len(theirs) == 4
    printed = run(output)
    assert completed(random_search) == theirs
    assert ours.items() <= completed(evolution).items(), "a completed trial was run again"
    check_outcomes(folder, printed, SEARCHES)
    assert re.search(r"^kt_plus.EvolutionarySearch won in [01] of 1\b", printed, re.MULTILINE)
    assert '+     stopping="auto",' in printed


@pytest.mark.full
@pytest.mark.timeout(1200)  # four times Keras has to load
def test_interrupted_in_both_searches_the_demo_goes_on_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    folder = output / "small" / "seed_0"
    random_search, evolution = (folder / search for search in SEARCHES)

    # In the middle of a trial: at its very end Keras Tuner, interrupted, would run it again.
    interrupt(output, when=lambda: (random_search / "trial_1" / "curve.json").exists())
    first = completed(random_search)
    assert 1 <= len(first) < 4
    assert not evolution.exists()

    interrupt(output, when=lambda: len(completed(evolution)) >= 2)
    second = completed(random_search)
    third = completed(evolution)
    assert len(second) == 4
    assert first.items() <= second.items(), "a completed trial was run again"

    printed = run(output)
    assert completed(random_search) == second
    assert third.items() <= completed(evolution).items(), "a completed trial was run again"
    check_outcomes(folder, printed, SEARCHES)

    again = run(output)
    assert "Trial" not in again, "a finished race was run again"
    assert table_of(again) == table_of(printed)

    printed = run(output, "--reinforcement-learning")
    assert table_of(printed)[:2] == table_of(again), "a finished search was run again"
    check_outcomes(folder, printed, (*SEARCHES, THIRD))

    printed = run(output, "--seeds", "0", "1")
    assert table_of(printed)[0::2] == table_of(again), "a finished search was run again"
    assert [row[:2] for row in table_of(printed)] == [[s, n] for s in SEARCHES for n in "01"]
    assert re.search(r"^kt_plus.EvolutionarySearch won in [012] of 2\b", printed, re.MULTILINE)


def check_outcomes(folder: Path, printed: str, searches: Sequence[str]) -> None:
    """That the table tells what the files of the searches do, and the picture is one."""
    for row, search in zip(table_of(printed), searches, strict=True):
        outcome = json.loads((folder / search / "outcome.json").read_text())
        trials = completed(folder / search)
        scores = [float(str(state["score"])) for state, _ in trials.values()]
        assert row == [
            search,
            "0",
            f"{100 * max(scores):.2f}",
            f"{100 * outcome['test']:.2f}",
            str(len(trials)),
            str(sum(outcome["stopped"])),
            str(sum(map(len, outcome["curves"]))),
            str(round(outcome["seconds"])),
        ]
        assert 0 < sum(map(len, outcome["curves"])) <= EPOCHS
        assert [max(curve) for curve in outcome["curves"]] == pytest.approx(scores)
        assert 0.1 < outcome["test"] <= 1
    picture = (folder.parent / "searches.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


def table_of(printed: str) -> list[list[str]]:
    """The cells of the printed table's rows, a row for each search."""
    lines = [line for line in printed.splitlines() if line.startswith((*SEARCHES, THIRD))]
    return [line.split() for line in lines if len(line.split()) == 8]
