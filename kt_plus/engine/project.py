"""A project directory: what it tells of its search, and how a crashed one is mended."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras_tuner
from keras_tuner.engine import trial as kt_trial

from kt_plus.engine import storage
from kt_plus.engine.history import Record
from kt_plus.engine.ledger import Note, record_of
from kt_plus.engine.objectives import parts
from kt_plus.errors import ResumeError

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle

SECTION = "kt_plus"
"""Our entry in Keras Tuner's files, which Keras Tuner itself ignores."""

SCHEMA = 1
EARLIER = "earlier_trials.json"

ENDED = (kt_trial.TrialStatus.COMPLETED, kt_trial.TrialStatus.FAILED)


def trial_file(oracle: Oracle, trial_id: str) -> str:
    """Where a trial is kept."""
    return os.path.join(directory(oracle), f"trial_{trial_id}", "trial.json")


def resume_folder(trial_dir: str) -> str:
    """Where the checkpoints of a running trial are kept."""
    return os.path.join(trial_dir, "resume")


def final_state_folder(trial_dir: str) -> str:
    """Where the states are kept in which a trial has ended, from which a promoted one goes on."""
    return os.path.join(trial_dir, "final_state")


def remove_states(oracle: Oracle, ended: str, parent: str | None) -> None:
    """Removes the states from which nobody will go on any more.

    Args:
        oracle: The search.
        ended: The trial whose run has ended, for good or bad.
        parent: The trial that it went on from, and will not go on from again.
    """
    storage.remove_folder(resume_folder(os.path.dirname(trial_file(oracle, ended))))
    if parent is not None:
        storage.remove_folder(final_state_folder(os.path.dirname(trial_file(oracle, parent))))


def checkpoint_file(trial_dir: str) -> str:
    """Where Keras Tuner keeps the weights of a trial's best epoch."""
    return os.path.join(trial_dir, "checkpoint.weights.h5")


def directory(oracle: Oracle) -> str:
    """The project directory of the oracle's search."""
    return os.path.join(str(oracle._directory), oracle._project_name)


def search_config(oracle: Oracle) -> dict[str, Any]:
    """What the project tells of its search, beyond what Keras Tuner saves."""
    return {
        "schema": SCHEMA,
        "search": search_name(oracle),
        "objective": objective_config(oracle.objective),
        "surrogate": getattr(oracle.strategy, "surrogate", None),
        "ladder": oracle.ladder.get_config() if oracle.ladder else None,
        "seconds": oracle.budget.seconds,
        "epochs": oracle.budget.epochs,
    }


def search_name(oracle: Oracle) -> str:
    """The name of the strategy, or of the oracle that is its own strategy."""
    strategy = oracle if oracle.strategy is None else oracle.strategy
    return str(getattr(strategy, "search_name", type(strategy).__name__))


def objective_config(objective: Any) -> list[list[str]]:
    """Name and direction of every objective, sorted."""
    return sorted([o.name, o.direction] for o in parts(objective))


def reload(oracle: Oracle) -> None:
    """Reads the project again: each trial's file is the truth, the oracle's file a summary.

    Killed at any moment, a project holds only whole files, so that what the summary
    lacks is told by the trials. A trial that was running is queued to run again.
    """
    state = _read_state(oracle)
    _check_same_search(oracle, state.get(SECTION, {}))
    # A search that began without a surrogate, as all of version 0.1 did, continues without one.
    if SECTION in state and state[SECTION].get("surrogate") is None:
        without = getattr(oracle.strategy, "without_surrogate", None)
        oracle.strategy = oracle.strategy if without is None else without()
    trials, notes = _read_trials(directory(oracle), state)
    _check_scored_alike(oracle, trials)
    order = sorted(trials, key=lambda trial_id: notes[trial_id].started)
    ended = [t for t in order if notes[t].ended is not None]
    ended.sort(key=lambda trial_id: notes[trial_id].ended or 0)
    oracle.trials = {trial_id: trials[trial_id] for trial_id in order}
    oracle.notes = notes
    hashes = {t: oracle._compute_values_hash(trials[t].hyperparameters.values) for t in order}
    state.update(
        ongoing_trials={},
        start_order=order,
        end_order=ended,
        run_times={trial_id: notes[trial_id].attempts for trial_id in order},
        retry_queue=[trial_id for trial_id in order if notes[trial_id].ended is None],
        tried_so_far=list(hashes.values()),
        id_to_hash=hashes,
    )
    oracle.set_state(state)
    oracle.knowledge = oracle.knowledge.emptied()
    oracle.retention.forget(ended)
    _restore_search(oracle, state.get(SECTION, {}))


