"""The product of matrices that depends on their values alone, to the last bit."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def product(a: Array, b: Array) -> Array:
    """`a @ b`, the same to the last bit wherever the matrices lie in memory.

    A resumed policy is the uninterrupted one bit for bit only if each product of it is. With
    one row or one column NumPy hands the product to BLAS' matrix-vector routines, which sum in
    an order that depends on the address in some versions (OpenBLAS 0.3.23, of NumPy 1.26). The
    routine for two matrices copies its operands first, so a lone row or column gets a twin.

    Args:
        a: Of shape (n, m), or a stack of such matrices.
        b: Of shape (m, k), or a stack of such matrices.
    """
    rows, columns = a.shape[-2], b.shape[-1]
    if rows > 1 and columns > 1:
        return np.asarray(a @ b)
    a = np.repeat(a, 2, axis=-2) if rows == 1 else a
    b = np.repeat(b, 2, axis=-1) if columns == 1 else b
    return np.asarray((a @ b)[..., :rows, :columns])
