"""Pictures of a whole search: its best trial so far, and the learning curves of all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kt_plus.errors import ResultsError
from kt_plus.results.plots import BLUE, GREEN, ORANGE, new_axes
from kt_plus.results.reading import Search, Trial, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {
    "trials": "trials ended",
    "epochs": "epochs trained, all trials together",
    "seconds": "time of the search in seconds",
}
POINTS = 200
"""So many points of a curve are drawn at most."""


class Ended(NamedTuple):
    """A trial that has ended: where on the axis, its score, what became of it, if it counts."""

    at: float
    score: float
    kind: str
    counts: bool


KINDS = {
    "completed": {"color": BLUE, "marker": "o"},
    "stopped early": {"color": ORANGE, "marker": "x"},
    "cut by the budget": {"color": "#56B4E9", "marker": "+"},
    "of lower fidelity": {"color": "#CC79A7", "marker": "."},
    "failed": {"color": "#808080", "marker": "|"},
}


def plot_best_so_far(search: Any, against: str = "epochs", ax: Axes | None = None) -> Axes:
    """Draws the best score so far, and every trial's, as the search went on.

    When to use it: to see whether a search still improves, and what it has cost.

    Args:
        search: A tuner, or the directory of its project; plain Keras Tuner's too, with
            `against="trials"`.
        against: "trials", those that have ended; "epochs", trained by all trials together;
            or "seconds", of the search, written in hours when they are many.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: If `against` is none of these.
        ResultsError: If there is no project, or it keeps no epochs or times.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_best_so_far("searches/digits", "seconds").figure.savefig("best.png")
    ```
    """
    found = read(search)
    ended, label = list(trials_ended(found, against)), AXES[against]
    if against == "seconds" and ended and ended[-1].at > 7200:
        ended = [e._replace(at=e.at / 3600) for e in ended]
        label = label.replace("seconds", "hours")
    ax = ax if ax is not None else new_axes()
    for kind, style in KINDS.items():
        those = [e for e in ended if e.kind == kind]
        if those and kind == "failed":  # it has no score: a tick at the foot of the picture
            x, y, transform = [e.at for e in those], [0.015] * len(those), ax.get_xaxis_transform()
            ax.scatter(x, y, s=40, label=kind, transform=transform, clip_on=False, **style)
        elif those:
            x, y = [e.at for e in those], [e.score for e in those]
            ax.scatter(x, y, s=16, alpha=0.6, label=kind, linewidths=1, **style)
    scored = [e for e in ended if e.counts]
    if scored:
        best = best_so_far([e.score for e in scored], found.sign)
        x = [e.at for e in scored] + [ended[-1].at]
        told = f"best so far: {best[-1]:.4g}"
        ax.step(x, [*best, best[-1]], where="post", color=GREEN, linewidth=2, label=told)
        see_the_good(ax, [e.score for e in scored], found.sign)
    finish(ax, found, f"Best of {len(ended)} trials so far", label)
    return ax


def plot_learning_curves(search: Any, ax: Axes | None = None, *, most: int = 100) -> Axes:
    """Draws the learning curves of all trials, and where those that were stopped ended.

    When to use it: to see what stopping saves, and whether more epochs would help.

    Args:
        search: A tuner, or the directory of its project.
        ax: Where to draw; a new figure by default.
        most: How many curves are drawn at most: the best one, those of running trials, and
            others evenly spread over the search.

    Raises:
        ResultsError: If there is no project, or it holds no curves.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_learning_curves("searches/digits").figure.savefig("curves.png")
    ```
    """
    found = read(search)
    trials = [t for t in found.trials if t.note and t.note.epochs]
    if not trials:
        raise ResultsError(
            f"The project {found.directory!r} holds no learning curves. Expected trials that a "
            "tuner of kt_plus has trained for an epoch at least. Run the search with one, such as "
            "kt_plus.RandomSearch."
        )
    ax = ax if ax is not None else new_axes()
    best = best_trial(trials, found.sign)
    drawn = _some(trials, most, best)
    told: set[str] = set()
    for trial in drawn:
        _draw_curve(ax, trial, told, best is trial)
    of = f"{len(drawn)} of {len(trials)}" if len(drawn) < len(trials) else f"{len(drawn)}"
    seen = [v for t in drawn for v in t.note.curves[-1].values if math.isfinite(v)]  # type: ignore
    see_the_good(ax, seen, found.sign)
    finish(ax, found, f"Learning curves of {of} trials", "epoch")
    return ax


def trials_ended(found: Search, against: str) -> Iterable[Ended]:
    """The trials that have ended, in the order in which they did."""
    if against not in AXES:
        raise ValueError(
            f"against={against!r} was given. Expected one of {list(AXES)}. "
            "Leave it out for the epochs."
        )
    trials = [t for t in found.trials if t.status != "RUNNING"]
    if against != "trials" and trials and not any(t.note for t in trials):
        raise ResultsError(
            f"The project {found.directory!r} tells neither epochs nor times: plain Keras Tuner "
            "has run it. Expected one of kt_plus; use against='trials'."
        )
    last = len(found.trials)
    ends = [t.note.ended if t.note and t.note.ended is not None else last for t in trials]
    at = 0.0
    for place, (_, trial) in enumerate(sorted(zip(ends, trials, strict=True), key=lambda e: e[0])):
        if against == "trials":
            at = place + 1
        elif trial.note:  # one of plain Keras Tuner's has cost nothing that is known
            cost = trial.note.epochs if against == "epochs" else trial.note.search_seconds
            at = at + cost if against == "epochs" else max(at, cost)
        score = math.nan if trial.score is None else trial.score
        yield Ended(at, score, kind_of(trial), can_be_best(trial))


def kind_of(trial: Trial) -> str:
    """What became of a trial."""
    if trial.status == "RUNNING":
        return "running"
    if trial.status != "COMPLETED" or trial.score is None or not math.isfinite(trial.score):
        return "failed"
    if trial.note and trial.note.stop:
        return "stopped early" if trial.note.stop.cause == "rule" else "cut by the budget"
    full = trial.note is None or trial.note.full_fidelity
    return "completed" if full else "of lower fidelity"


def can_be_best(trial: Trial) -> bool:
    """Whether it has a score, of full fidelity."""
    full = trial.note is None or trial.note.full_fidelity
    return full and kind_of(trial) not in ("running", "failed")


def best_so_far(scores: Sequence[float], sign: int) -> list[float]:
    """The best of the scores up to each."""
    best: list[float] = []
    for score in scores:
        best.append(score if not best else sign * max(sign * score, sign * best[-1]))
    return best


def best_trial(trials: Sequence[Trial], sign: int) -> Trial | None:
    """The best of the trials that have a score and are of full fidelity."""
    good = [t for t in trials if can_be_best(t)]
    return max(good, key=lambda t: sign * (t.score or 0.0), default=None)


def _some(trials: list[Trial], most: int, best: Trial | None) -> list[Trial]:
    """At most so many trials, spread evenly, the running ones and the best one among them."""
    if len(trials) <= most:
        return trials
    wanted = [t for t in trials if t is best or kind_of(t) == "running"][-most:]
    named = {t.trial_id for t in wanted}
    others = [t for t in trials if t.trial_id not in named]
    step = len(others) / max(most - len(wanted), 1)
    named |= {others[int(i * step)].trial_id for i in range(most - len(wanted))}
    return [t for t in trials if t.trial_id in named]


def _draw_curve(ax: Axes, trial: Trial, told: set[str], best: bool) -> None:
    assert trial.note is not None
    kind, curve = kind_of(trial), trial.note.curves[-1]
    values = [v if math.isfinite(v) else math.nan for v in curve.values]
    every = max(1, math.ceil(len(values) / POINTS))
    picked = sorted({*range(0, len(values), every), len(values) - 1})
    epochs = [curve.first_epoch + i + 1 for i in picked]
    colour = GREEN if best else {"running": "#CC79A7"}.get(kind) or KINDS[kind]["color"]
    label = f"best: trial {trial.trial_id}" if best else kind
    ax.plot(
        epochs,
        [values[i] for i in picked],
        color=colour,
        linewidth=2.5 if best else 1,
        linestyle="--" if kind == "running" else ":" if kind == "failed" else "-",
        alpha=1.0 if best else 0.45,
        zorder=3 if best else 2,
        label=None if label in told else label,
        marker={"running": ">", "completed": None}.get(kind, KINDS.get(kind, {}).get("marker")),
        markevery=[len(picked) - 1],
        markersize=5,
    )
    told.add(label)


def see_the_good(ax: Axes, values: Sequence[float], sign: int, share: float = 0.95) -> int:
    """Cuts the axis off where some values are far worse than most others.

    Args:
        ax: The picture.
        values: What is drawn.
        sign: 1 if larger is better, -1 if smaller is.
        share: The best ones that must be seen, as a share.

    Returns:
        How many values are not seen.
    """
    ranked = sorted((v for v in values if math.isfinite(v)), key=lambda v: -sign * v)
    if len(ranked) < 5:
        return 0
    best, usual = ranked[0], ranked[int(share * (len(ranked) - 1))]
    spread = abs(best - usual)
    if not spread or abs(ranked[-1] - best) <= 3 * spread:
        return 0
    end = usual - sign * 0.3 * spread
    ax.set_ylim(*sorted((best + sign * 0.05 * spread, end)))
    return sum(sign * value < sign * end for value in ranked)


def finish(ax: Axes, found: Search, title: str, x: str) -> None:
    """Title, axes, and a legend below them, where it hides nothing."""
    from matplotlib.ticker import MaxNLocator

    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_xlabel(x)
    better = "larger" if found.sign > 0 else "smaller"
    ax.set_ylabel(f"{found.objective} ({better} is better)" if found.objective else "score")
    ax.xaxis.set_major_locator(MaxNLocator(integer="time" not in x))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.3)
    labels = ax.get_legend_handles_labels()[1]
    if labels:
        columns = max(1, min(4, 88 // (max(map(len, labels)) + 8)))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, frameon=False)
