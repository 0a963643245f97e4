"""All configurations of a search at once: parallel coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kt_plus.engine.dimensions import Dimension, Discrete, Numeric
from kt_plus.errors import ResultsError
from kt_plus.results.overview import can_be_best
from kt_plus.results.plots import ORANGE, new_axes
from kt_plus.results.reading import Trial, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = 8
"""So many values of a choice are written beside its axis at most; else the first and last."""


def plot_parallel_coordinates(search: Any, ax: Axes | None = None, *, most: int = 300) -> Axes:
    """Draws each completed trial as a line through its hyperparameters to its score.

    When to use it: to see where good configurations lie, and what goes with what. Each axis
    has its hyperparameter's own scale; where one is inactive, the line has a gap. Better
    trials are lighter and drawn above the others, the best one is orange.

    Args:
        search: A tuner, or the directory of its project; plain Keras Tuner's too.
        ax: Where to draw; a new figure by default.
        most: How many trials are drawn at most: the best ones.

    Raises:
        ResultsError: If there is no project, or no trial in it has completed.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_parallel_coordinates("searches/digits").figure.savefig("values.png")
    ```
    """
    found = read(search)
    ranked = sorted(filter(can_be_best, found.trials), key=lambda t: found.sign * _score(t))
    if not ranked:
        raise ResultsError(
            f"No trial of {found.directory!r} has completed. Expected one at least, to draw its "
            "values and score. Run the search for longer."
        )
    drawn = ranked[-most:]
    space = found.space
    axes = [d for d in space.by_name if d.size > 1]
    ax = ax if ax is not None else new_axes()
    from matplotlib import colormaps

    worst, best = _score(drawn[0]), _score(drawn[-1])
    for i, trial in enumerate(drawn, 1):
        values = space.active(trial.values)
        y = [d.to_unit(values[d]) if d in values else float("nan") for d in axes]
        y.append((_score(trial) - worst) / (best - worst) if best != worst else 0.5)
        last = i == len(drawn)
        colour = ORANGE if last else colormaps["viridis"](0.9 * i / len(drawn))
        style = {"linewidth": 2.5, "label": f"best: trial {trial.trial_id}"} if last else {}
        ax.plot(range(len(y)), y, marker=".", markersize=3, color=colour, **style)
    for x, d in enumerate(axes):
        _label(ax, x, {d.to_unit(v): v for v in _written(d)})
    _label(ax, len(axes), {0.0: worst, 1.0: best} if best != worst else {0.5: best})
    names = [*(d.name for d in axes), found.objective or "score"]
    ax.set_xticks(range(len(names)), names, rotation=20, ha="right")
    ax.set(yticks=[], xlim=(-0.25, len(axes) + 0.45), ylim=(-0.05, 1.05))
    ax.spines[["top", "right", "left", "bottom"]].set_visible(False)
    of = f"{len(drawn)} best of {len(ranked)}" if len(drawn) < len(ranked) else f"{len(drawn)}"
    better = "larger" if found.sign > 0 else "smaller"
    title = f"{of} completed trials, lighter is better ({better} {names[-1]})"
    ax.set_title(title, loc="left", fontsize="medium")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    return ax


def _score(trial: Trial) -> float:
    assert trial.score is not None
    return trial.score


def _written(d: Dimension) -> list[Any]:
    """The values that stand beside an axis."""
    if isinstance(d, Discrete):
        few = len(d.choices) <= LABELS
        return list(d.choices) if few else [d.choices[0], d.choices[-1]]
    assert isinstance(d, Numeric)
    return [d.canonical(d.low), d.canonical(d.high)]


def _label(ax: Axes, x: int, values: dict[float, Any]) -> None:
    from matplotlib import rcParams

    ax.axvline(x, color="#808080", linewidth=1, zorder=3)
    for y, value in values.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        box = {
            "facecolor": rcParams["axes.facecolor"],
            "alpha": 0.75,
            "edgecolor": "none",
            "pad": 1,
        }
        ax.text(x + 0.03, y, text, fontsize="small", va="center", zorder=4, bbox=box)
