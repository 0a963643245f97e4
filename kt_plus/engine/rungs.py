"""What a worker must know of a trial that belongs to a rung, in reserved values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def parent_of(trial: Any) -> str | None:
    """The trial that this one goes on from."""
    return trial.hyperparameters.values.get(PARENT)  # type: ignore[no-any-return]
