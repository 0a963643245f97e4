"""Who is promoted, when, and how many."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.engine.dimensions import Discrete, Numeric
from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record, Verdict
from kt_plus.engine.space import Space
from kt_plus.search_strategies.evolution import Evolution, evolution
from kt_plus.search_strategies.exhaustive import Grid, RandomSampling
from kt_plus.search_strategies.screened_evolution import ScreenedEvolution
from kt_plus.search_strategies.successive_halving import source_of, successive_halving
from kt_plus.testing import SPACES, simulate

SPACE = Space([Numeric("x", 0.0, 1.0)])
RNG = np.random.default_rng(0)


def score(values):
    return values["x"]


def searched(strategy, trials=10_000, space=SPACE, score=score, **options):
    """The history after the last proposal that could be made."""
    history = History()
    for before, proposal in simulate(strategy, space, trials, score=score, **options):
        trial = Record(
            str(len(before)), proposal.values, rung=proposal.rung, parent=proposal.parent
        )
        history = History([*before, trial])
    return history


def sizes(history):
    return [count for _, count in sorted(Counter(r.rung for r in history).items())]


def trial(number, rung=0, parent=None, score=None, status="completed", **facts):
    """A trial that has ended, unless it has no score."""
    status = "running" if score is None and status == "completed" else status
    ended = None if status == "running" else number
    values = {"x": number / 100}
    return Record(
        str(number), values, score, status, rung=rung, parent=parent, ended=ended, **facts
    )


def test_the_textbook_schedule():
    history = searched(successive_halving(7, configurations=64))
    assert sizes(history) == [64, 32, 16, 8, 4, 2, 1]
    rungs = [[r for r in history if r.rung == rung] for rung in range(7)]
    assert [r.rung for r in history] == sorted(r.rung for r in history)
    for below, above in itertools.pairwise(rungs):
        best = sorted(below, key=lambda r: -r.values["x"])[: len(above)]
        assert [r.parent for r in above] == [r.trial_id for r in best]
        assert [r.values for r in above] == [r.values for r in best]
    (winner,) = rungs[-1]
    assert winner.values["x"] == max(r.values["x"] for r in history)


@given(st.integers(1, 40), st.integers(2, 5), st.integers(1, 5), st.integers(1, 9))
def test_each_rung_has_a_part_of_the_one_below(configurations, factor, rungs, workers):
    strategy = successive_halving(rungs, configurations=configurations, factor=factor)
    history = searched(strategy, workers=workers)
    assert sizes(history) == [max(configurations // factor**k, 1) for k in range(rungs)]
    assert sizes(history) == strategy.sizes(configurations)


@given(st.integers(1, 30), st.integers(2, 4), st.integers(2, 5), st.integers(1, 9), st.booleans())
def test_what_is_promoted_had_been_kept(configurations, factor, rungs, workers, asynchronous):
    strategy = successive_halving(
        rungs, configurations=configurations, factor=factor, asynchronous=asynchronous
    )
    given_up, most = set(), 0
    for history, proposal in simulate(strategy, SPACE, 10_000, score=score, workers=workers):
        kept = strategy.keep(history)
        given_up.update(r.trial_id for r in history.completed if r.trial_id not in kept)
        assert proposal.parent not in given_up
        most = max(most, len(kept))
    assert most <= (rungs - 1) * max(configurations // factor, 1)


@given(st.integers(1, 30), st.integers(2, 4), st.integers(1, 5), st.integers(1, 9), st.booleans())
def test_nothing_is_kept_once_nobody_can_be_promoted(configurations, factor, rungs, workers, asap):
    strategy = successive_halving(
        rungs, configurations=configurations, factor=factor, asynchronous=asap
    )
    history = searched(strategy, workers=workers)
    ended = [
        replace(r, status="completed", score=score(r.values), ended=number)
        for number, r in enumerate(history)
    ]
    assert not strategy.keep(History(ended))


def test_one_rung_is_its_source():
    for source in (RandomSampling(), evolution(30, random_trials=4), Grid(3)):
        for asynchronous in (False, True):
            halving = successive_halving(
                1, configurations=25, source=source, asynchronous=asynchronous
            )
            expected = [p for _, p in simulate(source, SPACES["numeric"], 25, workers=2)]
            found = [p for _, p in simulate(halving, SPACES["numeric"], 99, workers=2)]
            assert found == expected


def test_nobody_is_promoted_before_the_whole_rung_has_ended():
    strategy = successive_halving(2, configurations=4)
    records = [trial(i, score=float(i)) for i in range(3)]
    assert isinstance(strategy.propose(SPACE, History(records), RNG), Proposal)
    running = History([*records, trial(3)])
    assert strategy.propose(SPACE, running, RNG) is WAIT
    complete = History([*records, trial(3, score=-1.0)])
    answer = strategy.propose(SPACE, complete, RNG)
    assert answer == Proposal(records[2].values, "2", rung=1)


def test_another_bracket_begins_while_workers_would_wait():
    strategy = successive_halving(2, configurations=2, iterations=2)
    waiting = [trial(0, score=1.0), trial(1)]
    assert strategy.propose(SPACE, History(waiting), RNG).rung == 0
    history = searched(strategy, workers=3)
    assert sizes(history) == [4, 2]
    alone = searched(successive_halving(2, configurations=2, iterations=3))
    assert [r.rung for r in alone] == [0, 0, 1] * 3


def test_asynchronous_promotes_from_the_highest_rung_down():
    strategy = successive_halving(3, configurations=None, factor=2, asynchronous=True)
    records = [trial(0, score=0.1)]
    assert strategy.propose(SPACE, History(records), RNG).rung == 0
    records.append(trial(1, score=0.2))
    assert strategy.propose(SPACE, History(records), RNG) == Proposal(
        records[1].values, "1", rung=1
    )
    records += [trial(2, 1, "1", 0.3), trial(3, score=0.0), trial(4, score=0.5)]
    # Two of four may go on: the second best has gone already, the best has not.
    assert strategy.propose(SPACE, History(records), RNG).parent == "4"
    records.append(trial(5, 1, "4", 0.4))
    assert strategy.propose(SPACE, History(records), RNG) == Proposal(
        records[5].values, "5", rung=2
    )


@given(st.integers(1, 60), st.integers(2, 4), st.integers(2, 4), st.integers(1, 16))
def test_asynchronous_is_never_far_from_its_share(configurations, factor, rungs, workers):
    strategy = successive_halving(
        rungs, configurations=configurations, factor=factor, asynchronous=True
    )
    history = searched(strategy, workers=workers)
    found = sizes(history)
    assert found[0] == configurations
    assert len(found) == rungs, "no candidate was trained at full fidelity"
    parents = [r.parent for r in history if r.rung]
    assert len(set(parents)) == len(parents), "one was promoted twice"
    for record in history:
        if record.rung:
            parent = history.get(record.parent)
            assert (parent.rung, parent.values) == (record.rung - 1, record.values)
    if workers == 1:  # with more of them the last ones are promoted by what was known then
        for below, above in itertools.pairwise(found):
            assert above >= max(below // factor, 1)


def test_asynchronous_never_waits_while_it_may_draw():
    strategy = successive_halving(4, configurations=None, factor=3, asynchronous=True)
    running = History(trial(i) for i in range(100))
    assert isinstance(strategy.propose(SPACE, running, RNG), Proposal)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_failed_or_was_stopped_is_not_promoted(asynchronous):
    strategy = successive_halving(2, configurations=4, asynchronous=asynchronous)
    stopped = trial(0, score=9.0, verdict=Verdict(True, "hopeless"))
    failed = trial(1, status="failed")
    records = [stopped, failed, trial(2, score=1.0), trial(3, score=2.0)]
    history = History(records)
    first = strategy.propose(SPACE, history, RNG)
    assert first.parent == "3"
    history = History([*records, trial(4, 1, "3", 3.0)])
    second = strategy.propose(SPACE, history, RNG)
    assert second.parent == "2"
    history = History([*records, trial(4, 1, "3", 3.0), trial(5, 1, "2", 3.0)])
    assert strategy.propose(SPACE, history, RNG) is DONE


def test_a_rung_of_failures_ends_the_bracket():
    history = searched(successive_halving(3, configurations=4), score=lambda values: None)
    assert sizes(history) == [4]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_space_with_fewer_configurations_is_halved_as_it_is(asynchronous):
    space = Space([Discrete("x", (1, 2, 3, 4, 5, 6))])
    strategy = successive_halving(3, configurations=64, asynchronous=asynchronous)
    history = searched(strategy, space=space)
    assert sizes(history) == [6, 3, 1]
    assert [r.values["x"] for r in history if r.rung == 2] == [6]


def test_trials_of_an_earlier_search_are_not_promoted():
    strategy = successive_halving(2, configurations=2)
    earlier = Record("before/0", {"x": 0.9}, 0.9, "completed")
    history = History([earlier, trial(0, score=0.1), trial(1, score=0.2)])
    assert strategy.propose(SPACE, history, RNG).parent == "1"


def test_equals_are_promoted_in_the_order_of_their_starts():
    strategy = successive_halving(2, configurations=4)
    history = History(trial(i, score=0.5) for i in range(4))
    assert strategy.propose(SPACE, history, RNG).parent == "0"


def test_the_source_sees_each_configuration_once_with_its_highest_rung():
    seen = []

    class Source:
        def propose(self, space, history, rng):
            seen.append([(r.trial_id, r.score, r.rung) for r in history])
            return RandomSampling().propose(space, history, rng)

    strategy = successive_halving(3, configurations=None, asynchronous=True, source=Source())
    records = [trial(0, score=0.1), trial(1, score=0.2), trial(2, 1, "1", score=0.7)]
    strategy.propose(SPACE, History(records), RNG)
    assert seen[-1] == [("0", 0.1, 0), ("1", 0.7, 1)]
    running = [*records, trial(3)]
    strategy.propose(SPACE, History(running), RNG)
    assert seen[-1] == [("0", 0.1, 0), ("1", 0.7, 1), ("3", None, 0)]
    other = [replace(records[0], score=0.4)]  # another search with the same strategy
    strategy.propose(SPACE, History(other), RNG)
    assert seen[-1] == [("0", 0.4, 0)]


def test_a_failed_promotion_leaves_the_score_of_the_rung_below():
    strategy = successive_halving(2, configurations=None, asynchronous=True)
    records = [trial(0, score=0.1), trial(1, score=0.2), trial(2, 1, "1", status="failed")]
    view = strategy._seen_by_source(History(records))
    assert [(r.trial_id, r.score) for r in view] == [("0", 0.1), ("1", 0.2)]


def test_a_project_without_a_surrogate_keeps_its_source():
    strategy = successive_halving(3, source="evolution")
    assert strategy.surrogate == "gaussian_process"
    before = strategy.without_surrogate()
    assert isinstance(before.source, Evolution)
    assert before.surrogate is None
    plain = successive_halving(3)
    assert plain.surrogate is None
    assert plain.without_surrogate() is plain


def test_named_sources():
    assert source_of("random", 64) == RandomSampling()
    named = source_of("evolution", 64)
    assert isinstance(named, ScreenedEvolution)
    assert named.without_surrogate().random_trials == 16
    assert source_of("evolution", None).without_surrogate().random_trials == 50
    assert source_of("controller", 64).settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1}, r"factor=1 was given. Expected a whole number of at least 2"),
        ({"factor": 2.5}, "factor=2.5 was given"),
        ({"configurations": 0}, "configurations=0 was given"),
        ({"configurations": None}, "None, for no limit, is for asynchronous=True"),
        ({"iterations": 0}, "iterations=0 was given"),
        ({"source": "evolve"}, "source='evolve' was given. Expected 'random', 'evolution'"),
        ({"source": RandomSampling}, "Expected 'random'"),
        ({"source": successive_halving(2)}, "Expected 'random'"),
    ],
)
def test_bad_input(settings, message):
    with pytest.raises(ValueError, match=message):
        successive_halving(3, **settings)


def test_ten_thousand_trials_are_looked_through_quickly():
    strategy = successive_halving(5, configurations=None, factor=3, asynchronous=True)
    looked = 0

    class Counted(Record):
        @property
        def fitness(self):
            nonlocal looked
            looked += 1
            return -math.inf if self.score is None else self.score

    records = [Counted(str(i), {"x": i / 1e4}, i / 1e4, "completed", ended=i) for i in range(900)]
    strategy.propose(SPACE, History(records), RNG)
    assert looked < 5 * len(records)
