"""Cells, and the benchmark that is known by heart."""

from __future__ import annotations

import keras_tuner
import pytest

from kt_plus.engine.space import Space
from kt_plus.search_spaces import CellSpace
from kt_plus.search_spaces.base import hyperparameters
from kt_plus.search_spaces.nas_bench_201 import architecture_string, unique_string


@pytest.fixture(scope="module")
def benchmark():
    return CellSpace((32, 32, 3), 10, preset="nas_bench_201", cells=5, dropout=0)


@pytest.fixture(scope="module")
def cells(benchmark):
    hp = keras_tuner.HyperParameters()
    benchmark.graph(hp)
    return list(Space.from_hyperparameters(hp.space).enumerate())


def test_nas_bench_201_has_15625_cells_and_6466_that_its_authors_call_unique(cells):
    assert len({architecture_string(values) for values in cells}) == len(cells) == 15_625
    assert len({unique_string(values) for values in cells}) == 6_466


@pytest.mark.slow
def test_of_which_5425_are_networks_of_their_own(cells):
    space = CellSpace((8, 8, 1), 2, preset="nas_bench_201", cells=1, width=1, reductions=0)
    assert len({space.graph(hyperparameters(values)).hash() for values in cells}) == 5_425


def test_its_networks_have_the_parameters_and_flops_of_the_benchmark(benchmark, cells):
    widest = dict.fromkeys(cells[0], "nor_conv_3x3")
    assert architecture_string(widest) == (
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
        "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    graph = benchmark.graph(hyperparameters(widest))
    # 1.53 M and 220.12 M, as the benchmark's own interface says.
    assert graph.trainable_parameters == 1_531_546
    assert graph.flops == 220_119_680


def test_a_cell_that_nothing_passes_gives_zeros():
    space = CellSpace((8, 8, 1), 3, preset="nas_bench_201", cells=1, width=2, reductions=0)
    cut = space.graph(hyperparameters({"edge_2_3": "nor_conv_1x1", "edge_0_1": "avg_pool_3x3"}))
    assert "stage1_cell1_zero" in cut.shapes
    assert not [node for node in cut.nodes if node.operation == "relu_conv"]  # no dead branches
    assert space.build(hyperparameters({})).count_params() == cut.parameters


def test_the_spaces_are_as_large_as_in_the_papers():
    def size(preset, kind):
        count = 1
        for choice in CellSpace((8, 8, 1), 2, preset=preset, reductions=1).architecture.dimensions:
            count *= int(choice.size) if choice.name.startswith(kind) else 1
        return count

    # DARTS: "(2+1)*2/2 ... = about 10^9" cells of each kind, with 7 operations.
    assert size("darts", "normal") == size("darts", "reduction") == 1 * 3 * 6 * 10 * 7**8
    assert size("nasnet", "normal") == 3 * 6 * 10 * 15 * 21 * 13**10


def test_a_reduction_halves_the_image_and_doubles_the_width():
    space = CellSpace((16, 16, 1), 2, preset="darts", cells=1, width=4, reductions=2)
    shapes = space.graph(hyperparameters({})).shapes
    assert shapes["stage1_cell1"] == (16, 16, 16)  # four states of width 4
    assert shapes["reduction1"] == (8, 8, 32)
    assert shapes["stage3_cell1"] == (4, 4, 64)


def test_the_output_of_a_nasnet_cell_is_what_no_other_state_uses():
    space = CellSpace((8, 8, 1), 2, preset="nasnet", cells=1, width=4, reductions=0)
    values = {f"normal_{node}_inputs": f"0,{node - 1}" for node in range(2, 7)}
    graph = space.graph(hyperparameters(values))
    assert not [node for node in graph.nodes if node.operation == "concat"]  # only the last is left
    values["normal_6_inputs"] = "0,1"
    graph = space.graph(hyperparameters(values))
    assert graph.inputs["stage1_cell1"] == ("stage1_cell1_node5", "stage1_cell1_node6")


def test_the_number_of_cells_and_the_width_follow_the_fidelity():
    space = CellSpace((8, 8, 1), 2, preset="nas_bench_201", cells=4, width=8, reductions=1)
    few = space.graph(hyperparameters({"edge_0_3": "skip_connect", "tuner/cells": 0.5}))
    values = {"edge_0_3": "nor_conv_1x1"}
    for share, number in ((0.25, 1), (0.5, 2), (1.0, 4)):
        graph = space.graph(hyperparameters(values | {"tuner/cells": share}))
        cells = {n.name.split("_")[1] for n in graph.nodes if n.name.startswith("stage1")}
        assert cells == {f"cell{place}" for place in range(1, number + 1)}
    narrow = space.graph(hyperparameters(values | {"tuner/width": 0.25}))
    assert narrow.shapes["stem"][-1] == 2
    assert few.parameters < space.graph(hyperparameters({"edge_0_3": "nor_conv_3x3"})).parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "enas"}, "Expected one of 'nasnet', 'darts', 'nas_bench_201'"),
        ({"cells": 0}, "at least 1"),
        ({"width": 0.5}, "at least 1"),
        ({"reductions": 4}, "can be halved 3 times"),
        ({"data": "sequence", "input_shape": (8, 2)}, "Expected one of 'image', 'table'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CellSpace(**{"input_shape": (8, 8, 1), "num_outputs": 3} | arguments)
