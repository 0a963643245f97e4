"""The trials of a search as a data frame of pandas."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kt_plus.engine.ledger import Curve, Note, StopNote, without_reserved
from kt_plus.engine.retrained import scores
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
    "fidelity",
    "runs",
    "spread",
    "inherited",
    "retrained",
    "stop_epoch",
    "stop_cause",
    "stop_reason",
    "dry_stop_reason",
    "expected",
    "expected_low",
    "expected_high",
    "probability",
    "incumbent",
    "error",
)
WHOLE = ("epochs", "horizon", "rung", "runs", "inherited", "stop_epoch")


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
        - `parent`, `rung`: what it was derived from, and its fidelity level; `fidelity`: what
          that is, in words, if the search has a ladder.
        - `runs`: how often it was run, once for each execution or fold; `spread`: the standard
          deviation of the values of the runs, which `runs_to_dataframe` lists.
        - `inherited`: for how many epochs the weights that the trial began with had been trained,
          along its line of parents; 0 if it began from scratch. `retrained`: its score from
          scratch, if `retrain_best` has found it.
        - `stop_reason`: why it was stopped early; `dry_stop_reason`: why it would have been,
          in a dry run; `stop_epoch`: after which epoch; `stop_cause`: "rule", or "budget" where
          a limit on time or epochs ended it.
        - `expected`, `expected_low`, `expected_high`: the median and the 90 % interval of the
          forecast of its best value when it was stopped; `probability`: that it would have
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
    pd = _pandas()
    found = read(search)
    trials, retrained = found.trials, scores(found.directory)
    names = dict.fromkeys(name for trial in trials for name in without_reserved(trial.values))
    columns = {name: f"hp.{name}" if name in {*FIRST, *LAST} else name for name in names}
    rows = [
        {
            **_facts(t, retrained.get(t.trial_id)),
            **{columns[n]: v for n, v in without_reserved(t.values).items()},
        }
        for t in trials
    ]
    index = pd.Index([trial.trial_id for trial in trials], name="trial_id", dtype=object)
    frame = pd.DataFrame(rows, index, [*FIRST, *columns.values(), *LAST])
    whole = [name for name in frame if name in WHOLE or _is_whole_with_gaps(name, rows)]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def runs_to_dataframe(search: Any) -> pd.DataFrame:
    """The runs of the trials of a search, one in a row: executions, and folds.

    When to use it: to see how far the runs of a trial lie apart, with `executions_per_trial`
    or `folds`, and how each of them went.

    Args:
        search: A tuner, or the directory of its project.

    Returns:
        A data frame with the columns `trial_id`; `run`, from 0; `value`, the objective's at
        the run's best epoch, empty while the trial runs; `epochs`, how many were trained;
        `first_epoch`, counted from 0; `curve`, a list of the objective's values after each.

    Raises:
        ResultsError: If there is no project.
        ImportError: If pandas is not installed.

    Example:

    ```python
    runs = kt_plus.results.runs_to_dataframe(tuner)
    runs.groupby("trial_id").value.agg(["mean", "std"])
    ```
    """
    pd = _pandas()
    rows = [row for trial in read(search).trials for row in _runs(trial)]
    columns = ["trial_id", "run", "value", "epochs", "first_epoch", "curve"]
    return pd.DataFrame(rows, columns=columns)


def _runs(trial: Trial) -> Iterator[dict[str, Any]]:
    note = trial.note or Note(0)
    values: Sequence[float | None] = note.runs or [trial.score]
    for run in range(max(len(note.runs), len(note.curves), trial.score is not None)):
        curve = note.curves[run] if run < len(note.curves) else Curve()
        yield {
            "trial_id": trial.trial_id,
            "run": run,
            "value": values[run] if run < len(values) else None,
            "epochs": len(curve.values),
            "first_epoch": curve.first_epoch,
            "curve": curve.values,
        }


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            'A data frame needs pandas, which is not installed. Run: pip install "kt_plus[plots]"'
        ) from error
    return pd


def _facts(trial: Trial, retrained: float | None) -> dict[str, Any]:
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
        "fidelity": note.fidelity,
        "runs": len(note.runs) or (1 if trial.score is not None and trial.note else None),
        "spread": statistics.stdev(note.runs) if len(note.runs) > 1 else None,
        "inherited": note.inherited if trial.note else None,
        "retrained": retrained,
        "stop_epoch": stop.epoch or None,
        "stop_cause": stop.cause if stop.epoch else None,
        "stop_reason": note.stop_reason,
        "dry_stop_reason": note.dry_stop_reason,
        "expected": stop.expected,
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
