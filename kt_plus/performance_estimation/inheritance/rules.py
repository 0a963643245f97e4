"""What the layers with weights take over from their parent's, kind by kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import NEW, Array, Units
from kt_plus.performance_estimation.inheritance.network import Call, Layer
from kt_plus.performance_estimation.inheritance.traces import Trace, stands_for, unknown

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

CONVOLUTION = re.compile(r"Conv\dD")
TRANSPOSED = re.compile(r"Conv\dDTranspose")
DEPTHWISE = re.compile(r"DepthwiseConv\dD")
SEPARABLE = re.compile(r"SeparableConv\dD")
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
NORMALIZATIONS = {"LayerNormalization", "RMSNormalization", "GroupNormalization"}

Weights = Mapping[str, Array]


def _nothing() -> Weights:
    return {}


@dataclass(frozen=True)
class Fit:
    """What a layer takes over.

    Args:
        how: "copied", "widened", "cropped", "deepened" or "fresh".
        why: The reason in a few words, where there is one to tell.
        traces: What its outputs stand for then.
        weights: Computes its weights.
        inputs: What its inputs stand for.
        copies: Which of its units repeat others, and get noise.
    """

    how: str
    why: str
    traces: list[Trace]
    weights: Callable[[], Weights] = _nothing
    inputs: Units = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    copies: Array | None = None


def fit(plan: Plan, call: Call, traces: list[Trace]) -> Fit:
    """What the layer that is called takes over, given what its inputs stand for."""
    layer = plan.child.of(call)
    if layer.name in plan.silent:
        return _silent(plan, call, layer)
    name = plan.pairs.get(layer.name)
    if name is None:
        return _inserted(plan, call, layer, traces[0])
    parent = plan.parent.layers[name]
    calls = plan.parent.calls_of[name]
    there = next((c for c in calls if c.inputs[0] == traces[0].tensor), calls[0])
    rule = _rule_of(layer)
    if rule is not None and len(traces) == 1 and _ranks(layer) == _ranks(parent):
        return rule(plan, Pair(call, there, layer, parent, traces[0]))
    return _equal_only(plan, call, there, layer, parent, traces)


@dataclass(frozen=True)
class Pair:
    """A layer of the child and the parent's that it goes on from, with their calls."""

    call: Call
    there: Call
    child: Layer
    parent: Layer
    trace: Trace

    def inputs(self, plan: Plan, old: int, new: int) -> tuple[Units, bool]:
        """What the inputs stand for, and whether they are equal to the parent's in these places."""
        trace = self.trace
        if trace.tensor is not None and plan.parent.width(trace.tensor) == old:
            return trace.source, trace.exact and trace.tensor == self.there.inputs[0]
        return arrays.repeated(old, new), False

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
        """The size of the child's window, where the parent's lies in it, and whether as it lay."""
        name = "depthwise_kernel" if "depthwise_kernel" in self.child.weights else "kernel"
        new = self.child.weights[name].shape[:-2]
        old = self.parent.weights[name].shape[:-2]
        found = [self._shift(axis, n, o) for axis, (n, o) in enumerate(zip(new, old, strict=True))]
        return new, tuple(shift for shift, _ in found), all(exact for _, exact in found)

    def _shift(self, axis: int, new: int, old: int) -> tuple[int, bool]:
        if new == old:
            return 0, True
        config = self.child.config
        padding, stride = config.get("padding"), _each(config.get("strides", 1), axis)
        dilation = _each(config.get("dilation_rate", 1), axis)
        if padding == "causal":
            return new - old, new > old
        shift = (new - old) // 2
        if stride == dilation == 1:
            shift = (new - 1) // 2 - (old - 1) // 2
        certain = stride == dilation == 1 or ((new - old) % 2 == 0 and old >= stride)
        return shift, padding == "same" and new > old and certain

    def same(self, *unless: str) -> bool:
        """Whether both compute the same function of their weights."""
        ours = {n: v for n, v in self.child.config.items() if n not in unless}
        theirs = {n: v for n, v in self.parent.config.items() if n not in unless}
        return ours == theirs

    def vector(self, name: str, units: Units, default: float = 0.0) -> Weights:
        """A weight with one entry for each unit, if the child has it."""
        if name not in self.child.weights:
            return {}
        initial = self.child.weights[name]
        width = int(units.max(initial=0)) + 1
        old = self.parent.weights.get(name, np.full(width, default))
        return {name: arrays.taken(old, units, initial)}

    def lacks(self, name: str, default: float = 0.0) -> bool:
        """Whether the child has lost a weight of the parent's that did something."""
        old = self.parent.weights.get(name)
        return old is not None and name not in self.child.weights and bool((old != default).any())


def _each(setting: Any, axis: int) -> int:
    return int(setting[axis] if isinstance(setting, (list, tuple)) else setting)


