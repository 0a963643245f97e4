"""The trials of a search for TensorBoard: hyperparameters, curves, scores."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from kt_plus.engine.dimensions import Dimension, Discrete, Numeric
from kt_plus.engine.hparams import Events
from kt_plus.engine.ledger import Curve, Note, is_finite
from kt_plus.errors import ResultsError
from kt_plus.results.overview import kind_of
from kt_plus.results.reading import Search, Trial, read

SCORE = "trial/score"


def to_tensorboard(search: Any, log_dir: str | os.PathLike[str]) -> str:
    """Writes the trials of a search as event files, with their hyperparameters.

    When to use it: for TensorBoard's table, parallel coordinates and scatter plots of the
    hyperparameters (HParams), and its curves. It reads projects of plain Keras Tuner as well,
    and needs no TensorFlow. A `keras.callbacks.TensorBoard` given to `search` writes the same
    while the search runs, with whatever else that callback tells.

    Args:
        search: A tuner, or the directory of its project. A damaged trial is named in a
            warning, and left out.
        log_dir: The folder to write to. Each trial has a folder in it, in which each of its
            executions has one. An inactive hyperparameter has no value there. The objective
            after each epoch, counted from 1, is a scalar of its name; `trial/score` is its score.
            A failed trial's last session has failed.

    Returns:
        The folder, to be given to `tensorboard --logdir`.

    Raises:
        ResultsError: If there is no project, or the folder holds event files already.

    Example:

    ```python
    kt_plus.results.to_tensorboard("searches/digits", "logs/digits")
    # tensorboard --logdir logs/digits
    ```
    """
    found, folder = read(search), os.fspath(log_dir)
    _check_empty(folder)
    with Events(folder) as events:
        events.add(_experiment(found))
    seconds = [trial.note.search_seconds for trial in found.trials if trial.note]
    began = time.time() - max(seconds, default=0.0)
    for trial in found.trials:
        _write(found, trial, folder, began)
    return folder


def _check_empty(folder: str) -> None:
    for inside, _, names in os.walk(folder):
        if any(".tfevents." in name for name in names):
            raise ResultsError(
                f"{inside!r} holds event files already. Expected none below {folder!r}, as trials "
                "would be there twice. Give another log_dir, or delete this one."
            )


def _experiment(found: Search) -> Any:
    """What there is to be seen: the hyperparameters with their domains, and the metrics."""
    from tensorboard.plugins.hparams import summary_v2 as api

    named: dict[str, list[Dimension]] = {}
    for d in found.space.by_name:
        named.setdefault(d.name, []).append(d)
    hparams = [api.HParam(name, _domain(those)) for name, those in named.items()]
    metrics = [api.Metric(SCORE, display_name=f"score: best {found.objective}".rstrip(": "))]
    if any(trial.note and trial.note.epochs for trial in found.trials):
        metrics.append(api.Metric(found.objective, display_name=f"{found.objective} at the end"))
    return api.hparams_config_pb(hparams, metrics)


def _domain(those: Sequence[Dimension]) -> Any:
    """The values of the hyperparameters of one name, under all its conditions."""
    from tensorboard.plugins.hparams import summary_v2 as api

    discrete = [d for d in those if isinstance(d, Discrete)]
    numeric = [d for d in those if isinstance(d, Numeric)]
    choices = list(dict.fromkeys(c for d in discrete for c in d.choices))
    if not numeric:
        return api.Discrete(choices) if len({type(c) for c in choices}) == 1 else None
    low, high = min(d.low for d in numeric), max(d.high for d in numeric)
    if discrete:
        return None
    if all(d.integer for d in numeric):
        return api.IntInterval(int(low), int(high))
    return api.RealInterval(float(low), float(high))


def _write(found: Search, trial: Trial, folder: str, began: float) -> None:
    """A trial: a session for each of its executions."""
    note, kind = trial.note or Note(0), kind_of(trial)
    values = {d.name: value for d, value in found.space.active(trial.values).items()}
    curves = note.curves or [Curve()]
    end = began + note.search_seconds if note.ended is not None else time.time()
    moments = _spread(end - note.seconds, end, sum(len(c.values) for c in curves))
    for execution, curve in enumerate(curves):
        last = execution == len(curves) - 1
        with Events(os.path.join(folder, trial.trial_id, f"execution{execution}")) as events:
            events.start(values, trial.trial_id, end - note.seconds)
            for epoch, value in enumerate(curve.values, curve.first_epoch + 1):
                events.add(_scalar(found.objective, value), next(moments), epoch)
            if last and is_finite(trial.score):
                step = curve.first_epoch + len(curve.values)
                events.add(_scalar(SCORE, float(trial.score or 0.0)), end, step)
            if not last or kind != "running":
                events.end(not last or kind != "failed", end)


def _spread(start: float, end: float, count: int) -> Iterator[float]:
    """So many moments, evenly spread."""
    return iter([start + (end - start) * (i + 1) / count for i in range(count)])


def _scalar(tag: str, value: float) -> Any:
    from tensorboard.compat.proto import summary_pb2

    return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
