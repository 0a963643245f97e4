"""The history with one trial for each configuration, of those that are trained at several rungs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kt_plus.engine.history import History, Record


class OnePerConfiguration:
    """The history as a source of configurations sees it, kept up to date.

    Args:
        seen: An empty history, which is filled.
    """

    def __init__(self, seen: History) -> None:
        self.seen = seen
        self._known: list[Record] = []
        self._roots: dict[str, str] = {}

    def can_follow(self, history: History) -> bool:
        """Whether what is known is how this history begins, but for what its trials have become."""
        known = self._known
        return len(known) <= len(history) and all(
            a is b or _identity(a) == _identity(b) for a, b in zip(known, history, strict=False)
        )

    def update(self, history: History) -> None:
        """Takes what has changed."""
        for place, record in enumerate(history):
            if place == len(self._known):
                self._known.append(record)
            elif self._known[place] is record:
                continue
            self._known[place] = record
            root = self._roots.get(record.parent or "") if record.rung else None
            self._roots[record.trial_id] = root or record.trial_id
            if root is None:
                self.seen.put(record)
            elif record.status == "completed":
                self._raise(root, record)

    def _raise(self, root: str, promoted: Record) -> None:
        """Lets a configuration count with the score of its highest rung."""
        known = self.seen.get(root)
        if known is not None and known.rung <= promoted.rung:
            self.seen.put(replace(known, score=promoted.score, rung=promoted.rung))


def _identity(record: Record) -> tuple[Any, ...]:
    return record.trial_id, record.rung, record.parent, record.values