def _ranks(layer: Layer) -> dict[str, int]:
    return {
        n: w.ndim for n, w in layer.weights.items() if n not in ("bias", "gamma", "beta", "scale")
    }


def _rule_of(layer: Layer) -> Callable[[Plan, Pair], Fit] | None:
    kind = layer.kind
    if layer.config.get("groups", 1) != 1 and kind != "GroupNormalization":
        return None
    if kind == "Dense" or CONVOLUTION.fullmatch(kind) or TRANSPOSED.fullmatch(kind):
        return _kernel
    if DEPTHWISE.fullmatch(kind):
        return _depthwise
    if SEPARABLE.fullmatch(kind):
        return _separable
    rules = {"BatchNormalization": _batch_norm, "Embedding": _embedding, "Normalization": _adapted}
    if kind == "BatchNormalization" and not _on_last_axis(layer):
        return None
    if kind in NORMALIZATIONS and _on_last_axis(layer):
        return _normalization
    return _recurrent if kind in GATES else rules.get(kind)


def _on_last_axis(layer: Layer) -> bool:
    return layer.config.get("axis", -1) == -1 and all(w.ndim == 1 for w in layer.weights.values())


def _told(
    pair: Pair, inputs: Units, units: Units, old: tuple[int, int], window: str = ""
) -> tuple[str, str]:
    """How the weights were taken over, and the sizes that have changed."""
    new = len(inputs), len(units)
    parts = [
        f"{name} {was} to {now}"
        for name, was, now in zip(("inputs", "units"), old, new, strict=True)
        if was != now
    ]
    parts += [window] if window else []
    if not (arrays.covers(inputs, old[0]) and arrays.covers(units, old[1])) or "cut" in window:
        return "cropped", ", ".join(parts)
    same = arrays.is_identity(inputs, old[0]) and arrays.is_identity(units, old[1])
    if same and not window:
        return "copied", ""
    return "widened", ", ".join(parts) or "the same sizes, of units in other places"


def _mixing(
    plan: Plan,
    pair: Pair,
    inputs: Units,
    units: Units,
    old: tuple[int, int],
    exact: bool,
    weights: Callable[[], Weights],
    window: str = "",
) -> Fit:
    """The fit of a layer each of whose units depends on all inputs."""
    how, why = _told(pair, inputs, units, old, window)
    exact = exact and arrays.covers(inputs, old[0]) and pair.same() and not pair.lacks("bias")
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")
    trace = Trace(pair.there.outputs[0], units, exact)
    return Fit(how, why, [trace], weights, inputs, _copies(units))


def _copies(units: Units) -> Array:
    """The units that stand for the same as one before them."""
    first = np.unique(units, return_index=True)[1]
    repeats: Array = units != NEW
    repeats[first] = False
    return repeats


def _kernel(plan: Plan, pair: Pair) -> Fit:
    """Dense and convolutions: Net2Wider."""
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
    return _mixing(plan, pair, inputs, units, sizes, exact, weights, _resized(old, window))


def _turned(kernel: Array, turn: bool) -> Array:
    return np.swapaxes(kernel, -1, -2) if turn else kernel


def _resized(old: Array, window: tuple[int, ...]) -> str:
    before = old.shape[: len(window)]
    if before == window:
        return ""
    grown = all(n >= o for n, o in zip(window, before, strict=True))
    sizes = ["x".join(map(str, size)) for size in (before, window)]
    return f"window {sizes[0]} {'to' if grown else 'cut to'} {sizes[1]}"


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


def _depthwise(plan: Plan, pair: Pair) -> Fit:
    new, old = pair.child.weights["kernel"], pair.parent.weights["kernel"]
    inputs, exact = pair.inputs(plan, old.shape[-2], new.shape[-2])
    units = _spread(inputs, old.shape[-1], new.shape[-1])
    window, _, as_it_lay = pair.window
    sizes = (old.shape[-2], old.shape[-2] * old.shape[-1])
    how, why = _told(pair, inputs, units, sizes, _resized(old, window))
    exact = exact and as_it_lay and pair.same() and not pair.lacks("bias")
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")

    def weights() -> Weights:
        return {"kernel": _depth_kernel(pair, "kernel", inputs), **pair.vector("bias", units)}

    return Fit(how, why, [Trace(pair.there.outputs[0], units, exact)], weights, inputs)


def _separable(plan: Plan, pair: Pair) -> Fit:
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
    return _mixing(plan, pair, inputs, units, sizes, exact, weights, _resized(old_depth, window))


