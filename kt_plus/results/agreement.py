"""Whether the rungs of a search agree: in numbers, words and a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kt_plus.errors import ResultsError
from kt_plus.performance_estimation.fidelity import agreement as fidelities
from kt_plus.performance_estimation.fidelity.agreement import LOW, RankAgreement
from kt_plus.results.plots import BLUE, GREY, ORANGE, new_axes
from kt_plus.results.reading import Search, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rank_agreement(search: Any) -> RankAgreement:
    """Kendall's tau and Spearman's rank correlation between each pair of rungs of a search.

    When to use it: after a search over fidelities, to see whether its lower rungs were worth
    anything. Printed, it tells each pair with its interval of 95 %, and warns where promotions
    were close to random.

    Source: `kt_plus.fidelity.rank_agreement`, which has the formulas.

    Args:
        search: A tuner, or the directory of its project.

    Raises:
        ResultsError: If there is no project.

    Example:

    ```python
    print(kt_plus.results.rank_agreement(tuner))
    # 1/4 of the data -> all data: tau 0.62 (0.37 to 0.77), Spearman 0.79 (0.52 to 0.93), 20 trials
    ```
    """
    found = read(search)
    return fidelities.rank_agreement(found.history, _labels(found))


def plot_rank_agreement(search: Any, ax: Axes | None = None) -> Axes:
    """Draws Kendall's tau and Spearman's correlation of each pair of rungs with their intervals.

    When to use it: to see at one look which rung of a ladder misranks, and how sure that is.

    Args:
        search: A tuner, or the directory of its project.
        ax: Where to draw; a new figure by default.

    Raises:
        ResultsError: If there is no project, or if no configuration has scores at two rungs.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_rank_agreement(tuner).figure.savefig("agreement.png")
    ```
    """
    pairs = [pair for pair in rank_agreement(search) if not math.isnan(pair.kendall.value)]
    if not pairs:
        raise ResultsError(
            f"{search!r} has no two rungs to compare. Expected a search in which at least two "
            "configurations with different scores were promoted. Run kt_plus.SuccessiveHalving."
        )
    ax = ax if ax is not None else new_axes()
    shown = ((0.14, "kendall", "Kendall's tau", "o"), (-0.14, "spearman", "Spearman", "D"))
    for place, (offset, name, label, marker) in enumerate(shown):
        for row, pair in enumerate(pairs):
            told = getattr(pair, name)
            colour = ORANGE if pair.warning else BLUE
            y, faded = row - offset, 1.0 if place == 0 else 0.5
            ax.plot([told.low, told.high], [y, y], color=colour, alpha=faded, linewidth=1.5)
            ax.plot(told.value, y, marker, color=colour, alpha=faded)
        ax.plot([], [], marker, color=GREY, label=f"{label}, 95 % interval")
    if any(pair.warning for pair in pairs):
        ax.plot([], [], "s", color=ORANGE, label=f"close to random: tau below {LOW:g}")
    ax.axvline(0, color=GREY, linestyle=":")
    _finish(ax, [f"{p.labels[0]}\n→ {p.labels[1]}, {p.trials} trials" for p in pairs])
    return ax


def _finish(ax: Axes, labels: list[str]) -> None:
    ax.set_yticks(range(len(labels)), labels, fontsize="small")
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlim(-1.05, 1.05)
    ax.set_xlabel("rank correlation between the scores at two rungs (1: the same order)")
    ax.set_title("Rank agreement of the rungs", loc="left", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="x", alpha=0.3)
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=2, frameon=False)


def _labels(found: Search) -> list[str]:
    """Each rung in words."""
    words = {t.note.rung: t.note.fidelity for t in found.trials if t.note}
    return [words.get(rung) or f"rung {rung}" for rung in range(max(words, default=-1) + 1)]
