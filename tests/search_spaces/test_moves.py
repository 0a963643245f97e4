"""Mutation of graphs, fingerprints and bounds, by themselves and in a search."""

from __future__ import annotations

import math

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.errors import FailedTrialError

import kt_plus
from kt_plus.auto_model.search import first_configurations
from kt_plus.engine.space import Hooks, Space
from kt_plus.search_spaces import ChainSpace
from kt_plus.search_spaces.base import hyperparameters
from kt_plus.search_strategies.evolution import evolution
from kt_plus.testing import simulate
from tests.search_spaces.networks import SPACES, data_of


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]()


def searched(space) -> Space:
    hp = keras_tuner.HyperParameters()
    space.build(hp)
    return Space.from_hyperparameters(hp.space, Hooks.of(space))


def changed(before, after) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_move_makes_another_network_of_the_space(space):
    dimensions = space.architecture
    rng = np.random.default_rng(0)
    values = {**dimensions.draw(rng), "adam_learning_rate": 0.01}
    for _ in range(30):
        child = space.mutate(values, rng)
        legal = {name: child[name] for name in child if name != "adam_learning_rate"}
        assert dimensions.check(legal) == legal
        assert child["adam_learning_rate"] == 0.01
        assert child["dropout"] == values["dropout"]
        assert space.fingerprint(child) != space.fingerprint(values)
        values = child


def test_moves_use_no_randomness_but_what_they_are_given(space):
    values = space.architecture.draw(np.random.default_rng(1))
    children = [space.mutate(values, np.random.default_rng(5)) for _ in range(2)]
    assert children[0] == children[1]


def test_a_layer_put_into_a_chain_shifts_others_within_its_stage():
    space = ChainSpace((8, 8, 1), 3, slots=4, reductions=0, widths=(4,))
    held = ["conv_3", "identity", "conv_5", "sep_conv_3"]
    values = {f"slot{place}": each for place, each in enumerate(held, 1)}
    values = space.architecture.complete(values)
    seen = set()
    for seed in range(60):
        child = space._insert(values, np.random.default_rng(seed))
        after = [child[f"slot{place}"] for place in range(1, 5)]
        assert "identity" not in after
        others = [[*after[:place], *after[place + 1 :]] for place in range(4)]
        assert ["conv_3", "conv_5", "sep_conv_3"] in others
        seen.add(tuple(after))
    assert len(seen) > 4


def test_a_layer_taken_out_of_a_chain_leaves_the_others_where_they_are():
    space = ChainSpace((8, 8, 1), 3, slots=4, widths=(4,))
    values = space.architecture.defaults()
    child = space._remove(values, np.random.default_rng(0))
    (name,) = changed(values, child)
    assert child[name] == "identity"


def test_a_connection_is_moved():
    space = SPACES["branching-image"]()
    values = {**space.architecture.defaults(), "block3_skip0": True}
    child = space._rewire(values, np.random.default_rng(0))
    assert changed(values, child) == {"block3_skip0", "block3_skip1"}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("chain-image", {"width": 4, "slot2": "identity"}, {"width": 8, "slot2": "conv_3"}),
        ("chain-table", {"slot2": "identity"}, {"slot2": "residual_relu"}),
        ("branching-image", {}, {"block3_skip0": True, "block2_branch2": "conv_3"}),
        ("nas_bench_201-image", {"edge_0_3": "skip_connect"}, {"edge_0_3": "skip_connect",
            "edge_0_1": "nor_conv_3x3", "edge_1_3": "nor_conv_1x1"}),
    ],
)  # fmt: skip
def test_networks_that_grow_inherit_what_they_computed(name, before, after):
    space = SPACES[name](dropout=0)
    parent, child = (space.build(hyperparameters(values)) for values in (before, after))
    x, y = data_of(space)
    parent.run_eagerly = True
    parent.train_on_batch(x, y)
    assert kt_plus.WeightInheritance(noise=0).transfer(parent, child).preserved
    ours, theirs = (keras.ops.convert_to_numpy(model(x)) for model in (child, parent))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_isomorphic_networks_trained_alike_have_one_fingerprint():
    space = ChainSpace((8, 8, 1), 3, slots=2, reductions=0, widths=(4,))
    one = {"slot1": "conv_3", "slot2": "identity", "dropout": 0.1, "weight_decay": 1e-3}
    other = {**one, "slot1": "identity", "slot2": "conv_3"}
    assert space.fingerprint(one) == space.fingerprint(other)
    assert space.fingerprint(one) != space.fingerprint({**one, "weight_decay": 1e-2})
    assert space.fingerprint(one) != space.fingerprint({**one, "dropout": 0.2})
    assert space.fingerprint(one) != space.fingerprint({**one, "slot2": "conv_3"})


