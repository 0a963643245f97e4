"""Pictures of descent and of rivalry: evolution's family tree, several searches compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kt_plus.errors import ResultsError
from kt_plus.results.overview import (
    AXES,
    KINDS,
    best_so_far,
    best_trial,
    finish,
    kind_of,
    see_the_good,
    trials_ended,
)
from kt_plus.results.plots import GREEN, GREY, new_axes
from kt_plus.results.reading import Trial, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNS = {1: "maximised", -1: "minimised"}

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, in which the colour-blind tell searches apart."""


def plot_family_tree(search: Any, ax: Axes | None = None) -> Axes:
    """Draws who descends from whom, and how good each trial was.

    When to use it: to see what evolution has built upon. A line joins a trial to the one
    that it was derived from; the ancestors of the best trial stand out.

    Args:
        search: A tuner, or the directory of its project.
        ax: Where to draw; a new figure by default.

    Raises:
        ResultsError: If there is no project, or no trial in it has a parent.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_family_tree("searches/digits").figure.savefig("family.png")
    ```
    """
    found = read(search)
    place = {trial.trial_id: i for i, trial in enumerate(found.trials)}
    trials = {t.trial_id: t for t in found.trials if kind_of(t) not in ("running", "failed")}
    pairs = [(t, trials[p]) for t in trials.values() if (p := _parent(t)) in trials]
    if not pairs:
        raise ResultsError(
            f"No trial of {found.directory!r} descends from another. Expected a search that "
            "derives trials from earlier ones. Run kt_plus.EvolutionarySearch for more trials."
        )
    ax = ax if ax is not None else new_axes()
    ancestors = _ancestors(best_trial(list(trials.values()), found.sign), trials)
    for child, parent in pairs:
        line = [(place[t.trial_id], t.score) for t in (parent, child)]
        famous = child.trial_id in ancestors
        style = {"color": GREEN, "linewidth": 2} if famous else {"color": GREY, "alpha": 0.25}
        ax.plot(*zip(*line, strict=True), zorder=3 if famous else 1, **style)
    for kind, style in KINDS.items():
        those = [t for t in trials.values() if kind_of(t) == kind]
        if those:
            x, y = [place[t.trial_id] for t in those], [t.score for t in those]
            ax.scatter(x, y, s=18, label=kind, linewidths=1, zorder=2, **style)
    ax.plot([], [], color=GREY, alpha=0.5, label="parent and child")
    best = next(iter(ancestors), None)
    ax.plot([], [], color=GREEN, linewidth=2, label=f"the line of the best: trial {best}")
    hidden = see_the_good(ax, [t.score or 0.0 for t in trials.values()], found.sign, 0.7)
    title = f"Family tree of {len(trials)} trials" + (f", {hidden} of them worse" if hidden else "")
    finish(ax, found, title + " than is drawn" * bool(hidden), "trial, in the order of starts")
    return ax


def plot_searches(
    searches: Mapping[str, Any], against: str = "epochs", ax: Axes | None = None
) -> Axes:
    """Draws the best score so far of several searches in one picture.

    When to use it: to see which search was better, and from when on.

    Args:
        searches: Tuners, or directories of projects, by the names to show. All must have
            the same objective.
        against: "trials", "epochs" or "seconds", as in `plot_best_so_far`.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: If `against` is none of these, or the objectives differ.
        ResultsError: If there is no project, or it keeps no epochs or times.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_searches({"random": "searches/random", "evolution": tuner})
    ```
    """
    found = {name: read(search) for name, search in searches.items()}
    objectives = {(f.objective, f.sign) for f in found.values() if f.objective}
    if len(objectives) > 1 or not found:
        told = (
            ", ".join(f"{name} ({SIGNS[sign]})" for name, sign in sorted(objectives)) or "no search"
        )
        raise ValueError(
            f"{told} was given. Expected searches of one objective, as scores are compared. "
            "Give one or more that have the same."
        )
    ax = ax if ax is not None else new_axes()
    scores: list[float] = []
    for i, (name, one) in enumerate(found.items()):
        ended = [e for e in trials_ended(one, against) if e.counts]
        best = best_so_far([e.score for e in ended], one.sign)
        label = (
            f"{name}: {best[-1]:.4g} ({len(ended)} trials)" if best else f"{name}: none completed"
        )
        style = ("-", "--", "-.", ":")[i // len(COLOURS) % 4]
        colour = COLOURS[i % len(COLOURS)]
        ax.step([e.at for e in ended], best, style, where="post", color=colour, label=label)
        if ended:
            ax.plot([ended[-1].at], [best[-1]], "o", color=colour, markersize=4)
        scores += best
    first = next(iter(found.values()))
    see_the_good(ax, scores, first.sign)
    finish(ax, first, f"Best so far of {len(found)} searches", AXES[against])
    return ax


def _parent(trial: Trial) -> str | None:
    return trial.note.parent if trial.note else None


def _ancestors(trial: Trial | None, trials: Mapping[str, Trial]) -> dict[str, None]:
    """The trial and all it descends from, the youngest first."""
    line: dict[str, None] = {}
    while trial is not None and trial.trial_id not in line:
        line[trial.trial_id] = None
        trial = trials.get(_parent(trial) or "")
    return line
