"""What the tensors of a child stand for: which tensor of its parent, unit by unit.

Layers without weights are followed here: activations, pooling, reshaping, sums, concatenation.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kt_plus.performance_estimation.inheritance.arrays import (
    NEW,
    Units,
    covers,
    is_identity,
    repeated,
)
from kt_plus.performance_estimation.inheritance.network import (
    ACTIVATION,
    Call,
    Layer,
    is_zero,
)

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

ACROSS_UNITS = {"softmax", "log_softmax", "sparsemax", "sparse_plus", "glu"}
"""Activations in which a unit's value depends on the other units."""

PASSES_POSITIVE = {"relu", "elu", "leaky_relu", "celu", "linear"}
"""Activations that leave alone what is not negative."""

RECTIFIERS = {"ReLU", "LeakyReLU", "ELU"}
"""Layers that are activations."""

KEEPS_ZERO = {"relu", "relu6", "elu", "leaky_relu", "selu", "celu", "gelu", "silu", "tanh", "mish"}

UNITWISE = ("Pooling", "UpSampling", "ZeroPadding", "Cropping", "ReLU", "ELU", "Rescaling")
"""Layers that treat each unit alike, and alone."""

MERGES = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}


@dataclass(frozen=True)
class Trace:
    """What a tensor of the child stands for.

    Args:
        tensor: The parent's tensor; `None` if it stands for none.
        source: For each of its units, the parent's unit that it has the values of.
        exact: Whether they are equal, and not only in the same place.
        zero: Whether it is known to be zero.
    """

    tensor: int | None
    source: Units
    exact: bool = False
    zero: bool = False

    def is_whole(self, width: int | None) -> bool:
        """Whether it is the parent's tensor itself."""
        return self.exact and is_identity(self.source, width or 0)


def unknown(width: int | None, zero: bool = False) -> Trace:
    """The trace of a tensor that stands for nothing."""
    return Trace(None, np.full(width or 0, NEW), zero=zero)


def follow(plan: Plan, call: Call, traces: list[Trace]) -> list[Trace]:
    """The traces of what a layer without weights computes."""
    layer = plan.child.of(call)
    if is_zero(layer):
        return [unknown(plan.child.width(call.outputs[0]), zero=True)]
    if is_unitwise(layer):
        return [_unitwise(plan, layer, traces[0])]
    if layer.kind in MERGES:
        return [_merge(plan, call, layer, traces)]
    if layer.kind == "Concatenate":
        return [_concatenate(plan, call, layer, traces)]
    if layer.kind in ("Flatten", "Reshape"):
        return [_reshape(plan, call, layer, traces[0])]
    return _foreign(plan, call, layer, traces)


def is_unitwise(layer: Layer) -> bool:
    """Whether it treats each unit, of the last axis, alike and alone; or is an activation."""
    known = layer.is_any_of(UNITWISE) and "channels first" not in layer.kind
    return known or layer.kind == ACTIVATION


def passes_positive(layer: Layer) -> bool:
    """Whether it leaves alone what is not negative."""
    limited = layer.config.get("max_value") is not None or layer.config.get("threshold")
    return layer.function in PASSES_POSITIVE or (layer.kind in RECTIFIERS and not limited)


def keeps_zero(layer: Layer) -> bool:
    """Whether a layer without weights makes zeros of zeros."""
    if layer.kind == ACTIVATION:
        return layer.function in KEEPS_ZERO
    moves = layer.kind == "Rescaling" or layer.config.get("threshold")
    return is_unitwise(layer) and not moves


def _unitwise(plan: Plan, layer: Layer, trace: Trace) -> Trace:
    function = layer.function
    if trace.tensor is None:
        return replace(trace, zero=trace.zero and keeps_zero(layer))
    same = plan.parent.find(layer, (trace.tensor,))
    if same is not None:
        mixes = function in ACROSS_UNITS or (function is None and layer.kind == ACTIVATION)
        each = not isinstance(layer.config.get("scale", 1.0), (int, float))  # Rescaling's
        exact = trace.exact
        if (mixes or each) and not trace.is_whole(plan.parent.width(trace.tensor)):
            plan.changed(layer, "it may compute each unit from all, and their number has changed")
            exact = False
        return Trace(same.outputs[0], trace.source, exact)
    if passes_positive(layer) and trace.tensor in plan.parent.not_negative:
        return trace
    plan.changed(layer, "the parent has none like it there")
    like = (c for c in plan.parent.consumers.get(trace.tensor, ()) if _alike(plan, c, layer))
    there = next(like, None)
    return Trace(there.outputs[0] if there else trace.tensor, trace.source)