def read_again(oracle: Any) -> None:
    """Reads a project again, because another search has written to it.

    Args:
        oracle: The search, of kt_plus or of Keras Tuner.
    """
    if storage.exists(os.path.join(directory(oracle), "oracle.json")):
        warnings.warn(
            f"Another search has written to {directory(oracle)} since this tuner was created. Its "
            "trials are read, and this search continues after them.",
            stacklevel=2,
        )
        oracle.reload()


def _restore_search(oracle: Oracle, config: dict[str, Any]) -> None:
    for trial_id in oracle.end_order:
        # Without the oracle's own method, which writes: a search may be running elsewhere.
        keras_tuner.Oracle.update_space(oracle, oracle.trials[trial_id].hyperparameters)
    notes = oracle.notes.values()
    oracle.budget.resume(
        max([config.get("seconds", 0.0), *(n.search_seconds for n in notes)]),
        max(config.get("epochs", 0), sum(n.epochs for n in notes)),
    )
    oracle.learn_from_earlier_projects()
    for trial_id in oracle.start_order:
        note = oracle.notes[trial_id]
        oracle.knowledge.put(record_of(oracle.trials[trial_id], note, oracle.sign), note)


def _read_state(oracle: Oracle) -> dict[str, Any]:
    path = os.path.join(directory(oracle), "oracle.json")
    try:
        state = storage.read_json(path)
    except ValueError:
        state = None
        warnings.warn(
            f"{path} is damaged. The search goes on from its trials' own files.", stacklevel=2
        )
    return state or oracle.get_state()


def _check_same_search(oracle: Oracle, config: dict[str, Any]) -> None:
    now = {what: search_config(oracle)[what] for what in ("search", "objective", "ladder")}
    for what in now:
        # A name may stand for another direction than in the version that wrote the project.
        how = ", as a kt_plus.Objective with its direction" if what == "objective" else ""
        before = config.get(what, now[what])
        if before != now[what]:
            raise ResumeError(
                f"The project {directory(oracle)} holds a search with the {what} {before}; the "
                f"one that would go on in it has {now[what]}. Give the same {what} again{how}, "
                "choose another `project_name`, or pass `overwrite=True` to delete the old search. "
                f"To learn from its trials, pass `history={directory(oracle)!r}` to a new project."
            )
    if config.get("schema", SCHEMA) > SCHEMA:
        raise ResumeError(
            f"The project {directory(oracle)} was written by a newer version of kt_plus "
            f"(schema {config['schema']}, expected {SCHEMA}). Install that version to go on."
        )


def _check_scored_alike(oracle: Oracle, trials: dict[str, Any]) -> None:
    """Plain Keras Tuner does not save the objective; the metrics of its trials tell it."""
    _check_direction(oracle, directory(oracle), trials)
    for trial in trials.values():
        if trial.score is not None and not trial.metrics.exists(oracle.objective.name):
            raise ResumeError(
                f"Trial {trial.trial_id} of the project {directory(oracle)} has no metric "
                f"{oracle.objective.name!r}: it was scored by another objective. Give that one, "
                "choose another `project_name`, or pass `overwrite=True`."
            )


