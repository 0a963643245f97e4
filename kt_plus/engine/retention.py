"""Which checkpoints are kept: those that may still be needed, and those of the best trials."""

from __future__ import annotations

import heapq
import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from kt_plus.engine import project, rungs, storage
from kt_plus.engine.best_trials import standing
from kt_plus.engine.inheritance import INHERIT
from kt_plus.engine.ledger import RESERVED

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle

DEFAULT = 50
"""How many of the best trials keep their checkpoints: more than `get_best_models` is asked for."""

GOES_ON_FROM = (INHERIT, rungs.PARENT, RESERVED + "trial_id")
"""Under these names stand the trials whose checkpoints a trial begins with."""


class Retention:
    """Removes the checkpoints of trials that can no longer be parents, be promoted or be best.

    Args:
        keep: How many of the best trials keep theirs, or "all" for all trials.

    Raises:
        ValueError: If it is neither a whole number of at least 1 nor "all".
    """

    def __init__(self, keep: Any = DEFAULT) -> None:
        whole = isinstance(keep, int) and not isinstance(keep, bool) and keep >= 1
        if not whole and keep != "all":
            raise ValueError(
                f"keep_checkpoints={keep!r} was given. Expected how many of the best trials keep "
                f"their checkpoints, at least 1, or 'all'. Leave it out for {DEFAULT}."
            )
        self.keep = keep
        self._stored: dict[str, None] = {}

    def forget(self, ended: Iterable[str]) -> None:
        """Begins with trials of which nothing is known: their checkpoints may be there."""
        self._stored = dict.fromkeys(ended)

    def settle(self, oracle: Oracle, ended: str) -> None:
        """Removes what nobody needs any more, now that a trial has ended."""
        self._stored[ended] = None
        if self.keep == "all":
            return
        needed = {*oracle.needed_trials(), *_gone_on_from(oracle)}
        best = self._best(oracle)
        for trial_id in [*self._stored]:
            folder = os.path.dirname(project.trial_file(oracle, trial_id))
            if trial_id not in needed and oracle.ladder is not None:
                storage.remove_folder(project.final_state_folder(folder))
            if trial_id not in needed and trial_id not in best:
                storage.remove_file(project.checkpoint_file(folder))
                del self._stored[trial_id]

    def _best(self, oracle: Oracle) -> Collection[str]:
        """The best of those that have theirs: one that was removed stays behind these."""
        completed = (t for t in self._stored if oracle.trials[t].status == "COMPLETED")

        def key(trial_id: str) -> tuple[Any, ...]:
            return *standing(oracle, oracle.trials[trial_id]), oracle.notes[trial_id].started

        return set(heapq.nsmallest(self.keep, completed, key=key))


def _gone_on_from(oracle: Oracle) -> set[str]:
    """The trials from whose checkpoints running ones begin, or will when they run again."""
    running = [*oracle.ongoing_trials.values(), *(oracle.trials[t] for t in oracle._retry_queue)]
    values = [trial.hyperparameters.values for trial in running]
    return {each[name] for each in values for name in GOES_ON_FROM if name in each}
