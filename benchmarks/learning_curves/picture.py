"""The trade-off between the epochs spent and the best trials lost, one line a family of rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_TICKS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


class Point(NamedTuple):
    """Where a rule lies: its share of the epochs, and of the searches that lost the best."""

    panel: str
    family: str
    rule: str
    epochs: float
    lost: float


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws one panel a set of tasks, and writes the file.

    Args:
        points: In the order in which a line joins them.
        path: A file name that Matplotlib knows the ending of.
    """
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(point.panel for point in points))
    families = list(dict.fromkeys(point.family for point in points))
    figure = Figure(figsize=(5.5 * len(panels) + 1, 6.5), layout="constrained")
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), number + 1)
        for index, family in enumerate(families):
            own = [p for p in points if (p.panel, p.family) == (panel, family)]
            _line(axes, own, family, index)
        _frame(axes, panel, first=number == 0)
    figure.legend(*_entries(figure), loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=150)


def _entries(figure: Any) -> tuple[list[Any], list[str]]:
    """One handle and label a family, whichever panels it is in."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _line(axes: Any, points: Sequence[Point], family: str, index: int) -> None:
    style = "--" if family.startswith("optuna.") else "-"
    marker = "*" if len(points) == 1 else "os^vDPXhd"[index % 9]
    axes.plot(
        [point.epochs for point in points],
        [point.lost for point in points],
        linestyle=style,
        marker=marker,
        markersize=14 if marker == "*" else 5,
        color=f"C{index % 10}",
        label=family,
        clip_on=False,  # zero lies on the frame
        zorder=3,
    )


def _frame(axes: Any, title: str, first: bool) -> None:
    # The square root spreads the small shares apart and still has a place for zero.
    axes.set_yscale("function", functions=(lambda y: y.clip(0) ** 0.5, lambda y: y**2))
    axes.set(title=title, xlabel="share of the epochs", xlim=(0, 1), ylim=(0, 1))
    axes.set_yticks(_TICKS, [f"{100 * tick:g} %" for tick in _TICKS])
    axes.grid(alpha=0.3)
    if first:
        axes.set_ylabel("searches that lost the best trial")
