"""The demo, shortened: interrupted in each of its two searches, it goes on where it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

DEMO = Path(__file__).parents[2] / "examples" / "digits_demo.py"
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
            [sys.executable, DEMO, "--small", "--output", output, *options],
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


@pytest.mark.timeout(1200)  # four times Keras has to load
def test_interrupted_in_both_searches_the_demo_goes_on_where_it_was(tmp_path: Path) -> None:
    output = tmp_path / "demo"
    folder = output / "small_seed_0"
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


def check_outcomes(folder: Path, printed: str, searches: Sequence[str]) -> None:
    """That the table tells what the files of the searches do, and the picture is one."""
    for row, search in zip(table_of(printed), searches, strict=True):
        outcome = json.loads((folder / search / "outcome.json").read_text())
        trials = completed(folder / search)
        scores = [float(str(state["score"])) for state, _ in trials.values()]
        assert row == [
            search,
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
    picture = (folder / "searches.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


def table_of(printed: str) -> list[list[str]]:
    """The cells of the printed table's rows, a row for each search."""
    lines = [line for line in printed.splitlines() if line.startswith((*SEARCHES, THIRD))]
    return [line.split() for line in lines if len(line.split()) == 7]