def _alike(plan: Plan, call: Call, layer: Layer) -> bool:
    kind = plan.parent.of(call).kind
    return kind == layer.kind or ("Pooling" in kind and "Pooling" in layer.kind)


def _merge(plan: Plan, call: Call, layer: Layer, traces: list[Trace]) -> Trace:
    if layer.kind == "Add" and not all(trace.zero for trace in traces):
        some = [number for number, trace in enumerate(traces) if not trace.zero]
        call = replace(call, inputs=tuple(call.inputs[number] for number in some))
        traces = [traces[number] for number in some]
        if len(traces) == 1:
            return traces[0]
    there = same_merge(plan, layer, traces)
    if there is not None:
        return _of_equal_units(plan, call, there, traces)
    if layer.kind == "Add" and plan.silence(call, layer, traces):
        return traces[0]  # the plan is made again
    plan.changed(layer, f"the parent has no {layer.kind} of the same there")
    known = [trace for trace in traces if trace.tensor is not None]
    return replace(known[0], exact=False) if known else traces[0]


def same_merge(plan: Plan, layer: Layer, traces: list[Trace]) -> Call | None:
    """The parent's call that does the same with the same tensors, in whatever order."""
    tensors = [trace.tensor for trace in traces]
    if None in tensors or len(tensors) < 2:
        return None
    ordered = layer.kind == "Subtract"
    for call in plan.parent.consumers.get(tensors[0] or 0, ()):
        found = plan.parent.of(call)
        inputs = list(call.inputs)
        if found.kind == layer.kind and (
            inputs == tensors if ordered else sorted(inputs) == sorted(tensors)  # type: ignore[type-var]
        ):
            return call
    return None


def _of_equal_units(plan: Plan, call: Call, there: Call, traces: list[Trace]) -> Trace:
    """A merge of tensors whose units stand for the same ones; where not, they are new."""
    result = there.outputs[0]
    wide = [t for t in traces if len(t.source) > 1 or plan.parent.width(result) == 1]
    wide = wide or traces
    first = wide[0]
    for number, trace in enumerate(traces):
        if len(trace.source) == len(first.source) and (trace.source != first.source).any():
            plan.align(call, traces.index(first), number, traces)
    agree = np.all([trace.source == first.source for trace in wide], axis=0)
    source = np.where(agree, first.source, NEW)
    if not covers(source, plan.parent.width(result) or 0):
        plan.changed(plan.child.of(call), "its inputs repeat different units")
    return Trace(result, source, all(trace.exact for trace in traces))


def _concatenate(plan: Plan, call: Call, layer: Layer, traces: list[Trace]) -> Trace:
    known = [trace for trace in traces if trace.tensor is not None]
    if not known or layer.config.get("axis") != -1:
        return _foreign(plan, call, layer, traces)[0]
    there = _same_concatenation(plan, {trace.tensor for trace in known}, layer)
    exact = all(trace.exact for trace in known)
    if there is not None:
        offsets = _offsets(plan, there)
        parts = [
            _moved(t.source, next(offsets[t.tensor]) if t.tensor in offsets else None)
            for t in traces
        ]
        if not set(there.inputs) <= {trace.tensor for trace in known}:
            plan.changed(layer, "one of the tensors that it joined is missing")
        return Trace(there.outputs[0], np.concatenate(parts), exact)
    first = known[0].tensor
    parts = [t.source if t.tensor == first else np.full(len(t.source), NEW) for t in traces]
    if any(trace.tensor != first for trace in known):
        plan.changed(layer, "the parent does not join these tensors")
    return Trace(first, np.concatenate(parts), exact)


def _same_concatenation(plan: Plan, tensors: set[int | None], layer: Layer) -> Call | None:
    """The parent's concatenation that has most of these tensors."""
    calls = {c.outputs: c for t in tensors for c in plan.parent.consumers.get(t or 0, ())}
    found = [c for c in calls.values() if plan.parent.of(c).kind == "Concatenate"]
    return max(found, key=lambda c: len(tensors & set(c.inputs)), default=None)