def fixed(**options):
    """A space whose training is not searched, so that networks alone differ."""
    training = {"optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0, "dropout": 0}
    return ChainSpace((8, 8, 1), 3, widths=(4, 8), slots=4, reductions=1, **training, **options)


def test_what_auto_model_tries_first_is_within_the_bound():
    tables = {"data": "table", "widths": (64,), "dropout": 0}
    assert len(first_configurations(ChainSpace((5,), 3, **tables))) == 2
    (linear,) = first_configurations(ChainSpace((5,), 3, max_parameters=100, **tables))
    assert linear["slot1"] == "identity"
    assert first_configurations(fixed(max_parameters=1_500)) == [{}]
    assert first_configurations(fixed(max_parameters=1_000)) == []


def test_a_search_tries_no_network_twice_and_ends_when_all_were_tried(tmp_path):
    space = fixed(operations=("conv_3", "identity"))
    dimensions = searched(space)
    distinct = {space.fingerprint(values) for values in dimensions.enumerate()}
    # The first stage has 3 networks of 4: a gap may be before or behind its layer.
    assert len(distinct) == 2 * 3 * 4
    oracle = kt_plus.oracles.EvolutionarySearchOracle("loss", max_trials=100, seed=0)
    oracle._set_project_dir(tmp_path, "search")
    oracle.learn_hooks(space)
    hp = keras_tuner.HyperParameters()
    space.build(hp)
    oracle.update_space(hp)
    tried = []
    for number in range(32):
        trial = oracle.create_trial("worker")
        if trial.status != "RUNNING":
            break
        tried.append(space.fingerprint(trial.hyperparameters.values))
        oracle.update_trial(trial.trial_id, {"loss": float(number)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert len(tried) == len(set(tried)) == len(distinct)


@pytest.mark.parametrize("name", ["chain-image", "branching-image", "darts-image"])
def test_no_strategy_proposes_a_network_above_the_bound(name):
    free = SPACES[name]()
    sizes = [
        free.graph(hyperparameters(free.architecture.draw(np.random.default_rng(seed)))).parameters
        for seed in range(40)
    ]
    bound = int(np.median(sizes))
    space = SPACES[name](max_parameters=bound)
    for strategy in (
        evolution(30),
        kt_plus.oracles.RandomSearchOracle("loss").strategy,
        kt_plus.oracles.ReinforcementLearningOracle("loss").strategy,
        kt_plus.oracles.GridSearchOracle("loss").strategy,
    ):
        for _, proposal in simulate(strategy, searched(space), trials=12):
            graph = free.graph(hyperparameters(proposal.values))
            assert graph.parameters <= bound


def test_the_smallest_network_is_no_larger_than_any(space):
    smallest = space.graph(hyperparameters(space.smallest()))
    rng = np.random.default_rng(2)
    for _ in range(40):
        values = space.architecture.draw(rng)
        assert smallest.parameters <= space.graph(hyperparameters(values)).parameters


def test_flops_are_bounded_too():
    space = fixed(max_flops=20_000)
    free = fixed()
    dimensions = searched(space)
    rng = np.random.default_rng(0)
    flops = [free.graph(hyperparameters(dimensions.draw(rng))).flops for _ in range(30)]
    assert max(flops) <= 20_000
    assert free.graph(hyperparameters({})).flops > 20_000


def test_other_tuners_get_a_narrower_network_in_place_of_one_above_the_bound():
    free = fixed().graph(hyperparameters({"width": 8}))
    space = fixed(max_parameters=free.parameters - 1)
    hp = hyperparameters({"width": 8})
    assert not space.valid(hp.values)
    graph = space.graph(hp)
    assert graph.shapes["slot1"] == (8, 8, 4)
    assert space.build(hp).count_params() == graph.parameters < free.parameters
    assert [n.operation for n in graph.nodes] == [n.operation for n in free.nodes]


def test_a_network_that_no_narrower_one_can_stand_for_fails_its_trial():
    # The smallest network of the space is linear, and fits; 4 wide layers never do.
    space = ChainSpace((5,), 3, data="table", widths=(64,), max_parameters=25, dropout=0)
    held = {f"slot{place}": "residual_relu" for place in range(1, 5)}
    with pytest.raises(FailedTrialError, match=r"above the bound \(max_parameters=25\)"):
        space.build(hyperparameters(held))


def test_a_bound_that_hardly_anything_is_within_ends_with_a_clear_error():
    space = ChainSpace((5,), 3, data="table", slots=12, max_parameters=20, dropout=0)
    dimensions = Space(space.architecture.dimensions, Hooks.of(space))
    with pytest.raises(ValueError, match="the hypermodel's `valid` allows none"):
        dimensions.draw(np.random.default_rng(0))


def test_a_configuration_given_by_the_user_must_be_within_the_bound(tmp_path):
    space = fixed(max_parameters=1_500)
    with pytest.raises(ValueError, match="`valid` does not allow"):
        kt_plus.RandomSearch(
            space,
            "loss",
            directory=tmp_path,
            initial_configurations=[{"width": 8}],
        )


@pytest.mark.slow
def test_a_search_trains_resumes_and_proposes_the_same(tmp_path):
    def search(folder, trials):
        space = ChainSpace((5,), 3, data="table", widths=(4, 8), max_parameters=300)
        tuner = kt_plus.EvolutionarySearch(
            space, "loss", max_trials=4, seed=3, random_trials=2, directory=folder
        )
        tuner.oracle.max_trials = trials
        tuner.search(*data_of(space), epochs=1, verbose=0)
        return [t.hyperparameters.values for t in tuner.oracle.trials.values()], tuner

    whole, tuner = search(tmp_path / "whole", 4)
    assert len(whole) == 4
    assert all(math.isfinite(record.score) for record in tuner.oracle.history)
    free = SPACES["chain-table"]()
    assert max(free.graph(hyperparameters(values)).parameters for values in whole) <= 300
    search(tmp_path / "halves", 2)
    resumed, _ = search(tmp_path / "halves", 4)
    assert resumed == whole
