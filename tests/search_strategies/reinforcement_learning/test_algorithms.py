"""REINFORCE and PPO: what a batch of results does to the policy."""

from __future__ import annotations

import numpy as np
import pytest

from kt_plus.engine.dimensions import Discrete, Numeric
from kt_plus.engine.history import History, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
from kt_plus.search_strategies.reinforcement_learning.adam import Adam
from kt_plus.search_strategies.reinforcement_learning.algorithms import (
    LARGEST_RATIO,
    PPO,
    Batch,
    Reinforce,
)
from kt_plus.search_strategies.reinforcement_learning.choices import Choices
from kt_plus.search_strategies.reinforcement_learning.controller import Controller
from kt_plus.testing import simulate

pytestmark = pytest.mark.versions

SPACE = Space([Discrete("a", (0, 1, 2)), Discrete("b", (0, 1))])
ALGORITHMS = [Reinforce(1), Reinforce(4), PPO(4)]


class Steps(Adam):
    """Plain steps up the gradient: what the algorithm asked for is seen undisguised."""

    def climb(self, parameters, gradient):
        return parameters + self.rates * gradient, self


def batch_of(controller, values, advantages, behaviour=None) -> Batch:
    rows = [controller.encode(SPACE, Record("", {"a": a, "b": b})) for a, b in values]
    choices = Choices.stack(rows)
    if behaviour is None:
        told = controller.evaluate(controller.layout.initial(), choices)
        behaviour = told.log_probability
    return Batch(choices, np.array(advantages, float), behaviour)


def probability(controller, parameters, a, b) -> float:
    choices = controller.encode(SPACE, Record("", {"a": a, "b": b}))
    told = controller.evaluate(parameters, choices)
    return float(np.exp(told.log_probability.sum()))


@pytest.mark.parametrize("units", [0, 4])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_good_results_become_likelier_and_bad_ones_less(algorithm, units):
    controller = Controller(SPACE, units, 0.1)
    start = controller.layout.initial()
    adam = Adam.begin(np.full(controller.layout.size, 0.02))
    batch = batch_of(controller, [(0, 0), (2, 1)], [1.0, -1.0])
    after, _ = algorithm.learn(controller, start, adam, batch)
    assert probability(controller, after, 0, 0) > probability(controller, start, 0, 0)
    assert probability(controller, after, 2, 1) < probability(controller, start, 2, 1)


def test_reinforce_is_its_equation():
    controller = Controller(SPACE, 0, 0.1)
    steps = Steps.begin(np.ones(controller.layout.size))
    batch = batch_of(controller, [(0, 1)], [0.7])
    after, _ = Reinforce(1, entropy=0.0).learn(
        controller, controller.layout.initial(), steps, batch
    )
    # The slope of log p(a) in the logits is 1 - p at the choice, -p elsewhere.
    np.testing.assert_allclose(after[:3], 0.7 * np.array([2 / 3, -1 / 3, -1 / 3]))
    np.testing.assert_allclose(after[3:], 0.7 * np.array([-1 / 2, 1 / 2]))


@pytest.mark.parametrize(
    ("ratio", "counts"), [(1.0, 1.0), (0.25, 0.25), (1.5, 1.5), (100.0, LARGEST_RATIO)]
)
@pytest.mark.parametrize("algorithm", [Reinforce(1, 0.0), PPO(1, 1, 1, entropy=0.0)])
def test_results_of_an_older_policy_count_by_the_importance_ratio(algorithm, ratio, counts):
    controller = Controller(SPACE, 0, 0.1)
    steps = Steps.begin(np.ones(controller.layout.size))
    start = controller.layout.initial()
    fresh = batch_of(controller, [(0, 1)], [0.7])
    behaviour = fresh.behaviour - np.array([[np.log(ratio), 0.0]])
    late = batch_of(controller, [(0, 1)], [0.7], behaviour)
    once, _ = algorithm.learn(controller, start, steps, fresh)
    weighted, _ = algorithm.learn(controller, start, steps, late)
    np.testing.assert_allclose(weighted, counts * once)


def test_importance_ratios_make_late_results_count_as_fresh_ones_would():
    """Off-policy samples, weighted, have the mean that on-policy samples have unweighted."""
    controller = Controller(SPACE, 0, 0.1)
    old = controller.layout.initial()
    now = old + 0.1 * np.random.default_rng(0).normal(size=controller.layout.size)
    values = [(a, b) for a in range(3) for b in range(2)]
    advantages = np.random.default_rng(1).normal(size=6)
    choices = batch_of(controller, values, advantages).choices
    policies = (("old", old), ("now", now))
    logs = {which: controller.evaluate(v, choices).log_probability for which, v in policies}

    def expected_step(sampled_from: str) -> np.ndarray:
        total = np.zeros(controller.layout.size)
        for i, (pair, advantage) in enumerate(zip(values, advantages, strict=True)):
            batch = batch_of(controller, [pair], [advantage], logs[sampled_from][i : i + 1])
            steps = Steps.begin(np.ones(controller.layout.size))
            after, _ = Reinforce(1, 0.0).learn(controller, now, steps, batch)
            total += np.exp(logs[sampled_from][i].sum()) * (after - now)
        return total

    np.testing.assert_allclose(expected_step("old"), expected_step("now"), rtol=1e-9)


