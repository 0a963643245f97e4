"""Branching networks: branches, skip connections, blocks that are not there."""

from __future__ import annotations

import pytest

from kt_plus.search_spaces import BranchingSpace
from kt_plus.search_spaces.base import hyperparameters


@pytest.fixture(scope="module")
def space():
    return BranchingSpace((8, 8, 1), 3, blocks=4, widths=(4,), reductions=1)


def graph_of(space, **values):
    return space.graph(hyperparameters(values))


def test_a_block_adds_its_branches(space):
    graph = graph_of(space, block1_branch1="conv_3", block1_branch2="max_pool")
    assert graph.inputs["block1"] == ("block1_branch1", "block1_branch2")
    assert graph.inputs["block1_branch1"] == graph.inputs["block1_branch2"] == ("stem",)


def test_a_skip_connection_is_added_in_front_and_projected_where_shapes_differ(space):
    plain = graph_of(space)
    graph = graph_of(space, block2_skip0=True, block4_skip1=True)
    assert graph.inputs["block2_input"] == ("block1_branch1", "stem")
    assert graph.inputs["block4_input"] == ("block3_branch1", "block4_skip1_projection")
    assert graph.shapes["block4_skip1_projection"] == graph.shapes["block3_branch1"] == (4, 4, 8)
    assert {n.name for n in graph.nodes} - {n.name for n in plain.nodes} == {
        "block2_input",
        "block4_input",
        "block4_skip1_projection",
    }


def test_a_block_without_branches_is_not_there(space):
    graph = graph_of(space, block2_branch1="none", block3_skip1=True)
    assert not [n.name for n in graph.nodes if n.name.startswith("block2")]
    # Block 1 is what block 3 takes up anyhow, with block 2 gone.
    assert graph.hash() == graph_of(space, block2_branch1="none").hash()


def test_odd_sizes_can_be_skipped_over():
    space = BranchingSpace((7, 5, 1), 3, blocks=3, widths=(4,), reductions=2)
    values = {"block2_skip0": True, "block3_skip0": True, "block3_skip1": True}
    graph = graph_of(space, **values)
    assert graph.shapes["block3_branch1"] == (2, 2, 16)
    assert space.build(hyperparameters(values)).count_params() == graph.parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 1, "reductions": 2}, "blocks=1 was given with 2 reductions"),
        ({"branches": 0}, "branches=0 was given"),
        ({"operations": ("gru",)}, "Expected some of"),
        ({"data": "sequence", "input_shape": (8, 2)}, "Expected one of 'image', 'table'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BranchingSpace(**{"input_shape": (8, 8, 1), "num_outputs": 3} | arguments)
