"""Net2Wider and Net2Deeper on arrays: kernels of repeated units, and kernels that change nothing.

Source: Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer",
ICLR 2016 (arXiv:1511.05641), sections 2.2 and 2.3. Deviation: units are repeated in turn, not
drawn at random, so that layers of equal width, whose outputs may be added, repeat the same ones.

What a layer's units stand for is told by an array of whole numbers, `source`: unit j has the
values of the parent's unit `source[j]`, or is a new one if that is `NEW`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Units = NDArray[np.intp]

NEW = -1


def repeated(parent: int, child: int) -> Units:
    """The units of a layer that is `child` wide, of a parent that was `parent` wide.

    A wider layer repeats its parent's units in turn, a narrower one has the first ones.
    """
    return np.arange(child) % parent


def is_identity(source: Units, parent: int) -> bool:
    """Whether the units are the parent's, each once and in their order."""
    return len(source) == parent and bool((source == np.arange(parent)).all())


def covers(source: Units, parent: int) -> bool:
    """Whether each unit of the parent is there."""
    return bool(np.isin(np.arange(parent), source).all())


def counts(source: Units, parent: int) -> Units:
    """How often each unit of the parent is there."""
    return np.bincount(source[source != NEW], minlength=parent)


def taken(array: Array, source: Units, initial: Array, axis: int = -1) -> Array:
    """The array's entries along an axis, as `source` says; new units keep their initial ones."""
    found = np.take(array, np.maximum(source, 0), axis=axis)
    known = np.expand_dims(source != NEW, tuple(range(1, -axis))) if axis < -1 else source != NEW
    return np.where(known, found, initial).astype(initial.dtype, copy=False)


def divided(array: Array, source: Units, axis: int) -> Array:
    """Net2Wider's outgoing weights: those of repeated units are shared out, new ones have none."""
    number = counts(source, array.shape[axis])
    share = np.where(source == NEW, 0.0, 1.0 / np.maximum(number, 1)[np.maximum(source, 0)])
    shared: Array = np.take(array, np.maximum(source, 0), axis=axis)
    shared = shared * np.expand_dims(share, tuple(range(1, -axis)))
    return shared


def widened(kernel: Array, inputs: Units, units: Units, initial: Array) -> Array:
    """Net2Wider on a kernel of the shape (..., inputs, units), as Dense and Conv have.

    Args:
        kernel: The parent's.
        inputs: What the child's inputs stand for.
        units: What its units stand for.
        initial: The child's own kernel, as drawn, of which new units keep the weights.
    """
    return taken(divided(kernel, inputs, -2), units, initial)


def identity(window: tuple[int, ...], taps: tuple[int, ...], width: int) -> Array:
    """Net2Deeper's kernel, of the shape (*window, width, width): at one tap it passes all through.

    Args:
        window: The size of the kernel's window; empty for Dense.
        taps: The place in the window that is the unit's own.
        width: The number of units.
    """
    kernel = np.zeros((*window, width, width))
    kernel[taps] = np.eye(width)
    return kernel


def same_tap(size: int, dilation: int = 1) -> int | None:
    """The tap that is the unit's own, with padding "same" and stride 1; `None` if none is."""
    before = dilation * (size - 1) // 2
    return None if before % dilation else before // dilation


def in_window(kernel: Array, window: tuple[int, ...], shifts: tuple[int, ...]) -> Array:
    """The kernel in a window of another size, each tap moved by the shift, with zeros around."""
    placed = np.zeros((*window, *kernel.shape[len(window) :]), kernel.dtype)
    to, of = [], []
    for size, old, shift in zip(window, kernel.shape, shifts, strict=False):
        first, last = max(shift, 0), min(size, old + shift)
        to.append(slice(first, last))
        of.append(slice(first - shift, last - shift))
    placed[tuple(to)] = kernel[tuple(of)]
    return placed


def identity_normalization(mean: Array, variance: Array, epsilon: float) -> tuple[Array, Array]:
    """Scale and offset with which batch normalization by these moving statistics changes nothing.

    It computes gamma * (x - mean) / sqrt(variance + epsilon) + beta.
    """
    return np.sqrt(variance + epsilon), mean


def rectified(mean: Array, variance: Array) -> tuple[Array, Array]:
    """Mean and variance of max(z, 0) for a normal z."""
    from scipy.special import ndtr

    deviation = np.sqrt(np.maximum(variance, 1e-12))
    z = mean / deviation
    above, density = ndtr(z), np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    first = mean * above + deviation * density
    second = (mean**2 + variance) * above + mean * deviation * density
    return first, np.maximum(second - first**2, 1e-12)
