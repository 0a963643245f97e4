"""The trials of a search for other tools: a study of Optuna's."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kt_plus.engine.dimensions import Dimension, Discrete, Numeric
from kt_plus.engine.history import Value
from kt_plus.engine.ledger import Note
from kt_plus.engine.space import Space
from kt_plus.errors import ResultsError
from kt_plus.results.reading import Trial, read

if TYPE_CHECKING:
    import optuna

STATES = {"RUNNING": "RUNNING", "COMPLETED": "COMPLETE", "INVALID": "FAIL", "FAILED": "FAIL"}


def to_optuna(search: Any, storage: Any = None, study_name: str | None = None) -> optuna.Study:
    """The trials of a search as a study of Optuna's.

    When to use it: for Optuna's plots, its hyperparameter importances and its dashboard. It
    reads projects of plain Keras Tuner as well.

    Args:
        search: A tuner, or the directory of its project. A damaged trial is named in a
            warning, and left out.
        storage: Where Optuna keeps the study, such as `"sqlite:///study.db"`, which
            optuna-dashboard opens; in memory by default.
        study_name: The name of the study; that of the project by default.

    Returns:
        A study with all trials in the order in which they started. The learning curve
        gives the intermediate values, at epochs counted from 1; a trial that was stopped
        is pruned, and its value the best that it reached; so is one of lower fidelity.
        Hyperparameters have their own values, an ordered choice is categorical; one name
        under several conditions has a number behind the name. `user_attrs` has
        `trial_id`, `parent`, `rung`, `stop_reason` and `error`.

    Raises:
        ResultsError: If there is no project, or the storage has a study of that name.
        ImportError: If Optuna is not installed.

    Example:

    ```python
    study = kt_plus.results.to_optuna("searches/digits")
    optuna.visualization.matplotlib.plot_param_importances(study)
    ```
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            'A study needs Optuna, which is not installed. Run: pip install "kt_plus[optuna]"'
        ) from error
    from kt_plus.search_strategies.optuna_study import parameter_names, quiet

    found = read(search)
    space = found.space
    names, distributions = parameter_names(space), _distributions(space, found.trials)
    name = study_name or os.path.basename(os.path.normpath(found.directory))
    direction = "maximize" if found.sign > 0 else "minimize"
    try:
        with quiet():
            study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    except optuna.exceptions.DuplicatedStudyError as error:
        raise ResultsError(
            f"The storage {storage!r} has a study {name!r} already. Expected none, as trials "
            "would be there twice. Give another `study_name`, or delete it with "
            "optuna.delete_study."
        ) from error
    with warnings.catch_warnings():  # Optuna calls names of metrics experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([found.objective or "score"])
    began = datetime.now() - timedelta(seconds=max((_end(t) for t in found.trials), default=0.0))
    study.add_trials(_frozen(t, space, names, distributions, began) for t in found.trials)
    return study


def _distributions(space: Space, trials: list[Trial]) -> dict[Dimension, Any]:
    """One distribution for each hyperparameter, without steps if some value is beside them."""
    seen: dict[Dimension, set[Value]] = {d: set() for d in space.dimensions}
    for trial in trials:
        for d, value in space.active(trial.values).items():
            seen[d].add(value)
    return {d: _distribution(d, seen[d]) for d in space.dimensions}


def _distribution(d: Dimension, seen: set[Value]) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    from kt_plus.search_strategies.optuna_study import distribution_of, parameter_of

    if isinstance(d, Discrete):
        return CategoricalDistribution(d.choices)
    assert isinstance(d, Numeric)
    if d.sampling == "linear" and all(
        math.isclose(parameter_of(d, v), float(v), abs_tol=1e-9) for v in seen
    ):
        return distribution_of(d)
    log = d.sampling == "log"
    if d.integer:
        return IntDistribution(int(d.low), int(d.high), log=log)
    return FloatDistribution(d.low, d.high, log=log)


def _frozen(
    trial: Trial,
    space: Space,
    names: Mapping[Dimension, str],
    distributions: Mapping[Dimension, Any],
    began: datetime,
) -> Any:
    from optuna.trial import TrialState, create_trial

    note = trial.note or Note(0)
    state, score = STATES.get(trial.status, "RUNNING"), trial.score
    if state == "COMPLETE" and (score is None or not math.isfinite(score)):
        state = "FAIL"
    elif state == "COMPLETE" and (note.stop or not note.full_fidelity):
        state = "PRUNED"
    values = {d: _within(d, v) for d, v in space.active(trial.values).items()}
    frozen = create_trial(
        state=TrialState[state],
        value=score if state in ("COMPLETE", "PRUNED") else None,
        params={names[d]: value for d, value in values.items()},
        distributions={names[d]: distributions[d] for d in values},
        intermediate_values=_curve(note),
        user_attrs=_attributes(trial, note),
    )
    if note.ended is not None:
        frozen.datetime_complete = began + timedelta(seconds=_end(trial))
        frozen.datetime_start = frozen.datetime_complete - timedelta(seconds=note.seconds)
    return frozen


def _within(d: Dimension, value: Value) -> Value:
    """The value; Keras Tuner's may be a rounding error outside of the range."""
    if not isinstance(d, Numeric):
        return value
    return min(max(d.canonical(value), d.canonical(d.low)), d.canonical(d.high))  # type: ignore


def _curve(note: Note) -> dict[int, float]:
    """The curve of the last execution, by the number of the epoch, counted from 1."""
    if not note.curves:
        return {}
    curve = note.curves[-1]
    return {curve.first_epoch + i: float(v) for i, v in enumerate(curve.values, 1)}


def _attributes(trial: Trial, note: Note) -> dict[str, Any]:
    told = {
        "trial_id": trial.trial_id,
        "parent": note.parent,
        "rung": note.rung if trial.note else None,
        "stop_reason": note.stop_reason,
        "error": ((trial.message or "").strip().splitlines() or [None])[-1],
    }
    return {name: value for name, value in told.items() if value is not None}


def _end(trial: Trial) -> float:
    return trial.note.search_seconds if trial.note else 0.0
