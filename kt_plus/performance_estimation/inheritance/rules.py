"""What a layer with weights takes over from its parent's: the rule for its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kt_plus.performance_estimation.inheritance.kernels import (
    CONVOLUTION,
    DEPTHWISE,
    SEPARABLE,
    TRANSPOSED,
    dense_or_convolution,
    depthwise,
    separable,
)
from kt_plus.performance_estimation.inheritance.network import Call, Layer
from kt_plus.performance_estimation.inheritance.new_layers import fresh, inserted, silent
from kt_plus.performance_estimation.inheritance.normalizations import (
    NORMALIZATIONS,
    adapted,
    batch_normalization,
    normalization,
    on_last_axis,
)
from kt_plus.performance_estimation.inheritance.pairs import Fit, Pair
from kt_plus.performance_estimation.inheritance.recurrent import GATES, embedding, recurrent
from kt_plus.performance_estimation.inheritance.traces import Trace, stands_for

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan


def fit(plan: Plan, call: Call, traces: list[Trace]) -> Fit:
    """What the layer that is called takes over, given what its inputs stand for."""
    layer = plan.child.of(call)
    if layer.name in plan.silent:
        return silent(plan, call, layer)
    name = plan.pairs.get(layer.name)
    if name is None:
        return inserted(plan, call, layer, traces[0])
    parent = plan.parent.layers[name]
    calls = plan.parent.calls_of[name]
    there = next((c for c in calls if c.inputs[0] == traces[0].tensor), calls[0])
    rule = _rule_of(layer)
    alike = _ranks(layer) == _ranks(parent) and len(call.outputs) == len(there.outputs)
    if rule is not None and len(traces) == 1 and alike:
        return rule(plan, Pair(call, there, layer, parent, traces[0]))
    return _equal_only(plan, call, there, layer, parent, traces)


def _rule_of(layer: Layer) -> Callable[[Plan, Pair], Fit] | None:
    kind = layer.kind
    if layer.config.get("groups", 1) != 1 and kind != "GroupNormalization":
        return None
    if kind == "Dense" or CONVOLUTION.fullmatch(kind) or TRANSPOSED.fullmatch(kind):
        return dense_or_convolution
    if DEPTHWISE.fullmatch(kind):
        return depthwise
    if SEPARABLE.fullmatch(kind):
        return separable
    if kind == "BatchNormalization":
        return batch_normalization if on_last_axis(layer) else None
    if kind in NORMALIZATIONS:
        return normalization if on_last_axis(layer) else None
    if kind in GATES:
        return recurrent
    return {"Embedding": embedding, "Normalization": adapted}.get(kind)


def _ranks(layer: Layer) -> dict[str, int]:
    return {
        n: w.ndim for n, w in layer.weights.items() if n not in ("bias", "gamma", "beta", "scale")
    }


def _equal_only(
    plan: Plan, call: Call, there: Call, layer: Layer, parent: Layer, traces: list[Trace]
) -> Fit:
    """A layer that can only be copied as it is."""
    shapes = [{n: w.shape for n, w in each.weights.items()} for each in (layer, parent)]
    if shapes[0] != shapes[1] or len(call.outputs) != len(there.outputs):
        return fresh(plan, call, layer, f"a {layer.kind} of another shape cannot be changed")
    whole = [
        trace.tensor == tensor and trace.is_whole(plan.parent.width(tensor))
        for trace, tensor in zip(traces, there.inputs, strict=False)
    ]
    exact = all(whole) and len(traces) == len(there.inputs) and layer.key == parent.key
    if not exact:
        plan.changed(layer, "its settings or its input differ from its parent's")
    outs = [stands_for(plan, a, b, exact) for a, b in zip(call.outputs, there.outputs, strict=True)]
    return Fit("copied", "", outs, lambda: parent.weights)
