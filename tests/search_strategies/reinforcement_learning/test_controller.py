"""The policy: its probabilities, its gradients, what it skips and how it grows."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.history import Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.reinforcement_learning.choices import Choices
from kt_plus.search_strategies.reinforcement_learning.controller import Controller
from kt_plus.testing import SPACES

KINDS = [kind for kind, space in SPACES.items() if space.dimensions]


def taught(controller: Controller, scale: float = 0.7) -> np.ndarray:
    """Parameters of which none is 0: the gradients of all are put to the test."""
    return np.random.default_rng(3).normal(scale=scale, size=controller.layout.size)


def drawn(controller: Controller, space: Space, count: int, seed: int = 0) -> Choices:
    rng = np.random.default_rng(seed)
    rows = [controller.encode(space, Record(str(i), space.draw(rng))) for i in range(count)]
    choices = Choices.stack(rows)
    unseen = rng.random(choices.counted.shape) < 0.2  # as if the model had not asked for it
    return replace(choices, counted=choices.counted & ~unseen)


def objective(controller, vector, choices, weights, bonus) -> float:
    told = controller.evaluate(vector, choices)
    return float((weights * told.log_probability).sum() + bonus * told.entropy.sum())


@pytest.mark.parametrize("units", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind, units):
    space = SPACES[kind]
    controller = Controller(space, units, smoothness=0.1)
    vector, choices = taught(controller), drawn(controller, space, 5)
    weights = np.random.default_rng(1).normal(size=choices.cells.shape)
    told = controller.evaluate(vector, choices)
    found = controller.gradient(told, weights, bonus=0.3)
    step = 1e-6
    for i in np.random.default_rng(2).permutation(controller.layout.size)[:300]:
        ahead, behind = vector.copy(), vector.copy()
        ahead[i] += step
        behind[i] -= step
        rise = objective(controller, ahead, choices, weights, 0.3)
        rise -= objective(controller, behind, choices, weights, 0.3)
        assert found[i] == pytest.approx(rise / (2 * step), rel=1e-5, abs=1e-7), i
    assert np.count_nonzero(found) > 0.2 * controller.layout.size or kind == "fixed"


@pytest.mark.parametrize("kind", ["flat", "nested", "numeric", "one name, several conditions"])
def test_gradients_are_those_of_automatic_differentiation(kind):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow differentiates for this test")
    space = SPACES[kind]
    controller = Controller(space, 4, smoothness=0.1)
    vector, choices = taught(controller), drawn(controller, space, 6)
    weights = np.random.default_rng(1).normal(size=choices.cells.shape)
    told = controller.evaluate(vector, choices)
    found = controller.layout.views(controller.gradient(told, weights, bonus=0.3))
    variables = {name: tf.Variable(view) for name, view in controller.layout.views(vector).items()}
    with tf.GradientTape() as tape:
        value = _objective_in_tensorflow(tf, controller, variables, choices, weights, 0.3)
    assert float(value) == pytest.approx(objective(controller, vector, choices, weights, 0.3))
    slopes = tape.gradient(value, variables, unconnected_gradients="zero")
    for name, slope in slopes.items():
        expected = tf.convert_to_tensor(slope).numpy()
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


def _objective_in_tensorflow(tf, controller, variables, choices, weights, bonus):
    """The policy written once more, from Keras' formulas, for TensorFlow to differentiate."""
    count, units = len(choices.cells), controller.units
    x = tf.repeat(variables["start"][None, :], count, axis=0)
    hidden = cell = tf.zeros((count, units), tf.float64)
    total = tf.constant(0.0, tf.float64)
    features = [cells.spread(np.eye(cells.count)) for cells in controller.cells]
    heads = [n.removeprefix("bias ") for n in variables if n.startswith("bias ")]
    for column, (name, cells) in enumerate(zip(heads, controller.cells, strict=True)):
        active = choices.active[:, column, None]
        gates = tf.concat([x, hidden], 1) @ variables["lstm"] + variables["lstm bias"]
        admit, keep, show, new = tf.split(gates, 4, axis=1)
        after = tf.sigmoid(keep) * cell + tf.sigmoid(admit) * tf.tanh(new)
        shown = tf.sigmoid(show) * tf.tanh(after)
        coefficients = variables["bias " + name] + shown @ variables["head " + name]
        logs = tf.nn.log_softmax(coefficients @ features[column].T + cells.log_widths)
        chosen = choices.cells[:, column]
        entropy = -tf.reduce_sum(tf.exp(logs) * logs, 1)
        each = weights[:, column] * tf.gather(logs, chosen, batch_dims=1) + bonus * entropy
        total += tf.reduce_sum(each * choices.counted[:, column])
        hidden, cell = tf.where(active, shown, hidden), tf.where(active, after, cell)
        x = tf.where(active, features[column][chosen] @ variables["embedding " + name], x)
    return total


