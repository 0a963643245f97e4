"""The trials of a search as a data frame of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kt_plus.engine.ledger import Note, StopNote, without_reserved
from kt_plus.results.reading import Trial, read

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("status", "score")
LAST = (
    "epochs",
    "horizon",
    "seconds",
    "parent",
    "rung",
    "stop_epoch",
    "stop_reason",
    "dry_stop_reason",
    "expected",
    "expected_low",
    "expected_high",
    "probability",
    "incumbent",
    "error",
)
WHOLE = ("epochs", "horizon", "rung", "stop_epoch")


def to_dataframe(search: Any) -> pd.DataFrame:
    """The trials of a search, one in a row, in the order in which they started.

    When to use it: to sort, filter, plot or export what a search has found, while it runs
    or afterwards. It reads projects of plain Keras Tuner as well.

    Args:
        search: A tuner, or the directory of its project. A damaged trial is named in a
            warning, and left out.

    Returns:
        A data frame whose index is the trial's id. Its columns are:

        - `status`: "running", "completed", "failed" or "invalid"; `score`, in the sign of the
          objective; `error`: what a failed trial said last.
        - one for each hyperparameter, under its name; under "hp." and its name if there is
          another column of that name. Empty where the hyperparameter is not active.
        - `epochs`: how many were trained, in all executions; `horizon`: the last one's number
          that was to be trained; `seconds`: how long the trial took.
        - `parent`, `rung`: what it was derived from, and its fidelity level.
        - `stop_reason`: why it was stopped early; `dry_stop_reason`: why it would have been,
          in a dry run; `stop_epoch`: after which epoch.
        - `expected`, `expected_low`, `expected_high`: what its best value was expected to be
          when it was stopped, and the interval of 90 %; `probability`: that it would have
          beaten `incumbent`, the best score then. Empty for rules that do not forecast.

    Raises:
        ResultsError: If there is no project.
        ImportError: If pandas is not installed.

    Example:

    ```python
    frame = kt_plus.results.to_dataframe("searches/digits")
    frame.sort_values("score", ascending=False)[["units", "score", "stop_reason"]]
    ```
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            'A data frame needs pandas, which is not installed. Run: pip install "kt_plus[plots]"'
        ) from error
    trials = read(search).trials
    names = dict.fromkeys(name for trial in trials for name in without_reserved(trial.values))
    columns = {name: f"hp.{name}" if name in {*FIRST, *LAST} else name for name in names}
    rows = [
        {**_facts(t), **{columns[n]: v for n, v in without_reserved(t.values).items()}}
        for t in trials
    ]
    index = pd.Index([trial.trial_id for trial in trials], name="trial_id", dtype=object)
    frame = pd.DataFrame(rows, index, [*FIRST, *columns.values(), *LAST])
    whole = [name for name in frame if name in WHOLE or _is_whole_with_gaps(name, rows)]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _facts(trial: Trial) -> dict[str, Any]:
    note = trial.note or Note(0)
    stop = note.stop or note.dry_stop or StopNote(0, "")
    return {
        "status": trial.status.lower(),
        "score": trial.score,
        "epochs": note.epochs if trial.note else None,
        "horizon": note.horizon,
        "seconds": note.seconds if note.attempts and trial.note else None,
        "parent": note.parent,
        "rung": note.rung if trial.note else None,
        "stop_epoch": stop.epoch or None,
        "stop_reason": note.stop_reason,
        "dry_stop_reason": note.dry_stop_reason,
        "expected": stop.mean,
        "expected_low": stop.low,
        "expected_high": stop.high,
        "probability": stop.probability,
        "incumbent": stop.incumbent,
        "error": _last_line(trial.message),
    }


def _last_line(message: str | None) -> str | None:
    """What an error says: the last line of its traceback."""
    lines = (message or "").strip().splitlines()
    return lines[-1] if lines else None


def _is_whole_with_gaps(name: str, rows: list[dict[str, Any]]) -> bool:
    """Whether a column holds whole numbers and gaps, which pandas would make fractions."""
    kinds = {type(row.get(name)) for row in rows}
    return kinds == {int, type(None)}
