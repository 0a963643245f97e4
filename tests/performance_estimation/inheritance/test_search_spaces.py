"""Networks of our search spaces inherit: what their mutations keep of the function."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from kt_plus.performance_estimation.inheritance import WeightInheritance
from kt_plus.search_spaces import BranchingSpace, CellSpace, ChainSpace
from tests.performance_estimation.inheritance.networks import outputs, train

TRAINING = {"optimizer": "sgd", "learning_rate": 0.1, "dropout": 0, "weight_decay": 0}
SPACES: dict[str, Any] = {
    "chain": ChainSpace((8, 8, 1), 3, slots=3, widths=(2, 3, 4), reductions=1, **TRAINING),
    "table": ChainSpace((5,), 3, data="table", slots=3, widths=(3, 5, 8), **TRAINING),
    "branching": BranchingSpace((8, 8, 1), 3, **TRAINING),
    "cell": CellSpace((8, 8, 1), 3, **TRAINING),
}


def model_of(space: Any, values: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
    """A network of the space, the default one if no values are given, and its values."""
    keras.utils.clear_session()
    hp = kt.HyperParameters()
    hp.values.update(values or {})
    return space.build(hp), dict(hp.values)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
@given(st.integers(0, 999))
@settings(max_examples=3)
def test_a_mutation_computes_what_the_report_says(name: str, seed: int) -> None:
    space = SPACES[name]
    _, values = model_of(space)
    rng = np.random.default_rng(seed)
    for _ in range(4):
        values = space.mutate(values, rng)
    parent, values = model_of(space, values)
    network = WeightInheritance(0)
    mutated = space.mutate(values, rng)
    child, _ = model_of(space, mutated)
    report = network.transfer(train(parent, seed), child)
    changed = {n: (values.get(n), v) for n, v in mutated.items() if values.get(n) != v}
    note(f"{changed}: {report}")
    assert "copied" in report.counts or "widened" in report.counts
    if report.preserved:
        np.testing.assert_allclose(outputs(child), outputs(parent), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "before", "after", "kept"),
    [
        ("chain", {"slot1": "identity"}, {"slot1": "conv_3"}, True),
        ("chain", {"slot1": "identity"}, {"slot1": "residual_3"}, True),
        ("chain", {"slot1": "identity"}, {"slot1": "sep_conv_3"}, True),
        ("chain", {"slot1": "conv_3"}, {"slot1": "conv_5"}, True),
        ("chain", {"slot1": "conv_5"}, {"slot1": "conv_3"}, False),
        ("chain", {"width": 2}, {"width": 4}, True),
        ("chain", {"width": 4}, {"width": 3}, False),
        ("table", {"slot1": "identity"}, {"slot1": "dense_relu"}, True),
        ("table", {"slot1": "identity"}, {"slot1": "residual_relu"}, True),
        ("table", {"slot1": "identity"}, {"slot1": "dense_tanh"}, False),
        ("table", {"width": 3}, {"width": 5}, True),
    ],
)
def test_moves_that_keep_the_function(
    name: str, before: dict[str, Any], after: dict[str, Any], kept: bool
) -> None:
    space = SPACES[name]
    _, values = model_of(space)
    assert before.keys() | after.keys() <= values.keys()
    parent = train(model_of(space, values | before)[0], 1)
    child, _ = model_of(space, values | before | after)
    report = WeightInheritance(0).transfer(parent, child)
    assert report.preserved == kept, report.why
    if kept:
        np.testing.assert_allclose(outputs(child), outputs(parent), atol=1e-5)