@pytest.mark.parametrize(("advantage", "bound"), [(1.0, 1.2), (-1.0, 0.8)])
def test_ppo_stops_at_the_clip(advantage, bound):
    controller = Controller(SPACE, 0, 0.1)
    steps = Steps.begin(np.full(controller.layout.size, 0.01))
    batch = batch_of(controller, [(0, 0)], [advantage])
    moved = []
    for epochs in (1, 5, 500, 1000):
        algorithm = PPO(1, 1, epochs, clip=0.2, entropy=0.0)
        after, _ = algorithm.learn(controller, controller.layout.initial(), steps, batch)
        moved.append(float(np.exp(after[0]) / np.exp(after[:3]).sum() * 3))
    assert 0 < (moved[0] - 1) / (bound - 1) < (moved[1] - 1) / (bound - 1) < 1
    assert moved[2] == moved[3] == pytest.approx(bound, abs=0.01)


def test_entropy_keeps_the_policy_open():
    controller = Controller(SPACE, 0, 0.1)
    sure = np.array([3.0, 0.0, 0.0, 2.0, 0.0])
    steps = Steps.begin(np.ones(controller.layout.size))
    batch = batch_of(controller, [(0, 0)], [0.0])
    after, _ = Reinforce(1, entropy=1.0).learn(controller, sure, steps, batch)
    assert probability(controller, after, 0, 0) < probability(controller, sure, 0, 0)


def test_adam_is_that_of_keras():
    keras = pytest.importorskip("keras", reason="Keras' Adam is compared with")
    rng = np.random.default_rng(0)
    mine, adam = rng.normal(size=5), Adam.begin(np.full(5, 0.01))
    theirs = keras.Variable(mine, dtype="float64")
    # Keras puts epsilon beside the uncorrected square root; without it they are the same.
    optimizer = keras.optimizers.Adam(0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-12)
    for _ in range(20):
        gradient = rng.normal(size=5)
        mine, adam = adam.climb(mine, gradient)
        optimizer.apply([keras.ops.convert_to_tensor(-gradient)], [theirs])
    np.testing.assert_allclose(mine, keras.ops.convert_to_numpy(theirs), rtol=1e-4)


ARMS = Space([Discrete("arm", tuple("abcdefgh")), Numeric("nuisance", 0.0, 1.0)])
PAYS = dict(zip("abcdefgh", (0.1, 0.3, 0.2, 0.5, 0.9, 0.4, 0.6, 0.7), strict=True))


@pytest.mark.parametrize("controller", ["lstm", "independent"])
@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_a_bandit_is_solved(algorithm, controller):
    noise = np.random.default_rng(5)

    def pay(values) -> float:
        return PAYS[values["arm"]] + noise.normal(scale=0.2)

    strategy = reinforcement_learning(400, algorithm=algorithm, controller=controller)
    *_, (history, _) = simulate(strategy, ARMS, 401, score=pay)
    policy = strategy.policy(ARMS, history)
    assert policy.trials == 400
    assert policy.probabilities["arm"]["e"] > 0.9
    assert max(policy.probabilities["nuisance"].values()) < 0.5


PAIR = Space([Discrete("a", tuple("wxyz")), Discrete("b", tuple("wxyz"))])


def pairs_policy(algorithm, controller) -> dict[tuple[str, str], float]:
    """The probability of each pair, after 300 random ones of which the equal were good."""
    rng, history = np.random.default_rng(0), History()
    for i in range(300):
        values = PAIR.draw(rng)
        score = float(values["a"] == values["b"]) + rng.normal(scale=0.1)
        history.put(Record(str(i), values, score, "completed", ended=i))
    strategy = reinforcement_learning(300, algorithm=algorithm, controller=controller)
    learner = strategy.learner(PAIR, history)
    pairs = list(PAIR.enumerate(samples=None))
    rows = [learner.controller.encode(PAIR, Record("", values)) for values in pairs]
    told = learner.controller.evaluate(learner.parameters, Choices.stack(rows))
    logs = told.log_probability.sum(axis=1)
    return {(v["a"], v["b"]): float(np.exp(p)) for v, p in zip(pairs, logs, strict=True)}


@pytest.mark.parametrize("algorithm", ["ppo", "reinforce"])
def test_the_lstm_learns_what_goes_with_what_which_softmaxes_alone_cannot(algorithm):
    margin = {}
    for controller in ("lstm", "independent"):
        found = pairs_policy(algorithm, controller)
        assert sum(found.values()) == pytest.approx(1.0)
        equal = sum(found[x, x] for x in "wxyz")
        likeliest = max(sum(found[x, y] for y in "wxyz") for x in "wxyz")
        margin[controller] = equal - likeliest
    # Independent choices are equal at most as often as the likeliest of them is made.
    assert margin["independent"] <= 1e-9
    assert margin["lstm"] > 0.3
