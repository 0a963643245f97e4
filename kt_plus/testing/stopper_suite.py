"""What every stopping rule has to do, as tests to inherit."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.testing.simulation import in_another_process, invented_history

ODD = (math.nan, math.inf, -math.inf, 1e34, -1e34, sys.float_info.max)
"""What diverging training reports."""


class StopperSuite:
    """What every stopping rule has to do. Inherit it, and say how yours is made.

    When to use it: for any rule that `kt_plus.Oracle(stopping=...)` is to obey.

    Attributes:
        scale_free: Whether all curves may be shifted, and scaled by a positive factor,
            without a change of any verdict. A rule with a threshold of its own is not.

    Example:
    ```python
    class TestMyRule(StopperSuite):
        def make_stopper(self):
            return MyRule()
    ```
    """

    scale_free: bool = True

    def make_stopper(self) -> Stopper:
        """A new rule, the same at every call, that stops some of the trials in `histories`."""
        raise NotImplementedError("Override `make_stopper` so that it returns your rule.")

    def histories(self) -> Sequence[History]:
        """Searches with finished and running trials. Override it for a rule that stops none."""
        return [invented_history(seed) for seed in range(5)]

    def test_stops_for_a_reason(self) -> None:
        stops = 0
        for verdict in self._verdicts(self.histories()):
            _assert_sound(verdict, "a usual curve")
            stops += verdict.stop
        assert stops, "It stopped none. Override `histories` with trials that it should stop."

    def test_keeps_no_state(self) -> None:
        stopper, histories = self.make_stopper(), self.histories()
        for history in (*histories, *reversed(histories)):
            for trial in _after_each_epoch(history):
                fresh = self.make_stopper().judge(trial, history)
                assert stopper.judge(trial, history) == fresh, f"It remembers: {trial}."

    def test_verdicts_are_the_same_in_another_process(self) -> None:
        searches = [list(history) for history in self.histories()]
        here = _verdicts(self.make_stopper(), searches)
        there = in_another_process(_verdicts, self.make_stopper(), searches)
        assert there == here, "Another process has other verdicts."

    def test_inputs_are_left_as_they_are(self) -> None:
        for history in self.histories():
            before = list(history)
            for trial in _after_each_epoch(history):
                self.make_stopper().judge(trial, history)
                assert list(history) == before, "The history was changed."

    def test_diverging_curves_never_raise(self) -> None:
        patterns = [*((v,) for v in ODD), *((v, 0.5) for v in ODD), (math.inf, -math.inf)]
        for history in self.histories()[:2]:
            for pattern in patterns:
                wild = [replace(r, curve=_filled(r.curve, pattern)) for r in history]
                one_wild = History([*history[:-1], wild[-1]])
                for verdict in self._verdicts([one_wild, History(wild)]):
                    _assert_sound(verdict, f"a curve of {pattern}")

    def test_short_histories_and_curves_are_survived(self) -> None:
        for curve in ((), (0.5,), (0.5,) * 30):
            trial = Record("0", {}, curve=curve)
            for history in (History(), History([trial]), History([trial, Record("1", {})])):
                _assert_sound(self.make_stopper().judge(trial, history), f"{history}, {curve}")

    def test_order_of_the_other_trials_is_irrelevant(self) -> None:
        for history in self.histories():
            turned = History(reversed(history))
            for trial in _after_each_epoch(history):
                stop = self.make_stopper().judge(trial, history).stop
                same = stop == self.make_stopper().judge(trial, turned).stop
                assert same, f"Another order of the others changes the verdict on {trial}."

    def test_shifted_and_scaled_curves_have_the_same_verdicts(self) -> None:
        expected = [verdict.stop for verdict in self._verdicts(self.histories())]
        for factor, shift in ((1.0, 8.0), (1.0, -8.0), (4.0, 0.0), (0.25, 2.0)):
            moved = [History(_moved(r, factor, shift) for r in h) for h in self.histories()]
            found = [verdict.stop for verdict in self._verdicts(moved)]
            same = found == expected or not self.scale_free
            assert same, f"Verdicts change when curves are multiplied by {factor}, plus {shift}."

    def _verdicts(self, histories: Sequence[History]) -> Iterator[Verdict]:
        for history in histories:
            for trial in _after_each_epoch(history):
                yield self.make_stopper().judge(trial, history)


def _assert_sound(verdict: Verdict, of: str) -> None:
    assert isinstance(verdict, Verdict), f"{verdict!r} of {of} is not a Verdict."
    assert type(verdict.stop) is bool, f"{verdict} of {of} has no plain bool."
    assert type(verdict.reason) is str, f"{verdict} of {of} has no reason in words."
    stops = verdict.stop or verdict.would_stop
    assert verdict.reason.strip() or not stops, f"{of} is stopped without a reason."


def _after_each_epoch(history: History) -> Iterator[Record]:
    """Each running trial as it was before its first epoch and after each."""
    for trial in history:
        if trial.status == "running":
            for epochs in range(len(trial.curve) + 1):
                yield replace(trial, curve=trial.curve[:epochs])


def _verdicts(stopper: Stopper, searches: Sequence[Sequence[Record]]) -> list[Verdict]:
    histories = map(History, searches)
    return [stopper.judge(trial, h) for h in histories for trial in _after_each_epoch(h)]


def _filled(curve: Sequence[float], pattern: Sequence[float]) -> tuple[float, ...]:
    return tuple(pattern[i % len(pattern)] for i in range(len(curve)))


def _moved(trial: Record, factor: float, shift: float) -> Record:
    score = None if trial.score is None else factor * trial.score + shift
    return replace(trial, score=score, curve=tuple(factor * v + shift for v in trial.curve))
