"""The table, the count of wins and the picture that the demo shows of its searches."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

# Okabe and Ito's palette, which the colour-blind can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
STYLES = (
    {"color": ORANGE, "linestyle": "--"},
    {"color": BLUE, "linestyle": "-"},
    {"color": GREEN, "linestyle": "-."},
)


@dataclass(frozen=True)
class Outcome:
    """The result of one search.

    Args:
        name: The class that searched.
        seed: The seed of the search and of its models.
        validation: The accuracy in [0, 1] of its best model on the validation images.
        test: That model's accuracy on the test images.
        seconds: The time that the search took, interruptions not counted.
        curves: The validation accuracy after each epoch of each trial.
        stopped: Of each trial, whether it was stopped early.
    """

    name: str
    seed: int
    validation: float
    test: float
    seconds: float
    curves: list[list[float]]
    stopped: list[bool]

    def __str__(self) -> str:
        return f"{len(self.curves)} trials, {self.epochs} epochs, {self.seconds:.0f} s"

    @property
    def epochs(self) -> int:
        return sum(map(len, self.curves))

    @property
    def best_so_far(self) -> list[float]:
        """The best validation accuracy after each epoch that was spent."""
        return list(accumulate(chain.from_iterable(self.curves), max))

    @classmethod
    def read(cls, file: Path) -> Outcome:
        return cls(**json.loads(file.read_text()))

    def write(self, file: Path) -> None:
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)))
        os.replace(partial, file)


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns the table of the searches, a row for each search and seed."""
    names = list(dict.fromkeys(o.name for o in outcomes))
    columns = ("seed", "validation", "test", "trials", "stopped early", "epochs", "seconds")
    rows = [("accuracy of the best model, %", *columns)]
    for o in sorted(outcomes, key=lambda o: names.index(o.name)):
        accuracies = (f"{100 * o.validation:.2f}", f"{100 * o.test:.2f}")
        counts = (len(o.curves), sum(o.stopped), o.epochs, round(o.seconds))
        rows.append((o.name, str(o.seed), *accuracies, *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def wins(outcomes: Sequence[Outcome], ours: str, theirs: str) -> str:
    """Returns in how many seeds our best model is more accurate on the test images than theirs.

    Args:
        outcomes: The outcomes of all searches for all seeds.
        ours: The name of the search that may win.
        theirs: The name of the search that it is compared with.
    """
    tests = {name: {o.seed: o.test for o in outcomes if o.name == name} for name in (ours, theirs)}
    pairs = [(accuracy, tests[theirs][seed]) for seed, accuracy in tests[ours].items()]
    won = sum(our > their for our, their in pairs)
    equal = sum(our == their for our, their in pairs)
    tie = f", equal in {equal}" if equal else ""
    return f"{ours} won in {won} of {len(pairs)}{tie} (accuracy of the best model on test images)."


def draw(outcomes: Sequence[Outcome], file: Path) -> Path:
    """Draws the learning curves of the last search, and the progress of all searches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_curves(left, outcomes[-1])
    _draw_progress(right, outcomes)
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
    return file


def _draw_curves(axes: Any, outcome: Outcome) -> None:
    for curve, stopped in zip(outcome.curves, outcome.stopped, strict=True):
        epochs, accuracy = range(1, len(curve) + 1), [100 * value for value in curve]
        style = {"color": GREY, "linewidth": 0.9} if stopped else {"color": BLUE, "alpha": 0.7}
        axes.plot(epochs, accuracy, **style)
        if stopped:
            axes.plot(epochs[-1], accuracy[-1], "x", color="black", markersize=7)
    axes.plot([], [], color=BLUE, label="trained to the end")
    axes.plot([], [], color=GREY, marker="x", markeredgecolor="black", label="stopped early")
    axes.set(
        title=f"Learning curves of {outcome.name}, seed {outcome.seed}",
        xlabel="epoch of the trial",
        ylabel="validation accuracy (%)",
    )
    axes.legend(loc="lower right", frameon=False)


def _draw_progress(axes: Any, outcomes: Sequence[Outcome]) -> None:
    after_first_trial = []
    styles = dict(zip(dict.fromkeys(o.name for o in outcomes), STYLES, strict=False))
    for outcome in outcomes:
        best = [100 * value for value in outcome.best_so_far]
        label = outcome.name if outcome.seed == outcomes[0].seed else None
        style = {"where": "post", "label": label, **styles[outcome.name]}
        axes.step(range(1, len(best) + 1), best, **style)
        after_first_trial.append(best[len(outcome.curves[0]) - 1])
    axes.set(
        ylim=(min(after_first_trial) - 1, 100),  # what is below is a single trial's beginning
        title="Best model so far, one line per seed",
        xlabel="training epochs spent by the search",
        ylabel="best validation accuracy so far (%)",
    )
    axes.legend(loc="lower right", frameon=False)
