"""A layer, its parent's that it goes on from, and what it takes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import NEW, Array, Units
from kt_plus.performance_estimation.inheritance.network import Call, Layer
from kt_plus.performance_estimation.inheritance.traces import Trace

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

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
        padding, stride = config.get("padding"), along(config.get("strides", 1), axis)
        dilation = along(config.get("dilation_rate", 1), axis)
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


def along(setting: Any, axis: int) -> int:
    """The setting for an axis, of one given for each axis or once for all."""
    return int(setting[axis] if isinstance(setting, (list, tuple)) else setting)


def how_and_why(
    inputs: Units, units: Units, old: tuple[int, int], window: str = ""
) -> tuple[str, str]:
    """How weights of the sizes `old` are taken over, and which sizes have changed."""
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


def mixing(
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
    how, why = how_and_why(inputs, units, old, window)
    exact = exact and arrays.covers(inputs, old[0]) and pair.same() and not pair.lacks("bias")
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")
    outs = [Trace(tensor, units, exact) for tensor in pair.there.outputs]  # and states, if told
    return Fit(how, why, outs, weights, inputs, copied_units(units))


def copied_units(units: Units) -> Array:
    """The units that stand for the same as one before them."""
    first = np.unique(units, return_index=True)[1]
    repeats: Array = units != NEW
    repeats[first] = False
    return repeats
