"""Whatever is said to keep the function does: random networks, and random changes of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from kt_plus.performance_estimation.inheritance import WeightInheritance
from tests.performance_estimation.inheritance.networks import (
    build,
    descriptions,
    morphed,
    outputs,
    train,
)

pytestmark = pytest.mark.versions

WITHOUT_NOISE = WeightInheritance(noise=0)


def transfer(parent: Any, child: Any) -> Any:
    report = WITHOUT_NOISE.transfer(parent, child)
    note(str(report))
    return report


def assert_same_function(parent: Any, child: Any) -> None:
    np.testing.assert_allclose(outputs(child), outputs(parent), atol=1e-5)


@given(st.data())
@settings(max_examples=15)
def test_a_morphism_keeps_the_function(data: Any) -> None:
    """Through batch normalization, sums and concatenation; before noise."""
    keras.utils.clear_session()
    description = data.draw(descriptions(named=True))
    child = build(data.draw(morphed(description)))
    parent = train(build(description), data.draw(st.integers(0, 99)))
    report = transfer(parent, child)
    assert report.preserved, report.why
    assert_same_function(parent, child)
    assert not {"cropped"} & report.counts.keys()


@given(descriptions(), descriptions(), st.integers(0, 99))
@settings(max_examples=15)
def test_any_two_networks(first: Any, second: Any, seed: int) -> None:
    """Whatever they are, the child is as the report says."""
    keras.utils.clear_session()
    parent, child = train(build(first), seed), build(second)
    before = {layer.name: layer.get_weights() for layer in child.layers if layer.weights}
    report = transfer(parent, child)
    if report.preserved:
        assert_same_function(parent, child)
    assert {layer.layer for layer in report.layers} == before.keys()
    for told in report.layers:
        now = child.get_layer(told.layer).get_weights()
        drawn = all(np.array_equal(a, b) for a, b in zip(now, before[told.layer], strict=True))
        assert all(np.isfinite(array).all() for array in now)
        if told.how == "fresh" and "zeros" not in told.why:
            assert drawn, told
        if told.how == "copied":
            theirs = {
                v.name: keras.ops.convert_to_numpy(v) for v in parent.get_layer(told.source).weights
            }
            ours = {
                v.name: keras.ops.convert_to_numpy(v) for v in child.get_layer(told.layer).weights
            }
            assert all(np.array_equal(ours[n], theirs[n]) for n in ours if n in theirs), told


@given(descriptions(), st.integers(0, 99))
@settings(max_examples=8)
def test_the_same_network_is_copied(description: Any, seed: int) -> None:
    keras.utils.clear_session()
    parent, child = train(build(description), seed), build(description)
    report = transfer(parent, child)
    assert report.preserved
    assert report.counts.keys() == {"copied"}
    assert_same_function(parent, child)
