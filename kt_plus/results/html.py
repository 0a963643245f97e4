"""A search in one HTML file that needs nothing else: numbers, pictures, a table to sort."""

from __future__ import annotations

import html
import io
import os
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kt_plus.engine.ledger import without_reserved
from kt_plus.errors import ResultsError
from kt_plus.results.coordinates import plot_parallel_coordinates
from kt_plus.results.frame import to_dataframe
from kt_plus.results.importance import plot_importance
from kt_plus.results.lineage import plot_family_tree
from kt_plus.results.overview import best_trial, plot_best_so_far, plot_learning_curves
from kt_plus.results.page import PAGE
from kt_plus.results.reading import Search, read

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

INK, PAPER = "#010203", "#030201"
"""Stand for the page's colours of text and background, which depend on the reader's browser."""

MOST_IN_TREE = 500
"""A family tree of more trials is a thicket, and slow to draw."""

NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))

COLUMNS = (
    "parent",
    "inherited",
    "fidelity",
    "runs",
    "spread",
    "stop_epoch",
    "stop_reason",
    "dry_stop_reason",
    "error",
)


def report(search: Any, path: str | os.PathLike[str] = "report.html") -> str:
    """Writes what a search has found as one HTML file, which any browser opens offline.

    When to use it: to look at a search, running ones included, or to show it to others.
    `python -m kt_plus report DIR` does the same. It reads projects of plain Keras Tuner too.

    Args:
        search: A tuner, or the directory of its project. A damaged trial is named, in the
            report and in a warning, and left out.
        path: The file to write. It is replaced if it exists.

    Returns:
        The path of the file.

    Raises:
        ResultsError: If there is no project.
        ImportError: If pandas or matplotlib is not installed.
        StorageError: If the file cannot be written.

    Example:

    ```python
    kt_plus.report("searches/digits", "digits.html")
    ```
    """
    from kt_plus.engine import storage

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(search)
    for warning in caught:
        warnings.warn(str(warning.message), stacklevel=2)
    damaged = [str(w.message) for w in caught if "is damaged" in str(w.message)]
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    storage.write_bytes(os.path.join(folder, os.path.basename(path)), _page(found, damaged))
    return path


def _page(found: Search, damaged: list[str]) -> bytes:
    frame = to_dataframe(found)
    name = os.path.basename(os.path.normpath(found.directory))
    text = PAGE.format(
        title=html.escape(name),
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
        damaged="".join(f'<p class="warning">{html.escape(line)}</p>' for line in damaged),
        facts="\n".join(_facts(found, frame)),
        best="\n".join(_best(found)),
        pictures="\n".join(_pictures(found)),
        table=_table(found, frame),
    )
    return text.encode()


def _facts(found: Search, frame: pd.DataFrame) -> Iterator[str]:
    better = "maximised" if found.sign > 0 else "minimised"
    objective = f"{found.objective}, {better}" if found.objective else "unknown"
    counts = frame["status"].value_counts()
    status = ", ".join(f"{count} {status}" for status, count in counts.items())
    facts = {"Objective": objective, "Trials": f"{len(frame)}" + (f": {status}" if status else "")}
    causes = frame["stop_cause"][frame["stop_reason"].notna()].value_counts()
    epochs = frame["epochs"].sum()
    if epochs:
        facts["Stopped early"] = str(causes.get("rule", 0))
        if "budget" in causes:
            facts["Cut by the budget"] = str(causes["budget"])
        facts["Epochs trained"] = str(epochs)
    seconds = frame["seconds"].sum()
    if seconds:
        facts["Training time"] = _duration(float(seconds))
    for name, fact in facts.items():
        yield f"<dt>{name}</dt><dd>{html.escape(fact)}</dd>"


def _best(found: Search) -> Iterator[str]:
    best = best_trial(found.trials, found.sign)
    if best is None:
        yield "<p>No trial has completed yet.</p>"
        return
    yield f"<p>Trial {html.escape(best.trial_id)}, score <b>{_cell(best.score)}</b></p><dl>"
    for name, value in without_reserved(best.values).items():
        yield f"<dt>{html.escape(name)}</dt><dd>{_cell(value)}</dd>"
    yield "</dl>"


def _pictures(found: Search) -> Iterator[str]:
    if all(trial.status == "RUNNING" for trial in found.trials):
        return
    ours = any(trial.note for trial in found.trials)
    for against in ("epochs", "seconds") if ours else ("trials",):
        yield _svg(lambda ax, a=against: plot_best_so_far(found, a, ax))
    yield _svg(lambda ax: plot_learning_curves(found, ax))
    yield _svg(lambda ax: plot_parallel_coordinates(found, ax))
    try:
        yield _svg(lambda ax: plot_importance(found, ax))
    except ImportError as error:
        yield f"<p>{html.escape(str(error))}</p>"
    if len(found.trials) <= MOST_IN_TREE:
        yield _svg(lambda ax: plot_family_tree(found, ax))


def _svg(draw: Callable[[Axes], Any]) -> str:
    """A picture as SVG in the colours of the page; nothing if there is nothing to draw."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'A report needs matplotlib, which is not installed. Run: pip install "kt_plus[plots]"'
        ) from error
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    colours = {**dict.fromkeys(names, INK), "axes.facecolor": PAPER}
    with rc_context({**colours, "svg.fonttype": "none"}):
        figure = Figure(figsize=(7.5, 5), layout="constrained")
        try:
            draw(figure.add_subplot())
        except ResultsError:
            return ""
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
    text = file.getvalue().replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    return f"<figure>{text[text.index('<svg') :]}</figure>"


def _table(found: Search, frame: pd.DataFrame) -> str:
    """All trials, best first; columns that are empty throughout are left out."""
    first = ["status", "score", "epochs", "seconds"]
    values = [n for n in frame if n not in first and n in _hyperparameters(frame)]
    shown = [*first, *values, *COLUMNS]
    told = frame.replace({"inherited": 0}, None)
    shown = [n for n in shown if n in ("status", "score") or told[n].notna().any()]
    order = frame["score"].sort_values(ascending=found.sign < 0, kind="stable").index
    cells = [frame.index.astype(str), *(frame[n] for n in shown)]
    rows = dict(zip(frame.index, zip(*cells, strict=True), strict=True))
    head = "".join(f'<th><button type="button">{html.escape(n)}</button></th>' for n in shown)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{_cell(v)}</td>" for v in rows[trial_id]) + "</tr>"
        for trial_id in order
    )
    return (
        f'<table><thead><tr><th><button type="button">trial</button></th>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table>"
    )


def _hyperparameters(frame: pd.DataFrame) -> set[str]:
    from kt_plus.results.frame import FIRST, LAST

    return set(frame) - {*FIRST, *LAST}


def _cell(value: Any) -> str:
    """A value as it is shown: numbers to five digits, nothing for what is missing."""
    import pandas as pd

    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    return html.escape(str(value))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