def _offsets(plan: Plan, call: Call) -> dict[int | None, itertools.cycle[int]]:
    """Where each tensor begins in a concatenation; one that is there twice, in turn."""
    starts: dict[int | None, list[int]] = {}
    place = 0
    for tensor in call.inputs:
        starts.setdefault(tensor, []).append(place)
        place += plan.parent.width(tensor) or 0
    return {tensor: itertools.cycle(places) for tensor, places in starts.items()}


def _moved(source: Units, offset: int | None) -> Units:
    if offset is None:
        return np.full(len(source), NEW)
    return np.where(source == NEW, NEW, source + offset)


def _reshape(plan: Plan, call: Call, layer: Layer, trace: Trace) -> Trace:
    """Flattened, or in another shape: the last axis stays the units', or takes in all others."""
    before, after = plan.child.shapes[call.inputs[0]], plan.child.shapes[call.outputs[0]]
    if trace.tensor is None:
        return unknown(after[-1] if after else None, trace.zero)
    shape = plan.parent.shapes[trace.tensor]
    calls = [
        c
        for c in plan.parent.consumers.get(trace.tensor, ())
        if plan.parent.of(c).kind in ("Flatten", "Reshape")
    ]
    there = next((c for c in calls if len(plan.parent.shapes[c.outputs[0]]) == len(after)), None)
    if there is None or None in (*before, *after, *shape):
        return _foreign(plan, call, layer, [trace])[0]
    result, exact = plan.parent.shapes[there.outputs[0]], trace.exact and before[:-1] == shape[:-1]
    if result[-1] == shape[-1] and after[-1] == before[-1]:
        exact = exact and result[:-1] == after[:-1]
        source = trace.source
    elif len(after) == 1:
        source = _flat(before, shape, trace.source)
    else:
        return _foreign(plan, call, layer, [trace])[0]
    if not exact and trace.exact:
        plan.changed(layer, f"its input has the shape {before}, its parent's {shape}")
    return Trace(there.outputs[0], source, exact)


def _flat(child: tuple[int | None, ...], parent: tuple[int | None, ...], source: Units) -> Units:
    """What the units of a flattened tensor stand for, place by place."""
    places = np.indices([size or 0 for size in child[:-1]]).reshape(len(child) - 1, -1)
    sizes = [size or 0 for size in parent[:-1]]
    there = np.zeros(places.shape[1], dtype=np.intp)
    inside = np.ones(places.shape[1], dtype=bool)
    for place, size in zip(places, sizes, strict=True):
        inside &= place < size
        there = there * size + np.minimum(place, size - 1)
    units = there[:, None] * (parent[-1] or 0) + source[None, :]
    return np.where(inside[:, None] & (source != NEW)[None, :], units, NEW).reshape(-1)


def _foreign(plan: Plan, call: Call, layer: Layer, traces: list[Trace]) -> list[Trace]:
    """A layer of which nothing is known but that it computes the same from the same."""
    tensors = tuple(trace.tensor for trace in traces)
    there = None if None in tensors else plan.parent.find(layer, tensors)  # type: ignore[arg-type]
    outputs = call.outputs
    if there is None or len(there.outputs) != len(outputs):
        plan.changed(layer, "the parent has none like it there")
        return [unknown(plan.child.width(tensor)) for tensor in outputs]
    whole = all(
        trace.is_whole(plan.parent.width(tensor))
        for trace, tensor in zip(traces, there.inputs, strict=True)
    )
    if not whole:
        plan.changed(layer, f"what {layer.kind} does with repeated units is not known")
    return [
        stands_for(plan, tensor, of, whole)
        for tensor, of in zip(outputs, there.outputs, strict=True)
    ]


def stands_for(plan: Plan, tensor: int, of: int, exact: bool) -> Trace:
    """The trace of a tensor that has the place of one of the parent's."""
    width, parent = plan.child.width(tensor), plan.parent.width(of)
    if width is None or parent is None:
        return Trace(of, np.arange(width or 0), exact)
    return Trace(of, repeated(parent, width), exact and width == parent)
