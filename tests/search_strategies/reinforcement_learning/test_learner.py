"""The fold over the history: the same to the last bit, however it came about."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.history import History, Proposal, Record
from kt_plus.engine.seeds import proposal_rng
from kt_plus.engine.space import Space
from kt_plus.search_strategies.reinforcement_learning import (
    PolicySampling,
    reinforcement_learning,
)
from kt_plus.search_strategies.reinforcement_learning.learner import Learner, in_order_of_ends
from kt_plus.testing import SPACES
from kt_plus.testing.simulation import invented_score

pytestmark = pytest.mark.versions

KINDS = ("flat", "nested", "numeric")
SETTINGS = {
    "REINFORCE": {"algorithm": "reinforce"},
    "REINFORCE in batches": {"algorithm": "reinforce", "batch_size": 4},
    "PPO": {"algorithm": "ppo", "batch_size": 3},
    "independent PPO": {"controller": "independent"},
}


def make(name: str) -> PolicySampling:
    return reinforcement_learning(60, units=6, **SETTINGS[name])


def asynchronous(strategy, space, trials=40, workers=5, seed=0):
    """A search whose workers end in any order, some trials failing; each history before it."""
    rng, history, running, ends = np.random.default_rng(seed), History(), [], 0
    while len(history) < trials:
        if len(running) < workers:
            answer = strategy.propose(space, history, proposal_rng(0, len(history)))
            if isinstance(answer, Proposal):
                yield History(history), answer
                running.append(Record(str(len(history)), answer.values, seen=ends))
                history.put(running[-1])
                continue
            if not running:
                return
        trial = running.pop(int(rng.integers(len(running))))
        score = invented_score(trial.values)
        status = {"status": "failed"} if score < 0.2 else {"status": "completed", "score": score}
        history.put(replace(trial, **status, ended=ends, unused=frozenset()))
        ends += 1


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_kept_and_what_is_folded_afresh_are_the_same_to_the_last_bit(kind, name):
    kept, space = make(name), SPACES[kind]
    for history, proposal in asynchronous(kept, space):
        fresh = make(name)
        again = fresh.propose(space, History(history), proposal_rng(0, len(history)))
        assert again == proposal
        mine, theirs = (s.learner(space, history) for s in (kept, fresh))
        assert mine.parameters.tobytes() == theirs.parameters.tobytes()
        assert mine.optimiser.square.tobytes() == theirs.optimiser.square.tobytes()
        assert mine.baseline == theirs.baseline
    assert not np.array_equal(mine.parameters, mine.controller.layout.initial())


def test_the_kept_may_be_deleted_at_any_moment():
    space, strategy = SPACES["nested"], make("PPO")
    expected = [proposal for _, proposal in asynchronous(make("PPO"), space)]
    found = []
    for _, proposal in asynchronous(strategy, space):
        found.append(proposal)
        if len(found) % 3 == 0:
            strategy._cache.clear()
    assert found == expected


def test_results_are_folded_in_the_order_in_which_they_ended():
    first = Record("0", {"x": 1}, 0.5, "completed", ended=2)
    second = Record("1", {"x": 2}, 0.5, "completed", ended=0)
    third = Record("2", {"x": 3}, status="failed", ended=1)
    fourth = Record("3", {"x": 4})
    earlier = Record("old/7", {"x": 9}, 0.5, "completed")
    ended, running = in_order_of_ends(History([earlier, first, second, third, fourth]))
    assert [record.trial_id for record in ended] == ["old/7", "1", "2", "0"]
    assert [record.trial_id for record in running] == ["3"]


def test_a_choice_is_compared_with_the_policy_that_made_it():
    """The behaviour is that of the policy at the proposal, though others have ended since."""
    space, strategy = SPACES["flat"], make("REINFORCE")
    parameters, proposals = {}, {}
    for history, proposal in asynchronous(strategy, space, trials=20):
        trial_id = str(len(history))
        parameters[trial_id] = strategy.learner(space, history).parameters
        proposals[trial_id] = proposal.values
    learner = strategy.learner(space, history)
    late = 0
    for record, behaviour in zip(learner.records, learner._behaviour, strict=True):
        controller = learner.controller
        choices = controller.encode(space, record)
        told = controller.evaluate(parameters[record.trial_id], choices)
        np.testing.assert_array_equal(behaviour, told.log_probability)
        late += record.ended > record.seen
    assert late > 5


def test_alone_a_worker_s_results_are_on_policy():
    space, strategy = SPACES["flat"], make("REINFORCE")
    for history, _ in asynchronous(strategy, space, trials=20, workers=1):
        ended, _ = in_order_of_ends(history)
        if ended:
            learner = Learner(space, strategy.settings)
            learner.advance(ended[:-1], [])
            choices = learner.controller.encode(space, ended[-1])
            now = learner.controller.evaluate(learner.parameters, choices).log_probability
            behaviour = strategy.learner(space, history)._behaviour[-1]
            np.testing.assert_array_equal(behaviour, now)


def test_policies_of_trials_long_ended_are_not_kept():
    space, strategy = SPACES["numeric"], make("REINFORCE")
    for history, _ in asynchronous(strategy, space, trials=60, workers=5):
        assert len(strategy.learner(space, history)._versions) <= 7 + len(history) // 8


def test_a_history_that_is_not_the_one_known_is_folded_afresh():
    space, strategy = SPACES["nested"], make("PPO")
    searches = [list(asynchronous(make("PPO"), space, seed=seed)) for seed in (1, 2)]
    for steps in zip(*searches, strict=False):
        for history, proposal in steps:
            answer = strategy.propose(space, history, proposal_rng(0, len(history)))
            assert answer == proposal
    history = searches[0][-1][0]
    changed = History(replace(r, score=None if r.score is None else 1 - r.score) for r in history)
    rng = proposal_rng(0, len(history))
    expected = make("PPO").learner(space, changed).parameters
    strategy.propose(space, changed, rng)
    np.testing.assert_array_equal(strategy.learner(space, changed).parameters, expected)


def test_an_interruption_while_folding_leaves_nothing_half_done(monkeypatch):
    space, strategy = SPACES["nested"], make("PPO")
    *_, (history, proposal) = asynchronous(make("PPO"), space)
    learn, calls = Learner._learn, itertools.count()

    def interrupted(self):
        learn(self)
        if next(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Learner, "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        strategy.propose(space, history, proposal_rng(0, len(history)))
    assert strategy.propose(space, history, proposal_rng(0, len(history))) == proposal


def test_the_space_may_grow_during_the_search():
    part = SPACES["nested"].dimensions[:2]
    late = Discrete("late", ("a", "b", "c"), conditions=(Condition("op", ("conv",)),))
    small, large = Space(part), Space([*part, late])
    strategy = make("REINFORCE")
    before = [p for _, p in asynchronous(strategy, small, trials=7)]
    records = [
        Record(str(i), p.values, invented_score(p.values), "completed", ended=i, seen=i)
        for i, p in enumerate(before)
    ]
    history = History(records)
    column = [d.name for d in large.by_name].index("late")
    learner = strategy.learner(large, history)
    views = learner.controller.layout.views(learner.parameters)
    bias = next(view for name, view in views.items() if "bias late" in name)
    np.testing.assert_array_equal(bias, 0.0)  # nothing is known of it
    for i in range(7, 40):
        value = "abc"[i % 3]
        values = {"op": "conv", "depth": 1, "late": value}
        history.put(Record(str(i), values, float(value == "b"), "completed", ended=i, seen=i))
    policy = strategy.policy(large, history)
    assert policy.probabilities["late"]["b"] > 0.5
    assert learner.controller.dimensions[column].name == "late"
    fresh = make("REINFORCE").learner(large, History(history))
    np.testing.assert_array_equal(strategy.learner(large, history).parameters, fresh.parameters)


def test_trials_of_an_earlier_search_teach_before_the_first_proposal():
    space = SPACES["flat"]
    rng = np.random.default_rng(0)
    drawn = [space.draw(rng) for _ in range(60)]
    earlier = [
        Record(f"old/{i}", v, float(v["activation"] == "gelu") + 0.1 * rng.random(), "completed")
        for i, v in enumerate(drawn)
    ]
    for name in SETTINGS:
        policy = make(name).policy(space, History(earlier))
        assert policy.trials == 60
        assert policy.probabilities["activation"]["gelu"] > 0.4, name


@pytest.mark.parametrize("name", SETTINGS)
def test_failures_teach_to_keep_away(name):
    space = SPACES["flat"]
    rng, history = np.random.default_rng(0), History()
    for i in range(50):
        values = space.draw(rng)
        failed = values["activation"] == "relu"
        score = {"status": "failed"} if failed else {"score": rng.random(), "status": "completed"}
        history.put(Record(str(i), values, **score, ended=i, seen=i))
    probabilities = make(name).policy(space, history).probabilities["activation"]
    assert probabilities["relu"] == min(probabilities.values())
    assert probabilities["relu"] < 0.2


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf"), None])
def test_scores_that_are_no_numbers_are_failures(score):
    space, rng = SPACES["flat"], np.random.default_rng(0)
    good = [Record(str(i), space.draw(rng), i / 9, "completed", ended=i, seen=i) for i in range(9)]
    odd = Record("9", space.draw(rng), score, "completed", ended=9, seen=9)
    failed = replace(odd, score=None, status="failed")
    learnt = [make("PPO").learner(space, History([*good, last])) for last in (odd, failed)]
    np.testing.assert_array_equal(learnt[0].parameters, learnt[1].parameters)
    assert np.isfinite(learnt[0].parameters).all()


def test_a_copy_takes_no_cache_with_it():
    space, strategy = SPACES["flat"], make("PPO")
    *_, (history, proposal) = asynchronous(strategy, space, trials=20)
    copy = pickle.loads(pickle.dumps(strategy))
    assert copy == strategy
    assert not copy._cache
    assert copy.propose(space, history, proposal_rng(0, len(history))) == proposal
    assert "cache" not in repr(strategy)


def test_duplicates_end_neither_the_search_nor_its_sense():
    """A policy that is sure of one configuration goes on with those beside it."""
    space = Space([Discrete(f"h{i}", tuple("abcd")) for i in range(4)])

    def height(values) -> float:
        return sum(value == "c" for value in values.values())

    strategy, tried = reinforcement_learning(120, learning_rate=0.3, entropy=0.0), []
    history = History()
    for i in range(256):
        proposal = strategy.propose(space, history, proposal_rng(0, i))
        assert not history.tried(proposal.values)
        tried.append(height(proposal.values))
        history.put(Record(str(i), proposal.values, tried[-1], "completed", ended=i, seen=i))
    assert 4 in tried[:60]
    assert np.mean(tried[:80]) > np.mean(tried) + 0.3


def test_numbers_between_two_that_were_good_are_thought_good_too():
    space = Space([Numeric("x", 0.0, 1.0)])
    history = History()
    for i in range(15):
        x, score = ((0.1, 0.0), (0.66, 1.0), (0.74, 1.0))[i % 3]
        values = {"x": x + 1e-5 * i}
        history.put(Record(str(i), values, score, "completed", ended=i, seen=i))

    def between(smoothness: float) -> float:
        strategy = reinforcement_learning(60, smoothness=smoothness)
        return strategy.policy(space, history).probabilities["x"]["0.688 to 0.719"]

    assert between(0.1) > 2 / 32
    assert between(0.0) < 1 / 32  # plain bins have not heard of it
