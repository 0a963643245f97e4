"""What a data frame, a report and the pictures of a large search cost: `-m benchmarks.results`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from benchmarks import overhead
from benchmarks.reporting import positive, print_table, versions

EPOCHS = 20
RUN = 200
OBJECTIVE = keras_tuner.Objective("val_accuracy", "max")


def space() -> keras_tuner.HyperParameters:
    """Seven hyperparameters of a small network, one of them conditional."""
    hp = overhead.space()
    if hp.Choice("optimizer", ["adam", "sgd"]):
        with hp.conditional_scope("optimizer", ["sgd"]):
            hp.Float("momentum", 0.0, 0.99)
    return hp


def write_project(folder: Path, trials: int) -> str:
    """Runs a search with invented curves, some of its trials stopped, some failed.

    Args:
        folder: Where the project is written.
        trials: How many. From number 201 on they are copies with values drawn anew.

    Returns:
        The directory of the project.
    """
    import kt_plus

    oracle = kt_plus.oracles.EvolutionarySearchOracle(
        OBJECTIVE,
        trials,
        hyperparameters=space(),
        stopping=kt_plus.stopping.MedianRule(),
        seed=1,
    )
    oracle.verbose = 0
    oracle._set_project_dir(str(folder), f"search_{trials}")
    rng = np.random.default_rng(0)
    for _ in range(min(trials, RUN)):
        _run(oracle, rng)
    oracle.save()
    project = folder / f"search_{trials}"
    originals = sorted(project.glob("trial_*/trial.json"))
    for number in range(RUN, trials):
        _copy(originals[number % RUN], project, number, oracle.space, rng)
    return str(project)


def _copy(original: Path, project: Path, number: int, space: Any, rng: np.random.Generator) -> None:
    content = json.loads(original.read_text())
    content["trial_id"] = f"{number:05}"
    content["hyperparameters"]["values"] = space.draw(rng)
    content["kt_plus"] |= {"started": number, "ended": number, "parent": None}
    path = project / f"trial_{number:05}" / "trial.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))


def _run(oracle: Any, rng: np.random.Generator) -> None:
    trial = oracle.create_trial("tuner0")
    limit, pace, best = rng.beta(5, 2), rng.uniform(1, 8), 0.0
    fails = rng.random() < 0.02
    for epoch in range(EPOCHS):
        value = float(limit * (1 - np.exp(-(epoch + 1) / pace)) + 0.005 * rng.standard_normal())
        best = max(best, value)
        report = {f"curve:{OBJECTIVE.name}": value, "horizon": EPOCHS}
        answer = oracle.update_trial(trial.trial_id, report, step=epoch)
        if answer.status == "STOPPED" or fails:
            break
    trial.status = "FAILED" if fails else "COMPLETED"
    if fails:
        trial.message = "Traceback (most recent call last):\nValueError: it has diverged"
    else:
        oracle.update_trial(trial.trial_id, {OBJECTIVE.name: best})
    oracle.end_trial(trial)


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """How long a call takes, in seconds of the processor."""
    begun = time.process_time()
    function(*arguments)
    return time.process_time() - begun


def measure(project: str, folder: Path) -> list[str]:
    """The figures of one project, as cells of a table."""
    import kt_plus

    path = str(folder / "report.html")
    frame = seconds(kt_plus.results.to_dataframe, project)
    report = seconds(kt_plus.report, project, path)
    study = seconds(kt_plus.results.to_optuna, project)
    size = os.path.getsize(path) / 1e6
    return [f"{frame:.2f}", f"{report:.2f}", f"{frame + report:.2f}", f"{size:.2f}", f"{study:.2f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes each project, looks at it, and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("--trials", type=positive, nargs="+", default=[200, 5000])
    options = parser.parse_args(arguments)
    head = ["trials", "data frame (s)", "report (s)", "both (s)", "report (MB)", "to_optuna (s)"]
    lines = [head]
    with tempfile.TemporaryDirectory() as folder:
        measure(write_project(Path(folder), 20), Path(folder))  # imports cost nothing then
        for trials in options.trials:
            project = write_project(Path(folder), trials)
            lines.append([f"{trials:,}", *measure(project, Path(folder))])
    print(f"7 hyperparameters, curves of up to {EPOCHS} epochs; {versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
