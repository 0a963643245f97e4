"""The stopping rule of a search, asked so that no fault of it can end a trial or the search."""

from __future__ import annotations

import warnings

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.engine.knowledge import Knowledge
from kt_plus.engine.ledger import Note, StopNote
from kt_plus.performance_estimation.stopping import Stopper


class Judge:
    """Asks the rule about each epoch, and keeps its verdict in the trial's note.

    Args:
        rule: What ends hopeless trials; `None` lets all go on.
    """

    def __init__(self, rule: Stopper | None) -> None:
        self.rule = rule
        self._has_failed = False

    def judge(self, trial: Record, knowledge: Knowledge, note: Note) -> bool:
        """Whether the trial should end now."""
        if self.rule is None:
            return False
        try:
            seen, history = knowledge.beside(trial)
            verdict = self.rule.judge(seen, history)
            if verdict.stop:
                note.stop = StopNote.of(verdict, trial, history)
            elif verdict.would_stop and note.dry_stop is None:
                note.dry_stop = StopNote.of(verdict, trial, history)
            return bool(verdict.stop)
        except Exception as error:
            self._warn(error)
            return False

    def end(self, trial: Record, history: History, note: Note, reason: str) -> bool:
        """Ends the trial because a limit of the search is reached, for the given reason."""
        note.stop = StopNote.of(Verdict(True, reason), trial, history, cause="budget")
        return True

    def _warn(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            warnings.warn(
                f"The stopping rule {self.rule!r} raised {error!r}. Trials go on "
                "unstopped wherever it does. Mend the rule and start again to use it.",
                stacklevel=2,
            )
