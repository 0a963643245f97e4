"""What a worker must know of a trial that belongs to a rung: reserved values, and folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kt_plus.engine import project
from kt_plus.engine.history import Proposal, Value
from kt_plus.engine.ledger import RESERVED, Note
from kt_plus.performance_estimation.fidelity import Ladder

RUNG = RESERVED + "rung"
"""Under this name stands the rung of a trial."""

PARENT = RESERVED + "parent"
"""The trial from whose last epoch on it is trained, if it goes on."""

FIRST = RESERVED + "first_trial"
"""The trial of the first rung that it was promoted from, whose seeds it goes on with."""

INITIAL_EPOCH = RESERVED + "initial_epoch"
"""The number of epochs that are trained already, as Keras Tuner's Hyperband tells it."""


def directives(ladder: Ladder, proposal: Proposal, trials: Mapping[str, Any]) -> dict[str, Value]:
    """The reserved values of a trial: the level of each fidelity, and what it goes on from.

    Args:
        ladder: What each rung trains at.
        proposal: The trial; one above the first rung was promoted from its parent.
        trials: The trials so far, by their ids.
    """
    rung, parent = proposal.rung, proposal.parent
    values = {RESERVED + name: level for name, level in ladder.directives(rung).items()}
    values[RUNG] = rung
    if rung and parent is not None:
        values[FIRST] = trials[parent].hyperparameters.values.get(FIRST, parent)
        if ladder.goes_on(rung):
            values[PARENT] = parent
            values[INITIAL_EPOCH] = ladder.directives(rung - 1).get("epochs", 0)
    return values


def describe(note: Note, ladder: Ladder) -> None:
    """Keeps with a trial what its rung trains at."""
    note.full_fidelity = note.rung >= len(ladder) - 1
    note.fidelity = ladder.describe(note.rung)


def states(
    trial: Any, ladder: Ladder | None, folder_of: Callable[[str], str]
) -> tuple[str | None, str | None]:
    """Where the state is from which a trial goes on, and where to keep that in which it ends.

    Args:
        trial: The trial; the former is `None` if it begins at its first epoch.
        ladder: What each rung trains at; the latter is `None` if no rung goes on from this one.
        folder_of: Tells the folder of a trial.
    """
    values = trial.hyperparameters.values
    parent, next_rung = values.get(PARENT), int(values.get(RUNG, 0)) + 1
    begins = None if parent is None else project.final_state_folder(folder_of(parent))
    if ladder is None or next_rung >= len(ladder) or not ladder.goes_on(next_rung):
        return begins, None
    return begins, project.final_state_folder(folder_of(trial.trial_id))


def parent_of(trial: Any) -> str | None:
    """The trial that this one goes on from."""
    return trial.hyperparameters.values.get(PARENT)  # type: ignore[no-any-return]
