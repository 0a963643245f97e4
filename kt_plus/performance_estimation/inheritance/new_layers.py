"""What layers that the parent does not have begin with: Net2Deeper, or as they were drawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.kernels import CONVOLUTION, DEPTHWISE, SEPARABLE
from kt_plus.performance_estimation.inheritance.network import FUNCTION, Call, Layer
from kt_plus.performance_estimation.inheritance.normalizations import NORMALIZATIONS, on_last_axis
from kt_plus.performance_estimation.inheritance.pairs import Fit, Weights, along
from kt_plus.performance_estimation.inheritance.traces import KEEPS_ZERO, Trace, unknown

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

ZEROES = re.compile(
    r"(Dense|(Depthwise|Separable)?Conv\dD(Transpose)?|SimpleRNN|GRU|LSTM"
    r"|(Batch|Layer|Group|RMS)Normalization)( with channels first)?"
)
"""Layers that compute zeros where their weights are zero, unless their activation does not."""


def fresh(plan: Plan, call: Call, layer: Layer, why: str, trace: Trace | None = None) -> Fit:
    """A layer as it was drawn, whose outputs stand for nothing, unless `trace` tells what for."""
    plan.changed(layer, why)
    outs = [trace or unknown(plan.child.width(tensor)) for tensor in call.outputs]
    return Fit("fresh", why, outs)


def can_be_zero(layer: Layer) -> bool:
    """Whether a layer computes zeros if its weights are zero."""
    weighs = {"kernel", "pointwise_kernel", "gamma"} & layer.weights.keys()
    function = layer.config.get(FUNCTION, "linear")
    known = isinstance(function, str) and function in {"linear", *KEEPS_ZERO}
    return bool(weighs) and known and ZEROES.fullmatch(layer.kind) is not None


def silent(plan: Plan, call: Call, layer: Layer) -> Fit:
    """A new layer that begins with zeros, so that its branch adds nothing."""
    last = ("kernel", "pointwise_kernel", "gamma", "beta", "bias")

    def weights() -> Weights:
        return {n: np.zeros_like(w) for n, w in layer.weights.items() if n in last}

    why = "new, with zeros, so that adding it changes nothing"
    outs = [unknown(plan.child.width(tensor), zero=True) for tensor in call.outputs]
    return Fit("fresh", why, outs, weights)


def inserted(plan: Plan, call: Call, layer: Layer, trace: Trace) -> Fit:
    """A layer that the parent does not have: an identity where that is possible."""
    moved = [layer.weights.get(name, np.zeros(1)).any() for name in ("beta", "moving_mean")]
    if trace.zero and layer.kind == "BatchNormalization" and not any(moved):
        return Fit("fresh", "new, in a branch of zeros", [trace])
    if trace.tensor is None:
        return fresh(plan, call, layer, "new, and its input is new too")
    if layer.kind == "BatchNormalization" and on_last_axis(layer):
        return _new_batch_norm(plan, layer, trace)
    if layer.kind in NORMALIZATIONS:
        outs = Trace(trace.tensor, trace.source)
        return fresh(plan, call, layer, "new, and it always changes its input", outs)
    why = plan.reason_against_identity(call, trace.tensor)
    if why is None and layer.kind == "Dense":
        return _new_kernel(plan, call, layer, trace, ())
    convolves = any(r.fullmatch(layer.kind) for r in (CONVOLUTION, DEPTHWISE, SEPARABLE))
    taps = _taps(layer) if convolves and why is None else None
    if why is None and taps is not None:
        return _new_kernel(plan, call, layer, trace, taps)
    return fresh(plan, call, layer, f"new, and {why or 'it cannot pass on its input unchanged'}")


def _new_kernel(plan: Plan, call: Call, layer: Layer, trace: Trace, taps: tuple[int, ...]) -> Fit:
    """Net2Deeper: an identity of the parent's units, and Net2Wider for those that are repeated."""
    width = plan.parent.width(trace.tensor or 0) or 0
    if not arrays.covers(trace.source, width):
        return fresh(plan, call, layer, "new, and some of the parent's units are missing")
    name = next(n for n in ("pointwise_kernel", "kernel") if n in layer.weights)
    first = layer.weights.get("depthwise_kernel", layer.weights[name])
    depthwise, inputs = bool(DEPTHWISE.fullmatch(layer.kind)), trace.source
    if depthwise or "depthwise_kernel" in layer.weights:
        inputs = np.repeat(trace.source, first.shape[-1])
    units = inputs if depthwise else plan.units(layer, width, layer.weights[name].shape[-1])
    if not arrays.covers(units, width):
        return fresh(plan, call, layer, f"new, and narrower than its input of {width} units")

    def weights() -> Weights:
        changed = {n: np.zeros_like(w) for n, w in layer.weights.items() if n != name}
        if depthwise or "depthwise_kernel" in layer.weights:
            passing = np.zeros_like(first)
            passing[taps] = 1.0
            changed["kernel" if depthwise else "depthwise_kernel"] = passing
        if not depthwise:
            own = taps if name == "kernel" else (0,) * len(taps)
            window = layer.weights[name].shape[:-2]
            kernel = arrays.identity(window, own, width)
            changed[name] = arrays.widened(kernel, inputs, units, layer.weights[name])
        return changed

    copies = None if depthwise else np.ones(len(units), dtype=bool)
    why = "new: an identity"
    return Fit("deepened", why, [Trace(trace.tensor, units, trace.exact)], weights, inputs, copies)


def _taps(layer: Layer) -> tuple[int, ...] | None:
    """The place in a convolution's window that is the unit's own, if there is one."""
    name = "depthwise_kernel" if "depthwise_kernel" in layer.weights else "kernel"
    config, taps = layer.config, []
    if config.get("groups", 1) != 1:
        return None
    for axis, size in enumerate(layer.weights[name].shape[:-2]):
        if along(config.get("strides", 1), axis) != 1:
            return None
        padding, dilation = config.get("padding"), along(config.get("dilation_rate", 1), axis)
        same = arrays.same_tap(size, dilation) if padding == "same" else None
        tap = 0 if size == 1 else size - 1 if padding == "causal" else same
        if tap is None:
            return None
        taps.append(tap)
    return tuple(taps)


def _new_batch_norm(plan: Plan, layer: Layer, trace: Trace) -> Fit:
    """Batch normalization that normalizes by statistics, and undoes it."""
    epsilon, own = layer.config["epsilon"], layer.weights
    known = plan.statistics(trace) if {"gamma", "beta"} <= own.keys() else None
    mean, variance = known or (np.zeros(len(trace.source)), np.ones(len(trace.source)))

    def weights() -> Weights:
        gamma, beta = arrays.identity_normalization(mean, variance, epsilon)
        spread = variance if "gamma" in own else np.full_like(variance, 1 - epsilon)
        wanted = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": spread}
        return {n: w.astype(own[n].dtype) for n, w in wanted.items() if n in own}

    return Fit("deepened", "new: an identity outside training", [trace], weights, trace.source)