def _recurrent(plan: Plan, pair: Pair) -> Fit:
    """Recurrent layers: their units are inputs too, and each gate repeats the same ones."""
    gates = GATES[pair.child.kind]
    new, old = pair.child.weights, pair.parent.weights
    inputs, exact = pair.inputs(plan, old["kernel"].shape[0], new["kernel"].shape[0])
    width = old["recurrent_kernel"].shape[0]
    units = plan.units(pair.child, width, new["recurrent_kernel"].shape[0])
    every = np.concatenate([units + gate * width for gate in range(gates)])
    every = np.where(np.tile(units, gates) == NEW, NEW, every)

    def weights() -> Weights:
        changed = {
            "kernel": arrays.widened(old["kernel"], inputs, every, new["kernel"]),
            "recurrent_kernel": arrays.widened(
                old["recurrent_kernel"], units, every, new["recurrent_kernel"]
            ),
        }
        if "bias" in new:
            bias = old.get("bias")
            if bias is None or bias.ndim != new["bias"].ndim:  # GRU's may be two
                bias = np.zeros((*new["bias"].shape[:-1], width * gates))
            changed["bias"] = arrays.taken(bias, every, new["bias"])
        return changed

    exact = exact and arrays.covers(units, width)
    sizes = (old["kernel"].shape[0], width)
    return _mixing(plan, pair, inputs, units, sizes, exact, weights)


def _embedding(plan: Plan, pair: Pair) -> Fit:
    new, old = pair.child.weights["embeddings"], pair.parent.weights["embeddings"]
    rows = min(len(new), len(old))
    units = plan.units(pair.child, old.shape[-1], new.shape[-1])
    trace = pair.trace
    exact = trace.is_whole(len(trace.source)) and trace.tensor == pair.there.inputs[0]

    def weights() -> Weights:
        table = np.array(new)
        table[:rows] = arrays.taken(old[:rows], units, new[:rows])
        return {"embeddings": table}

    exact = exact and len(new) >= len(old) and pair.same()
    entries = np.where(np.arange(len(new)) < rows, np.arange(len(new)), NEW)
    how, why = _told(pair, entries, units, (len(old), old.shape[-1]))
    if not exact:
        plan.changed(pair.child, why or "its input differs from its parent's")
    out = Trace(pair.there.outputs[0], units, exact)
    return Fit(how, why, [out], weights, entries, _copies(units))


def _batch_norm(plan: Plan, pair: Pair) -> Fit:
    old, new = pair.parent.weights["moving_mean"], pair.child.weights["moving_mean"]
    inputs, exact = pair.inputs(plan, len(old), len(new))
    exact = exact and pair.same("center", "scale")
    exact = exact and not pair.lacks("gamma", 1.0) and not pair.lacks("beta")
    how, why = _told(pair, inputs, inputs, (len(old), len(old)))
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")

    def weights() -> Weights:
        parts = ("gamma", 1.0), ("beta", 0.0), ("moving_mean", 0.0), ("moving_variance", 1.0)
        return {n: w for name, d in parts for n, w in pair.vector(name, inputs, d).items()}

    return Fit(how, why, [Trace(pair.there.outputs[0], inputs, exact)], weights, inputs)


def _normalization(plan: Plan, pair: Pair) -> Fit:
    """Normalization over the units of one example, which repeated units change unless evenly so."""
    names = pair.child.weights.keys() & pair.parent.weights.keys()
    sizes = next((len(pair.parent.weights[n]), len(pair.child.weights[n])) for n in names)
    inputs, exact = pair.inputs(plan, *sizes)
    even = len(set(arrays.counts(inputs, sizes[0]))) == 1 and NEW not in inputs
    if pair.child.kind == "GroupNormalization":
        even = arrays.is_identity(inputs, sizes[0])
    how, why = _told(pair, inputs, inputs, (sizes[0], sizes[0]))
    if not even:
        why += ", unevenly: the mean over the units is another one"
    exact = (
        exact and even and pair.same() and pair.child.weights.keys() == pair.parent.weights.keys()
    )
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")

    def weights() -> Weights:
        return {n: w for name in names for n, w in pair.vector(name, inputs).items()}

    return Fit(how, why, [Trace(pair.there.outputs[0], inputs, exact)], weights, inputs)


def _adapted(plan: Plan, pair: Pair) -> Fit:
    """A layer adapted to the data keeps what it has learnt of them."""
    old, new = pair.parent.weights, pair.child.weights
    equal = all(np.array_equal(new[name], old[name]) for name in new)
    if not equal:
        plan.changed(pair.child, "it is adapted to other data")
    exact = equal and pair.trace.is_whole(plan.parent.width(pair.there.inputs[0]))
    out = stands_for(plan, pair.call.outputs[0], pair.there.outputs[0], exact)
    return Fit("copied", "adapted to the data, as its parent's" if equal else "", [out])