@pytest.mark.parametrize("units", [0, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_untaught_it_draws_as_random_search_does(kind, units):
    space = SPACES[kind]
    controller = Controller(space, units, smoothness=0.1)
    vector, rng = controller.layout.initial(), np.random.default_rng(0)
    sampled = [v for _ in range(250) for v in controller.sample(vector, 8, rng, 1.0)]
    uniform = [space.draw(rng) for _ in range(2000)]
    for dimension in space.dimensions:
        mine, theirs = (
            [dimension.to_unit(g[dimension]) for g in map(space.active, some) if dimension in g]
            for some in (sampled, uniform)
        )
        assert len(mine) / 2000 == pytest.approx(len(theirs) / 2000, abs=0.06)
        for share in np.linspace(0.05, 0.95, 10):
            assert np.mean(np.array(mine) < share) == pytest.approx(
                np.mean(np.array(theirs) < share), abs=0.08
            ), dimension


def test_samples_come_as_often_as_their_probability_says():
    space = SPACES["nested"]
    controller = Controller(space, 4, smoothness=0.1)
    vector, rng = taught(controller), np.random.default_rng(0)
    sampled = [v for _ in range(500) for v in controller.sample(vector, 16, rng, 1.0)]
    for values in sampled:
        values.pop("a_rate", None)  # continuous
    counts = Counter(tuple(sorted(values.items())) for values in sampled)
    total = 0.0
    for values in {tuple(sorted({**v, "a_rate": 0}.items())) for v in space.enumerate(samples=1)}:
        values = {n: v for n, v in values if n != "a_rate"}
        told = controller.evaluate(vector, controller.encode(space, Record("", values)))
        probability = float(np.exp(told.log_probability.sum()))
        total += probability
        share = counts[tuple(sorted(values.items()))] / len(sampled)
        assert share == pytest.approx(probability, abs=4 * (probability / 8000) ** 0.5 + 1e-3)
    assert total == pytest.approx(1.0)


def test_a_high_temperature_makes_samples_uniform():
    space = Space([Discrete("op", ("a", "b", "c", "d"))])
    controller = Controller(space, 0, smoothness=0.1)
    vector = np.array([6.0, 0.0, 0.0, 0.0])
    rng = np.random.default_rng(0)
    cold = Counter(v["op"] for v in controller.sample(vector, 4000, rng, 1.0))
    hot = Counter(v["op"] for v in controller.sample(vector, 4000, rng, 100.0))
    assert cold["a"] > 3900
    assert min(hot.values()) > 900


def test_what_is_inactive_has_no_part_in_it():
    space = SPACES["nested"]
    controller = Controller(space, 4, smoothness=0.1)
    vector = taught(controller)
    choices = controller.encode(space, Record("", {"op": "pool", "average": True}))
    told = controller.evaluate(vector, choices)
    assert [d.name for d, a in zip(controller.dimensions, choices.active[0], strict=True) if a] == [
        "op",
        "average",
    ]
    assert (told.log_probability[~choices.active] == 0).all()
    slope = controller.gradient(told, np.ones_like(told.entropy), 0.1)
    for name, view in controller.layout.views(slope).items():
        idle = any(f" {other} " in f" {name} " for other in ("depth", "bottleneck", "a_rate"))
        assert not view.any() if idle else True, name


def test_what_the_model_never_asked_for_is_not_learnt_of():
    space = SPACES["flat"]
    controller = Controller(space, 4, smoothness=0.1)
    values = space.defaults()
    record = Record("", values, 0.5, "completed", unused=frozenset({"norm"}))
    choices = controller.encode(space, record)
    column = [d.name for d in controller.dimensions].index("norm")
    assert choices.active[0, column]
    assert not choices.counted[0, column]
    told = controller.evaluate(taught(controller), choices)
    assert told.log_probability[0, column] == told.entropy[0, column] == 0.0
    assert np.count_nonzero(told.log_probability) == 2


def test_each_choice_depends_on_those_before_it():
    space = Space([Discrete("a", (0, 1, 2)), Discrete("b", (0, 1, 2)), Discrete("c", (0, 1, 2))])
    for units, expected in ((5, True), (0, False)):
        controller = Controller(space, units, smoothness=0.1)
        rows = [controller.encode(space, Record("", {"a": a, "b": 0, "c": 0})) for a in (0, 1)]
        first, second = controller.evaluate(taught(controller), Choices.stack(rows)).log_probability
        assert bool((first[1:] != second[1:]).all()) is expected


@pytest.mark.parametrize("units", [0, 4])
def test_a_hyperparameter_that_appears_later_begins_as_if_it_had_been_there(units):
    whole = SPACES["nested"]
    part = Space([d for d in whole.dimensions if d.name in ("op", "depth")])
    before, after = (Controller(space, units, 0.1) for space in (part, whole))
    old, new = (
        before.layout.views(before.layout.initial()),
        after.layout.views(after.layout.initial()),
    )
    for name, view in old.items():
        np.testing.assert_array_equal(view, new[name])


def test_the_order_of_arrival_is_irrelevant():
    first = Controller(SPACES["nested"], 4, 0.1)
    second = Controller(SPACES["nested, children first"], 4, 0.1)
    assert first.dimensions == second.dimensions
    np.testing.assert_array_equal(first.layout.initial(), second.layout.initial())


def test_a_value_that_the_space_does_not_hold_counts_as_not_chosen():
    space = SPACES["flat"]
    controller = Controller(space, 4, 0.1)
    record = Record("", {"activation": "no such", "units": 32, "other": 3}, 0.5, "completed")
    assert controller.encode(space, record).active.sum() == 1


def test_one_name_under_two_conditions_has_two_softmaxes():
    space = Space(
        [
            Discrete("op", ("conv", "pool")),
            Discrete("size", (3, 5), conditions=(Condition("op", ("conv",)),)),
            Numeric("size", 2, 4, 1, integer=True, conditions=(Condition("op", ("pool",)),)),
        ]
    )
    controller = Controller(space, 0, 0.1)
    assert sorted(cells.count for cells in controller.cells) == [2, 2, 3]
    rng = np.random.default_rng(0)
    for values in controller.sample(controller.layout.initial(), 100, rng, 1.0):
        assert values["size"] in ((3, 5) if values["op"] == "conv" else (2, 3, 4))
        assert controller.encode(space, Record("", values)).active.sum() == 2


def test_one_huge_list_of_categories_does_not_weigh_on_the_small_ones():
    """Nothing is padded: each hyperparameter takes memory for its own parts alone."""
    many = Discrete("token", tuple(map(str, range(5000))))
    space = Space([many, *(Discrete(f"flag{i}", (False, True)) for i in range(30))])
    controller = Controller(space, 32, smoothness=0.1)
    vector, choices = controller.layout.initial(), drawn(controller, space, 20)
    parts, numbers = 5060, 2 * 32 + 1
    assert controller.layout.size == parts * numbers + 32 + 65 * 128
    tracemalloc.start()
    told = controller.evaluate(vector, choices)
    slopes = controller.gradient(told, np.ones_like(told.entropy), bonus=0.1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * (5 * parts * numbers + 10 * parts * 20) < 8 * 31 * 5000 * numbers / 3
    entropies = told.distributions.entropies[controller.dimensions.index(many)]
    np.testing.assert_allclose(entropies, np.log(5000))
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("units", [0, 4])
def test_a_trial_without_any_known_choice_teaches_nothing(units):
    controller = Controller(SPACES["flat"], units, 0.1)
    choices = controller.encode(SPACES["flat"], Record("", {"other": 3}))
    told = controller.evaluate(taught(controller), choices)
    assert not told.log_probability.any()
    assert not controller.gradient(told, np.ones_like(told.entropy), bonus=0.1).any()


@pytest.mark.parametrize("units", [0, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_trials_are_told_together_as_each_alone(kind, units):
    space = SPACES[kind]
    controller = Controller(space, units, smoothness=0.1)
    vector, choices = taught(controller), drawn(controller, space, 6)
    together = controller.evaluate(vector, choices)
    for i in range(6):
        alone = Choices(*(getattr(choices, n)[i : i + 1] for n in ("cells", "active", "counted")))
        told = controller.evaluate(vector, alone)
        for name in ("log_probability", "entropy"):
            mine, theirs = getattr(told, name), getattr(together, name)[i : i + 1]
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
