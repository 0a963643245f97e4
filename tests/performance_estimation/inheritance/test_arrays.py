"""The arithmetic of Net2Wider and Net2Deeper, without any network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import NEW

sizes = st.integers(1, 6)


@given(sizes, sizes, sizes, st.integers(0, 9), st.integers(0, 9), st.integers(0, 99))
def test_two_layers_compute_the_same_after_widening(
    inputs: int, hidden: int, outputs: int, more: int, more_inputs: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(inputs, hidden)), rng.normal(size=(hidden, outputs))
    x = rng.normal(size=(3, inputs))
    source = arrays.repeated(inputs, inputs + more_inputs)
    units = arrays.repeated(hidden, hidden + more)
    drawn = np.zeros((len(source), len(units))), np.zeros((len(units), outputs))
    wide = arrays.widened(first, source, units, drawn[0])
    narrow = arrays.widened(second, units, np.arange(outputs), drawn[1])
    expected = np.tanh(x @ first) @ second
    np.testing.assert_allclose(np.tanh(x[:, source] @ wide) @ narrow, expected, atol=1e-12)


@given(sizes, st.integers(0, 9))
def test_wider_layers_repeat_each_unit_evenly(old: int, more: int) -> None:
    units = arrays.repeated(old, old + more)
    counts = arrays.counts(units, old)
    assert counts.sum() == old + more
    assert counts.max() - counts.min() <= 1
    assert arrays.covers(units, old)
    assert arrays.is_identity(units, old) == (more == 0)


def test_narrower_layers_have_the_first_units() -> None:
    units = arrays.repeated(5, 3)
    assert units.tolist() == [0, 1, 2]
    assert not arrays.covers(units, 5)


def test_new_units_keep_what_was_drawn_and_new_inputs_have_no_weight() -> None:
    drawn = np.full((3, 2), 7.0)
    kernel = arrays.widened(np.ones((2, 1)), np.array([0, 1, NEW]), np.array([0, NEW]), drawn)
    assert kernel.tolist() == [[1, 7], [1, 7], [0, 7]]


@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 99))
def test_a_larger_window_sees_the_same(size: int, more: int, seed: int) -> None:
    """As padding "same" places it: (size - 1) // 2 taps before the unit's own."""
    rng = np.random.default_rng(seed)
    kernel, x = rng.normal(size=(size, 1, 1)), rng.normal(size=9)
    larger = size + more
    shift = (larger - 1) // 2 - (size - 1) // 2
    placed = arrays.in_window(kernel, (larger,), (shift,))
    np.testing.assert_allclose(_same(x, placed[:, 0, 0]), _same(x, kernel[:, 0, 0]))


def _same(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    before = (len(taps) - 1) // 2
    padded = np.pad(x, (before, len(taps) - 1 - before))
    return np.array([padded[i : i + len(taps)] @ taps for i in range(len(x))])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_the_own_tap_passes_all_through(size: int) -> None:
    taps = np.zeros(size)
    taps[arrays.same_tap(size)] = 1
    x = np.arange(9.0)
    assert _same(x, taps).tolist() == x.tolist()


def test_some_windows_have_no_own_tap() -> None:
    assert arrays.same_tap(2, dilation=2) == 0 or arrays.same_tap(2, dilation=2) is None
    assert arrays.same_tap(2, dilation=3) is None
    assert arrays.same_tap(3, dilation=2) == 1


def test_a_smaller_window_is_the_middle() -> None:
    kernel = np.arange(5.0).reshape(5, 1, 1)
    assert arrays.in_window(kernel, (3,), (-1,)).ravel().tolist() == [1, 2, 3]


@given(st.floats(-3, 3), st.floats(0.01, 9), st.floats(1e-5, 0.1))
def test_normalization_is_undone(mean: float, variance: float, epsilon: float) -> None:
    gamma, beta = arrays.identity_normalization(np.array(mean), np.array(variance), epsilon)
    x = np.linspace(-5, 5, 7)
    normalized = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    np.testing.assert_allclose(normalized, x, atol=1e-9)


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (1.5, 0.5), (-0.7, 2)])
def test_moments_of_a_rectified_normal(mean: float, deviation: float) -> None:
    z = np.maximum(np.random.default_rng(0).normal(mean, deviation, 400_000), 0)
    first, second = arrays.rectified(np.array(mean), np.array(deviation**2))
    assert first == pytest.approx(z.mean(), abs=0.01)
    assert second == pytest.approx(z.var(), abs=0.02)
