"""What a search knows of its trials, and what it says of the next one."""

from __future__ import annotations

import contextlib
import enum
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, overload

if TYPE_CHECKING:
    from kt_plus.performance_estimation.learning_curves.forecast import Forecast

Value = bool | int | float | str
Status = Literal["running", "completed", "failed"]


@dataclass(frozen=True)
class Verdict:
    """What a stopper says of a running trial: whether it should stop, and why.

    Args:
        stop: Whether the trial should end after this epoch.
        reason: The reason in words and numbers, fit to be shown to the user:
            `History.show` writes a value as the user knows it.
        forecast: What the curve was expected to become, if the rule has asked. Verdicts
            are compared without it.
        would_stop: Whether it should have ended, but for a dry run, which stops nothing.
    """

    stop: bool
    reason: str = ""
    forecast: Forecast | None = field(default=None, compare=False, repr=False)
    would_stop: bool = False


@dataclass(frozen=True)
class Record:
    """One trial as the search sees it: larger is better, whatever the objective's direction.

    Args:
        trial_id: The id of the trial in its project.
        values: The active hyperparameters by name, reserved ones left out.
        score: The trial's result. `None` while it runs, or if it failed.
        status: `"running"`, `"completed"` or `"failed"`.
        curve: The objective after each epoch of the current execution. An epoch
            without a report repeats the value before it.
        first_epoch: The epoch, counted from 0, that `curve[0]` belongs to.
        earlier_curves: The curves of the trial's earlier executions.
        rung: The fidelity level that the trial runs at, from 0.
        parent: The id of the trial that this one was derived from.
        verdict: The verdict that ended the trial early, if one did.
        unused: The names in `values` that the model never asked for. `None` while
            the model may still ask for names that are not in `values` at all.
        horizon: The number of the last epoch that the trial is to run, counted from 1,
            `first_epoch` and all; `None` if that is not known. Trials of one search may
            have different ones, and may complete before theirs.
        ended: The trial's place in the order in which trials ended, from 0. `None`
            while it runs, and for trials of an earlier search.
        seen: The place of the first end that came after this trial was proposed: what
            ended before was known to whoever proposed it. `None` if that is unknown.
        full_fidelity: Whether the trial is trained as the user asked.
        runs: The result of each execution or fold, if there were several.
        earlier: The directory of the earlier project that the trial is from; `None` for a trial
            of this search.
        memo: The `memo` of its proposal.
    """

    trial_id: str
    values: Mapping[str, Value]
    score: float | None = None
    status: Status = "running"
    curve: tuple[float, ...] = ()
    first_epoch: int = 0
    earlier_curves: tuple[tuple[float, ...], ...] = ()
    rung: int = 0
    parent: str | None = None
    verdict: Verdict | None = None
    unused: frozenset[str] | None = None
    horizon: int | None = None
    ended: int | None = None
    seen: int | None = None
    full_fidelity: bool = True
    runs: tuple[float, ...] = ()
    earlier: str | None = None
    memo: Mapping[str, Any] | None = None

    @property
    def fitness(self) -> float:
        """The score for comparisons: without one, or with NaN, nothing is worse."""
        return -math.inf if self.score is None or math.isnan(self.score) else self.score


def best_value(curve: Sequence[float]) -> float:
    """The largest finite value of a curve; minus infinity if there is none."""
    return max((float(value) for value in curve if math.isfinite(value)), default=-math.inf)


@dataclass(frozen=True)
class Proposal:
    """A configuration to try next.

    Args:
        values: A value for every active hyperparameter, as plain Python scalars.
        parent: The id of the trial that the configuration was derived from.
        changed: The names whose values differ from the parent's.
        rung: The fidelity level to run at, from 0.
        memo: State of the strategy that it cannot derive from other fields of the history, as
            JSON can hold it. The engine stores it with the trial and returns it in the `Record`.
    """

    values: Mapping[str, Value]
    parent: str | None = None
    changed: tuple[str, ...] = ()
    rung: int = 0
    memo: Mapping[str, Any] | None = None


class Signal(enum.Enum):
    """What a strategy answers when it has no configuration to propose."""

    WAIT = "wait"
    DONE = "done"

    def __repr__(self) -> str:
        return self.name


WAIT: Final = Signal.WAIT
DONE: Final = Signal.DONE


Fingerprint = Callable[[Mapping[str, Value]], str]
"""A string that configurations share which come to the same."""


