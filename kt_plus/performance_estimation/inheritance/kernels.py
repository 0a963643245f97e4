"""What dense and convolutional layers take over from their parent's: Net2Wider."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import NEW, Array, Units
from kt_plus.performance_estimation.inheritance.pairs import Fit, Pair, Weights, how_and_why, mixing
from kt_plus.performance_estimation.inheritance.traces import Trace

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

CONVOLUTION = re.compile(r"Conv\dD")
TRANSPOSED = re.compile(r"Conv\dDTranspose")
DEPTHWISE = re.compile(r"DepthwiseConv\dD")
SEPARABLE = re.compile(r"SeparableConv\dD")


def dense_or_convolution(plan: Plan, pair: Pair) -> Fit:
    """Each unit is a sum over all inputs: what repeated ones send on is shared out."""
    turn = bool(TRANSPOSED.fullmatch(pair.child.kind))
    new, old = (_turned(p.weights["kernel"], turn) for p in (pair.child, pair.parent))
    inputs, exact = pair.inputs(plan, *(k.shape[-2] for k in (old, new)))
    units = plan.units(pair.child, old.shape[-1], new.shape[-1])
    window, shifts, as_it_lay = pair.window

    def weights() -> Weights:
        placed = arrays.in_window(old, window, shifts)
        kernel = _turned(arrays.widened(placed, inputs, units, new), turn)
        return {"kernel": kernel, **pair.vector("bias", units)}

    exact = exact and as_it_lay and not (turn and window != old.shape[:-2])
    sizes = (old.shape[-2], old.shape[-1])
    return mixing(plan, pair, inputs, units, sizes, exact, weights, _resized(old, window))


def _turned(kernel: Array, turn: bool) -> Array:
    return np.swapaxes(kernel, -1, -2) if turn else kernel


def depthwise(plan: Plan, pair: Pair) -> Fit:
    """Each input has units of its own, which go where it goes."""
    new, old = pair.child.weights["kernel"], pair.parent.weights["kernel"]
    inputs, exact = pair.inputs(plan, old.shape[-2], new.shape[-2])
    units = _spread(inputs, old.shape[-1], new.shape[-1])
    window, _, as_it_lay = pair.window
    sizes = (old.shape[-2], old.shape[-2] * old.shape[-1])
    how, why = how_and_why(inputs, units, sizes, _resized(old, window))
    exact = exact and as_it_lay and pair.same() and not pair.lacks("bias")
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")

    def weights() -> Weights:
        return {"kernel": _depth_kernel(pair, "kernel", inputs), **pair.vector("bias", units)}

    return Fit(how, why, [Trace(pair.there.outputs[0], units, exact)], weights, inputs)


def _spread(inputs: Units, old: int, new: int) -> Units:
    """The units of a depthwise convolution, `new` for each input, of a parent's with `old`."""
    units = inputs[:, None] * old + np.arange(new)[None, :] % old
    known = np.where((inputs == NEW)[:, None], NEW, units)
    return known.reshape(-1)


def _depth_kernel(pair: Pair, name: str, inputs: Units) -> Array:
    window, shifts, _ = pair.window
    new, old = pair.child.weights[name], pair.parent.weights[name]
    placed = arrays.in_window(old, window, shifts)
    multiplied = placed[..., np.arange(new.shape[-1]) % old.shape[-1]]
    return arrays.taken(multiplied, inputs, new, -2)


def separable(plan: Plan, pair: Pair) -> Fit:
    """A depthwise convolution, then one with a window of 1."""
    depth, old_depth = (p.weights["depthwise_kernel"] for p in (pair.child, pair.parent))
    point, old_point = (p.weights["pointwise_kernel"] for p in (pair.child, pair.parent))
    inputs, exact = pair.inputs(plan, old_depth.shape[-2], depth.shape[-2])
    between = _spread(inputs, old_depth.shape[-1], depth.shape[-1])
    units = plan.units(pair.child, old_point.shape[-1], point.shape[-1])
    window, _, as_it_lay = pair.window

    def weights() -> Weights:
        return {
            "depthwise_kernel": _depth_kernel(pair, "depthwise_kernel", inputs),
            "pointwise_kernel": arrays.widened(old_point, between, units, point),
            **pair.vector("bias", units),
        }

    exact = exact and as_it_lay and arrays.covers(between, old_point.shape[-2])
    sizes = (old_depth.shape[-2], old_point.shape[-1])
    return mixing(plan, pair, inputs, units, sizes, exact, weights, _resized(old_depth, window))


def _resized(old: Array, window: tuple[int, ...]) -> str:
    before = old.shape[: len(window)]
    if before == window:
        return ""
    grown = all(n >= o for n, o in zip(window, before, strict=True))
    sizes = ["x".join(map(str, size)) for size in (before, window)]
    return f"window {sizes[0]} {'to' if grown else 'cut to'} {sizes[1]}"