def _check_direction(oracle: Oracle, project_dir: str, trials: dict[str, Any]) -> None:
    """Raises if the trials were scored in the opposite direction, as Keras Tuner may have done."""
    name, direction = oracle.objective.name, oracle.objective.direction
    for trial in trials.values():
        scored = trial.score is not None and trial.metrics.exists(name)
        if scored and trial.metrics.get_direction(name) != direction:
            before = trial.metrics.get_direction(name)
            raise ResumeError(
                f"Trial {trial.trial_id} of the project {project_dir} has the direction {before!r} "
                f"for {name!r}, and this search has {direction!r}: its scores are those of the "
                f"worst epochs. Give kt_plus.Objective({name!r}, {before!r}) to use them as they "
                "are, or start a new project without them."
            )


def _read_trials(project_dir: str, state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Note]]:
    trials, configs = {}, {}
    for path in storage.trial_files(project_dir):
        try:
            content = storage.read_json(path)
            trial = kt_trial.Trial.from_state(content)
        except (ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path} is damaged and is left out ({error!r}).", stacklevel=2)
            continue
        trials[trial.trial_id] = trial
        configs[trial.trial_id] = content.get(SECTION)
    notes = {t: Note.from_config(config) for t, config in configs.items() if config}
    return trials, {**notes, **_notes_of_keras_tuner(trials, notes, state)}


def _notes_of_keras_tuner(
    trials: dict[str, Any], notes: dict[str, Note], state: dict[str, Any]
) -> dict[str, Note]:
    """Notes for the trials that plain Keras Tuner has written, in the order that it tells."""
    place = {trial_id: i for i, trial_id in enumerate(state["start_order"])}
    ends = {trial_id: i for i, trial_id in enumerate(state["end_order"])}
    foreign = sorted(trials.keys() - notes.keys(), key=lambda t: (place.get(t, len(place)), t))
    first = max((note.started for note in notes.values()), default=-1) + 1
    return {
        trial_id: Note(
            started=first + i,
            ended=ends.get(trial_id, first + i) if trials[trial_id].status in ENDED else None,
            attempts=state["run_times"].get(trial_id, 0),
        )
        for i, trial_id in enumerate(foreign)
    }


def earlier_trials(oracle: Oracle, projects: Iterable[str]) -> list[dict[str, Any]]:
    """Returns the completed trials of earlier projects, as this project kept them if it did.

    Raises:
        ResumeError: If a project does not exist, or had another objective.
    """
    kept = storage.read_json(os.path.join(directory(oracle), EARLIER))
    if kept is None:
        kept = [trial for project in projects for trial in _completed_in(oracle, str(project))]
    return list(kept)


def keep_earlier_trials(oracle: Oracle, trials: list[dict[str, Any]]) -> None:
    """Writes the trials of earlier projects into this one, unless it has them."""
    path = os.path.join(directory(oracle), EARLIER)
    if not storage.exists(path):
        storage.write_json(path, trials)


def records_of(trials: Iterable[dict[str, Any]], sign: int) -> list[Record]:
    """Returns the trials of earlier projects as strategies see them."""
    return [
        Record(
            t["trial_id"],
            t["values"],
            sign * t["score"],
            "completed",
            earlier=t["trial_id"].rpartition("/")[0],
        )
        for t in trials
    ]


def _completed_in(oracle: Oracle, project_dir: str) -> list[dict[str, Any]]:
    state = storage.read_json(os.path.join(project_dir, "oracle.json"))
    if state is None:
        raise ResumeError(
            f"history={project_dir!r} is not a project directory: it has no oracle.json. Give "
            "the folder that an earlier search wrote, its directory and project_name joined."
        )
    objective = state.get(SECTION, {}).get("objective", objective_config(oracle.objective))
    if objective != objective_config(oracle.objective):
        raise ResumeError(
            f"history={project_dir!r} was searched for {objective}, this search is for "
            f"{objective_config(oracle.objective)}: their scores cannot be compared."
        )
    trials, notes = _read_trials(project_dir, state)
    _check_direction(oracle, project_dir, trials)
    records = (record_of(trials[t], notes[t], 1) for t in sorted(trials))
    return [
        {"trial_id": f"{project_dir}/{r.trial_id}", "values": dict(r.values), "score": r.score}
        for r in records
        if r.score is not None
    ]
