"""Strategies and stopping rules with one fault each, for the conformance suites to find.

They stand in a module of their own, so that another process imports them at once.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace

import numpy as np

from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record, Verdict
from kt_plus.performance_estimation.stopping import Stopper
from kt_plus.search_strategies.base import draw_untried


class Plain:
    """Draws at random. Each faulty strategy below differs in one thing."""

    def propose(self, space, history, rng):
        answer = draw_untried(space, history, rng)
        return self.changed(answer, space, history, rng) if isinstance(answer, Proposal) else answer

    def changed(self, proposal, space, history, rng):
        return proposal


class NumpyValues(Plain):
    def changed(self, proposal, space, history, rng):
        values = {n: np.int64(v) if type(v) is int else v for n, v in proposal.values.items()}
        return replace(proposal, values=values)


class IntsForFloats(Plain):
    def changed(self, proposal, space, history, rng):
        values = {n: 0 if type(v) is float else v for n, v in proposal.values.items()}
        return replace(proposal, values=values if values.get("noise") is None else proposal.values)


class Incomplete(Plain):
    def changed(self, proposal, space, history, rng):
        return replace(proposal, values=dict(list(proposal.values.items())[:2]))


class Inactive(Plain):
    def changed(self, proposal, space, history, rng):
        return replace(proposal, values={d.name: d.default for d in space.dimensions})


class UnknownParent(Plain):
    def changed(self, proposal, space, history, rng):
        return replace(proposal, parent="nobody")


class WrongLineage(Plain):
    def changed(self, proposal, space, history, rng):
        return replace(proposal, parent=history[0].trial_id if len(history) else None)


class FailedParent(Plain):
    def changed(self, proposal, space, history, rng):
        failed = [record for record in history if record.status == "failed"]
        if not failed:
            return proposal
        parent, missing = failed[0], object()
        differ = [n for n, v in proposal.values.items() if parent.values.get(n, missing) != v]
        return replace(proposal, parent=parent.trial_id, changed=tuple(differ))


class Remembers(Plain):
    def __init__(self):
        self.calls = itertools.count()

    def changed(self, proposal, space, history, rng):
        return Proposal(space.draw(np.random.default_rng(next(self.calls))))


class GlobalRandomness(Plain):
    def propose(self, space, history, rng):
        return draw_untried(space, history, np.random.default_rng(random.randrange(2**31)))


class HashesStrings(Plain):
    def propose(self, space, history, rng):
        seed = hash(str(len(history))) % 2**31
        return draw_untried(space, history, np.random.default_rng(seed))


class ReadsDictionariesInOrder(Plain):
    def propose(self, space, history, rng):
        names = "".join(n for record in history for n in record.values)
        return draw_untried(space, history, np.random.default_rng(list(names.encode())))


class WritesIntoTheHistory(Plain):
    def changed(self, proposal, space, history, rng):
        for record in history:
            record.values["seen"] = True
        return proposal


class AddsToTheHistory(Plain):
    def changed(self, proposal, space, history, rng):
        history.put(Record("mine", {}, status="failed"))
        return proposal


class Repeats(Plain):
    def propose(self, space, history, rng):
        return Proposal(space.defaults()) if len(history) < 50 else DONE


class StopsEarly(Plain):
    def propose(self, space, history, rng):
        return super().propose(space, history, rng) if len(history) < 6 else DONE


class WaitsForEver(Plain):
    def propose(self, space, history, rng):
        return super().propose(space, history, rng) if len(history) < 6 else WAIT


class NeedsASuccess(Plain):
    def changed(self, proposal, space, history, rng):
        if len(history) > 10:
            assert history.best.score >= 0
        return proposal


class RungsOfNumpy(Plain):
    def changed(self, proposal, space, history, rng):
        return replace(proposal, rung=np.int64(0))


@dataclass(frozen=True)
class Low(Stopper):
    """Stops below a value of its own. Each faulty rule below differs in one thing."""

    def judge(self, trial: Record, history: History) -> Verdict:
        low = len(trial.curve) > 4 and bool(max(trial.curve) < 0.5)
        return self.changed(Verdict(low, "too low"), trial, history)

    def changed(self, verdict, trial, history):
        return verdict


class NumpyVerdict(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, stop=np.bool_(verdict.stop))


class NoVerdict(Low):
    def changed(self, verdict, trial, history):
        return verdict.stop


class NoReason(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, reason="")


class NeverStops(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, stop=False)


class CountsCalls(Low):
    calls = itertools.count()

    def changed(self, verdict, trial, history):
        return replace(verdict, stop=next(self.calls) % 2 == 0)


class HashesCurves(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, stop=hash(str(trial.curve)) % 2 == 0)


class AddsTrials(Low):
    def changed(self, verdict, trial, history):
        history.put(trial)
        return verdict


class DividesByTheMean(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, reason=str(sum(round(v) for v in trial.curve)))


class NeedsOthers(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, reason=f"below {history.best.score}")


class ComparesWithTheFirst(Low):
    def changed(self, verdict, trial, history):
        return replace(verdict, stop=bool(trial.curve) and max(trial.curve) < max(history[0].curve))
