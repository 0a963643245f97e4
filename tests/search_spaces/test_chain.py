"""Chains: their slots, stages and presets."""

from __future__ import annotations

from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

from kt_plus.engine.space import Space
from kt_plus.search_spaces import ChainSpace
from kt_plus.search_spaces.base import hyperparameters

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "nas_bench_macro.npz"
MACRO = ("identity", "mb3_k3", "mb6_k5")


@pytest.fixture(scope="module")
def macro():
    return ChainSpace((32, 32, 3), 10, preset="nas_bench_macro", dropout=0)


def slots(*held: str) -> dict[str, str]:
    return {f"slot{place}": each for place, each in enumerate(held, 1)}


def test_nas_bench_macro_has_6561_architectures(macro):
    hp = keras_tuner.HyperParameters()
    macro.graph(hp)
    configurations = list(Space.from_hyperparameters(hp.space).enumerate())
    assert len(configurations) == 6561 == 3**8
    graphs = {macro.graph(hyperparameters(values)) for values in configurations[::40]}
    assert len(graphs) == len(configurations[::40])


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded results are not there")
def test_nas_bench_macro_has_the_parameters_and_flops_that_its_authors_recorded(macro):
    table = np.load(RECORDED)
    for place in range(0, 6561, 20):
        held = slots(*(MACRO[int(digit)] for digit in str(table["arch"][place])))
        graph = macro.graph(hyperparameters(held))
        assert graph.trainable_parameters == table["params"][place]
        assert graph.flops == table["flops"][place]


def test_empty_slots_leave_no_trace_and_the_others_keep_their_names():
    space = ChainSpace((8, 8, 1), 3, slots=4, reductions=0)
    full = space.graph(hyperparameters(slots("conv_3", "conv_5", "conv_3", "conv_3")))
    gap = space.graph(hyperparameters(slots("conv_3", "identity", "conv_3", "conv_3")))
    names = {node.name for node in full.nodes}
    assert {node.name for node in gap.nodes} == names - {"slot2"}
    other = space.graph(hyperparameters(slots("conv_3", "conv_3", "identity", "conv_3")))
    assert other.hash() == gap.hash() != full.hash()


def test_each_reduction_halves_the_image_and_doubles_the_width():
    space = ChainSpace((16, 12, 1), 3, slots=3, widths=(8,), reductions=2)
    graph = space.graph(hyperparameters(slots("conv_3", "conv_3", "conv_3")))
    assert graph.shapes["slot1"] == (16, 12, 8)
    assert graph.shapes["slot2"] == (8, 6, 16)
    assert graph.shapes["slot3"] == (4, 3, 32)
    shapes = {ChainSpace((n, n, 3), 3).stages.__len__() - 1: n for n in (4, 8, 16, 32, 64, 128)}
    assert sorted(shapes) == [0, 1, 2, 3, 4]  # 64 and 128 are halved 4 times


@pytest.mark.parametrize("operation", ["max_pool", "avg_pool", "mb3_k3", "mb6_k5", "sep_conv_5"])
@pytest.mark.parametrize("data", ["image", "sequence"])
def test_each_other_operation_builds(operation, data):
    shape = (6, 6, 2) if data == "image" else (6, 2)
    space = ChainSpace(
        shape, 3, data=data, operations=(operation,), slots=2, widths=(4,), reductions=1
    )
    hp = keras_tuner.HyperParameters()
    assert space.build(hp).count_params() == space.graph(hp).parameters


def test_sequences_may_have_any_length():
    space = ChainSpace((None, 2), 3, data="sequence", widths=(4,))
    model = space.build(keras_tuner.HyperParameters())
    for length in (4, 9):
        assert model(np.zeros((2, length, 2))).shape == (2, 3)
    with pytest.raises(ValueError, match="of unknown length"):
        ChainSpace((None, 2), 3, data="sequence", max_flops=10**6)


def test_width_and_number_of_slots_follow_the_fidelity():
    space = ChainSpace((8, 8, 1), 3, slots=4, widths=(16,), reductions=1)
    held = slots("conv_3", "conv_3", "conv_3", "conv_3")
    narrow = space.graph(hyperparameters(held | {"tuner/width": 0.25}))
    assert narrow.shapes["slot1"] == (8, 8, 4)
    short = space.graph(hyperparameters(held | {"tuner/cells": 0.5}))
    assert [n.name for n in short.nodes if n.name.startswith("slot")] == ["slot1", "slot3"]


def test_images_may_be_smaller_at_a_lower_fidelity():
    def preprocessing(tensor):
        return keras.layers.Rescaling(1 / 255)(tensor)

    for before in (None, preprocessing):
        space = ChainSpace((8, 12, 1), 3, widths=(4,), preprocessing=before)
        half = space.build(hyperparameters({"tuner/resolution": 0.5}))
        assert half.input_shape == (None, 4, 6, 1)
        assert half.count_params() == space.graph(hyperparameters({})).parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reductions": 4}, "can be halved 3 times"),
        ({"reductions": -1}, "at least 0"),
        ({"slots": 0}, "at least 1"),
        ({"slots": 1, "reductions": 2}, "slots=1 was given with 2 reductions"),
        ({"operations": ("conv_7",)}, "Expected some of 'identity'"),
        ({"operations": "conv_3"}, "Expected some of 'identity'"),
        ({"widths": (0,)}, "Expected positive whole numbers"),
        ({"widths": 16}, "Expected positive whole numbers"),
        ({"preset": "resnet"}, "Expected 'nas_bench_macro'"),
        ({"preset": "nas_bench_macro", "slots": 3}, "Leave these out"),
        ({"data": "table", "input_shape": (3,), "reductions": 1}, "no resolution"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ChainSpace(**{"input_shape": (8, 8, 1), "num_outputs": 3} | arguments)


def test_a_bound_below_the_smallest_network_is_refused():
    with pytest.raises(ValueError, match="The smallest network of the space has 1,178 parameters"):
        ChainSpace((8, 8, 1), 10, max_parameters=1000)
