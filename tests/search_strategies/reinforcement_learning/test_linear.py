"""Products are the same to the last bit wherever their operands lie in memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kt_plus.search_strategies.reinforcement_learning.linear import product

LINE = 64
"""Bytes: how memory is aligned at best."""


def at(offset: int, values: np.ndarray) -> np.ndarray:
    """A copy that begins so many bytes after a multiple of `LINE`."""
    memory = np.empty(values.nbytes + 2 * LINE, np.uint8)
    start = -memory.ctypes.data % LINE + offset
    copy = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[:] = values
    return copy


@pytest.mark.parametrize("columns", [1, 2, 17])
@pytest.mark.parametrize("inner", [1, 3, 8, 17, 64])
@pytest.mark.parametrize("rows", [1, 2, 10])
def test_a_product_does_not_depend_on_the_address(rows: int, inner: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns))
    a_turned, b_turned = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    found = set()
    for i, j in itertools.product(range(0, LINE, 8), repeat=2):
        plain = product(at(i, a), at(j, b))
        np.testing.assert_allclose(plain, a @ b, rtol=1e-12, atol=1e-12)
        turned = product(at(i, a), at(j, b_turned).T), product(at(i, a_turned).T, at(j, b))
        # Columns of a wider array, and a stack of matrices, each of them elsewhere.
        part = product(at(i, np.hstack([a, a]))[:, inner:], at(j, np.hstack([b, b]))[:, columns:])
        stack = product(at(i, a), at(j, np.stack([b, -b, b])))
        np.testing.assert_array_equal(stack[0], stack[2])
        found.add(tuple(array.tobytes() for array in (plain, *turned, part, stack)))
    assert len(found) == 1


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (5, 1), (1, 1), (3, 4)])
def test_a_stack_is_multiplied_as_its_matrices_are(rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(rows, 7)), rng.normal(size=(3, 7, columns))
    stacked = product(a, b)
    assert stacked.shape == (3, rows, columns)
    np.testing.assert_array_equal(stacked, [product(a, matrix) for matrix in b])