class _Tried:
    """The configurations tried, found again in constant time."""

    def __init__(self, fingerprint: Fingerprint | None = None) -> None:
        self.fingerprint = fingerprint
        self._alike: Counter[str] = Counter()
        self._fingerprints: dict[frozenset[tuple[str, Value]], str] = {}
        self._exactly: Counter[frozenset[tuple[str, Value]]] = Counter()
        self._by_asked: dict[tuple[str, ...], Counter[tuple[Value, ...]]] = {}

    def count(self, record: Record, by: int) -> None:
        self._exactly[frozenset(record.values.items())] += by
        if (fingerprint := self._fingerprint_of(record)) is not None:
            self._alike[fingerprint] += by
        if record.unused is not None:
            asked = tuple(sorted(record.values.keys() - record.unused))
            seen = self._by_asked.setdefault(asked, Counter())
            seen[tuple(record.values[name] for name in asked)] += by

    def _fingerprint_of(self, record: Record) -> str | None:
        """That of a trial; none of an earlier search's, whose values may be of another space."""
        values = frozenset(record.values.items())
        if self.fingerprint is not None and values not in self._fingerprints:
            with contextlib.suppress(Exception):
                self._fingerprints[values] = self.fingerprint(record.values)
        return self._fingerprints.get(values)

    def __contains__(self, values: Mapping[str, Value]) -> bool:
        if self._exactly[frozenset(values.items())] > 0:
            return True
        if self.fingerprint is not None and self._alike[self.fingerprint(values)] > 0:
            return True
        return any(
            all(name in values for name in asked) and seen[tuple(values[n] for n in asked)] > 0
            for asked, seen in self._by_asked.items()
        )


class History(Sequence[Record]):
    """The trials of a search in the order in which they started.

    A strategy or stopper reads it and leaves it as it is; the engine keeps one up
    to date with `put`, so that looking at a long history costs no more than
    looking at a short one.

    Args:
        records: The trials to begin with, oldest first.
        sign: -1 if the user's objective is minimised, so that `show` can write values as
            the user knows them. Nothing else depends on it.

    Example:
    ```python
    history = History([Record("0", {"units": 32}, score=0.9, status="completed")])
    history.best.values          # {"units": 32}
    history.tried({"units": 64}) # False
    ```
    """

    def __init__(self, records: Iterable[Record] = (), sign: int = 1) -> None:
        self.sign = sign
        self.dry: History | None = None
        """The trials as they would be had the stops of a dry run been real, if there is one."""
        self._records: list[Record] = []
        self._position: dict[str, int] = {}
        self._completed: list[Record] = []
        self._best: Record | None = None
        self._tried = _Tried()
        for record in records:
            self.put(record)

    def put(self, record: Record) -> None:
        """Adds a trial, or replaces what was known of it. For the engine only."""
        position = self._position.setdefault(record.trial_id, len(self._records))
        known = self._records[position] if position < len(self._records) else None
        if known is None:
            self._records.append(record)
        else:
            self._records[position] = record
        if known is None or known.values != record.values or known.unused != record.unused:
            if known is not None:
                self._tried.count(known, -1)
            self._tried.count(record, 1)
        if known is not None and known.status == "completed":
            del self._completed[self._rank(known)]
            if known is self._best:
                full = (r for r in self._completed if r.full_fidelity)
                self._best = max(full, key=self._merit, default=None)
        if record.status == "completed":
            self._completed.insert(self._rank(record), record)
            if self._best is None or self._merit(record) > self._merit(self._best):
                self._best = record if record.full_fidelity else self._best

    def identify_by(self, fingerprint: Fingerprint | None) -> None:
        """Takes configurations of one fingerprint for the same. For the engine only."""
        self._tried = _Tried(fingerprint)
        for record in self._records:
            self._tried.count(record, 1)

    def _rank(self, record: Record) -> int:
        position = self._position[record.trial_id]
        return bisect_left(self._completed, position, key=lambda r: self._position[r.trial_id])

    def _merit(self, record: Record) -> tuple[float, int]:
        return record.fitness, -self._position[record.trial_id]

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __repr__(self) -> str:
        return f"History({len(self)} trials, {len(self._completed)} completed)"

    def get(self, trial_id: str) -> Record | None:
        """The trial of that id, or `None`."""
        position = self._position.get(trial_id)
        return None if position is None else self._records[position]

    @property
    def completed(self) -> Sequence[Record]:
        """The completed trials, in the order in which they started."""
        return self._completed

    @property
    def best(self) -> Record | None:
        """The incumbent: the completed trial with the highest score, the oldest of equals.

        Trials of a lower fidelity do not compete.
        """
        return self._best

    def show(self, value: float) -> str:
        """A value of the objective in the user's sign, to four digits."""
        return f"{self.sign * value:.4g}"

    def tried(self, values: Mapping[str, Value]) -> bool:
        """Whether a trial with these values, or with others that build the same model, was started.

        A model is known to be the same when every value that an earlier build asked
        for is equal: values that it did not ask for cannot have changed it.
        """
        return values in self._tried