def _equal_only(
    plan: Plan, call: Call, there: Call, layer: Layer, parent: Layer, traces: list[Trace]
) -> Fit:
    """A layer that can only be copied as it is."""
    shapes = [{n: w.shape for n, w in each.weights.items()} for each in (layer, parent)]
    if shapes[0] != shapes[1] or len(call.outputs) != len(there.outputs):
        return _fresh(plan, call, layer, f"a {layer.kind} of another shape cannot be changed")
    whole = [
        trace.tensor == tensor and trace.is_whole(plan.parent.width(tensor))
        for trace, tensor in zip(traces, there.inputs, strict=False)
    ]
    exact = all(whole) and len(traces) == len(there.inputs) and layer.key == parent.key
    if not exact:
        plan.changed(layer, "its settings or its input differ from its parent's")
    outs = [stands_for(plan, a, b, exact) for a, b in zip(call.outputs, there.outputs, strict=True)]
    return Fit("copied", "", outs, lambda: parent.weights)


def _fresh(plan: Plan, call: Call, layer: Layer, why: str, trace: Trace | None = None) -> Fit:
    plan.changed(layer, why)
    outs = [trace or unknown(plan.child.width(tensor)) for tensor in call.outputs]
    return Fit("fresh", why, outs)


def _silent(plan: Plan, call: Call, layer: Layer) -> Fit:
    """A new layer that begins with zeros, so that its branch adds nothing."""
    last = ("kernel", "pointwise_kernel", "gamma", "beta", "bias")

    def weights() -> Weights:
        return {n: np.zeros_like(w) for n, w in layer.weights.items() if n in last}

    why = "new, with zeros, so that adding it changes nothing"
    return Fit("fresh", why, [unknown(plan.child.width(call.outputs[0]), zero=True)], weights)


def _inserted(plan: Plan, call: Call, layer: Layer, trace: Trace) -> Fit:
    """A layer that the parent does not have: an identity where that is possible."""
    moved = [layer.weights.get(name, np.zeros(1)).any() for name in ("beta", "moving_mean")]
    if trace.zero and layer.kind == "BatchNormalization" and not any(moved):
        return Fit("fresh", "new, in a branch of zeros", [trace])
    if trace.tensor is None:
        return _fresh(plan, call, layer, "new, and its input is new too")
    if layer.kind == "BatchNormalization" and _on_last_axis(layer):
        return _new_batch_norm(plan, layer, trace)
    if layer.kind in NORMALIZATIONS:
        outs = Trace(trace.tensor, trace.source)
        return _fresh(plan, call, layer, "new, and it always changes its input", outs)
    why = plan.reason_against_identity(call, trace.tensor)
    if why is None and layer.kind == "Dense":
        return _new_kernel(plan, call, layer, trace, ())
    convolves = any(r.fullmatch(layer.kind) for r in (CONVOLUTION, DEPTHWISE, SEPARABLE))
    taps = _taps(layer) if convolves and why is None else None
    if why is None and taps is not None:
        return _new_kernel(plan, call, layer, trace, taps)
    return _fresh(plan, call, layer, f"new, and {why or 'it cannot pass on its input unchanged'}")


def _taps(layer: Layer) -> tuple[int, ...] | None:
    """The place in a convolution's window that is the unit's own, if there is one."""
    name = "depthwise_kernel" if "depthwise_kernel" in layer.weights else "kernel"
    config, taps = layer.config, []
    if config.get("groups", 1) != 1:
        return None
    for axis, size in enumerate(layer.weights[name].shape[:-2]):
        if _each(config.get("strides", 1), axis) != 1:
            return None
        padding, dilation = config.get("padding"), _each(config.get("dilation_rate", 1), axis)
        same = arrays.same_tap(size, dilation) if padding == "same" else None
        tap = 0 if size == 1 else size - 1 if padding == "causal" else same
        if tap is None:
            return None
        taps.append(tap)
    return tuple(taps)


def _new_kernel(plan: Plan, call: Call, layer: Layer, trace: Trace, taps: tuple[int, ...]) -> Fit:
    """Net2Deeper: an identity of the parent's units, and Net2Wider for those that are repeated."""
    width = plan.parent.width(trace.tensor or 0) or 0
    if not arrays.covers(trace.source, width):
        return _fresh(plan, call, layer, "new, and some of the parent's units are missing")
    name = next(n for n in ("pointwise_kernel", "kernel") if n in layer.weights)
    first = layer.weights.get("depthwise_kernel", layer.weights[name])
    depthwise, inputs = bool(DEPTHWISE.fullmatch(layer.kind)), trace.source
    if depthwise or "depthwise_kernel" in layer.weights:
        inputs = np.repeat(trace.source, first.shape[-1])
    units = inputs if depthwise else plan.units(layer, width, layer.weights[name].shape[-1])
    if not arrays.covers(units, width):
        return _fresh(plan, call, layer, f"new, and narrower than its input of {width} units")

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
