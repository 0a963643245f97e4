"""What a child takes over from its parent, layer by layer, and whether it computes the same."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import Array, Units
from kt_plus.performance_estimation.inheritance.matching import matched
from kt_plus.performance_estimation.inheritance.network import (
    ACTIVATION,
    Call,
    Layer,
    Network,
    without_idle_calls,
)
from kt_plus.performance_estimation.inheritance.new_layers import can_be_zero
from kt_plus.performance_estimation.inheritance.pairs import Fit
from kt_plus.performance_estimation.inheritance.recurrent import GATES
from kt_plus.performance_estimation.inheritance.rules import fit
from kt_plus.performance_estimation.inheritance.traces import (
    RECTIFIERS,
    Trace,
    follow,
    is_unitwise,
    keeps_zero,
    passes_positive,
    same_merge,
    stands_for,
    unknown,
)

HOWS = ("copied", "widened", "cropped", "deepened", "fresh")


@dataclass(frozen=True)
class LayerReport:
    """What a layer has inherited.

    Args:
        layer: Its name.
        how: "copied"; "widened", by Net2Wider; "cropped"; "deepened", a new layer that begins
            as an identity; or "fresh", as it was drawn.
        why: What has changed, or why it could not be otherwise.
        source: The parent's layer.
    """

    layer: str
    how: str
    why: str = ""
    source: str | None = None


@dataclass(frozen=True)
class Report:
    """What a network has inherited.

    Args:
        layers: What each of its layers with weights has.
        preserved: Whether it computes what its parent does, before noise, when it does not train.
        why: Why not, if it does not.
    """

    layers: tuple[LayerReport, ...]
    preserved: bool
    why: str = ""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many layers have inherited in which way."""
        found = Counter(layer.how for layer in self.layers)
        return {how: found[how] for how in HOWS if found[how]}

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {how}" for how, number in self.counts.items())
        return f"{counts or 'no layers'}; " + (
            "its parent's function" if self.preserved else f"another function: {self.why}"
        )

    def get_config(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Report:
        layers = tuple(LayerReport(**layer) for layer in config["layers"])
        return cls(layers, config["preserved"], config["why"])


def inherited(
    child: Network, parent: Network, noise: float = 0.0
) -> tuple[Mapping[str, Mapping[str, Array]], Report]:
    """The weights that a network inherits from another one.

    Args:
        child: The network, with the weights that were drawn for it.
        parent: The other one, trained.
        noise: How much of the drawn weights is added to those of repeated units and of new
            layers, as a share; they would learn the same for ever without.

    Returns:
        The weights that change, by layer and name, and a report.
    """
    parent = without_idle_calls(parent)
    plan, fits, preserved = _best_plan(child, parent)
    weights = {name: _with_noise(f, child.layers[name], noise) for name, f in fits.items()}
    told = [LayerReport(name, f.how, f.why, plan.pairs.get(name)) for name, f in fits.items()]
    why = "" if preserved else plan.changes[0] if plan.changes else "its outputs are others"
    return {n: w for n, w in weights.items() if w}, Report(tuple(told), preserved, why)


def _best_plan(child: Network, parent: Network) -> tuple[Plan, Mapping[str, Fit], bool]:
    """The first way to match the layers that keeps the function, or that with the fewest new."""
    tried = []
    for by_name, by_shape in itertools.product((True, False), repeat=2):
        plan = Plan(child, parent, matched(child, parent, by_name, by_shape))
        fits, preserved = plan.made()
        if preserved:
            return plan, fits, True
        tried.append((sum(found.how == "fresh" for found in fits.values()), plan, fits))
    _, plan, fits = min(tried, key=lambda each: each[0])
    return plan, fits, False


def _with_noise(fit: Fit, layer: Layer, noise: float) -> Mapping[str, Array]:
    weights = fit.weights()
    if not noise or fit.copies is None or not fit.copies.any():
        return weights
    noisy = {}
    for name, array in weights.items():
        drawn = layer.weights[name]
        if array.ndim > 1 and name in ("kernel", "pointwise_kernel", "embeddings"):
            turn = layer.kind.endswith("Transpose")
            copies = np.tile(fit.copies, GATES.get(layer.kind, 1))
            copies = copies[:, None] if turn else copies
            array = array + (noise * drawn * copies).astype(array.dtype)
        noisy[name] = array
    return noisy


class Plan:
    """Follows a child's network call by call, and finds what each layer takes over.

    Args:
        child: The network that inherits.
        parent: The one that it inherits from.
        pairs: The parent's layer for each of the child's that has one.

    Attributes:
        silent: New layers that are to compute zeros.
        changes: What changes the function, in words, the first change first.
    """

    def __init__(self, child: Network, parent: Network, pairs: Mapping[str, str]) -> None:
        self.child, self.parent, self.pairs = child, parent, pairs
        self.silent: set[str] = set()
        self.changes: list[str] = []
        self._wanted: dict[str, Units] = {}
        self._again = False

    def made(self) -> tuple[Mapping[str, Fit], bool]:
        """The fit of every layer with weights, and whether the function is the parent's."""
        while True:
            self._again = False
            self.changes = []
            fits, traces = self._followed()
            if not self._again:  # each time at least one more layer has been settled
                break
        outputs = zip(self.child.outputs, self.parent.outputs, strict=False)
        same = [
            traces[ours].tensor == theirs and traces[ours].is_whole(self.parent.width(theirs))
            for ours, theirs in outputs
        ]
        return fits, all(same) and len(self.child.outputs) == len(self.parent.outputs)

    def _followed(self) -> tuple[dict[str, Fit], dict[int, Trace]]:
        traces = self._starts()
        fits: dict[str, Fit] = {}
        for call in self.child.calls:
            inputs = [traces[tensor] for tensor in call.inputs]
            layer = self.child.of(call)
            outs = self._fitted(fits, call, inputs) if layer.weights else follow(self, call, inputs)
            traces.update(zip(call.outputs, outs, strict=True))
        return fits, traces

    def _starts(self) -> dict[int, Trace]:
        traces = {tensor: unknown(self.child.width(tensor)) for tensor in self.child.inputs}
        for ours, theirs in zip(self.child.inputs, self.parent.inputs, strict=False):
            exact = self.child.width(ours) == self.parent.width(theirs)
            traces[ours] = stands_for(self, ours, theirs, exact)
        return traces

    def _fitted(self, fits: dict[str, Fit], call: Call, inputs: list[Trace]) -> list[Trace]:
        found = fit(self, call, inputs)
        first = fits.setdefault(call.layer, found)
        if first.how != found.how or not np.array_equal(first.inputs, found.inputs):
            self.changed(self.child.of(call), "its inputs stand for different units")
            return [Trace(trace.tensor, trace.source) for trace in found.traces]
        return found.traces

    def changed(self, layer: Layer, why: str) -> None:
        """Notes what makes the function another one, if the outputs depend on it."""
        self.changes.append(f"{layer.name}: {why}")

    def units(self, layer: Layer, old: int, new: int) -> Units:
        """What the units of a layer are to stand for."""
        wanted = self._wanted.get(layer.name)
        if wanted is not None and len(wanted) == new and wanted.max(initial=0) < old:
            return wanted
        return arrays.repeated(old, new)

    def align(self, call: Call, first: int, other: int, traces: list[Trace]) -> None:
        """Lets inputs of a merge stand for the same units, by changing the layer that makes one."""
        for number, like in ((other, first), (first, other)):
            name = self._maker(call.inputs[number])
            if name is not None and name not in self._wanted:
                self._wanted[name] = traces[like].source
                self._again = True
                return

    def _maker(self, tensor: int) -> str | None:
        """The layer that decides what a tensor's units stand for."""
        call = self.child.producers.get(tensor)
        while call is not None:
            layer = self.child.of(call)
            if not (is_unitwise(layer) or layer.is_any_of(["Normalization"])):
                return layer.name if layer.weights else None
            call = self.child.producers.get(call.inputs[0])
        return None

    def silence(self, call: Call, layer: Layer, traces: list[Trace]) -> bool:
        """Lets new branches of a sum compute zeros, if the rest is what the parent computes."""
        makers = [self._silent_maker(tensor) for tensor in call.inputs]
        if all(makers):
            kept = next((i for i, trace in enumerate(traces) if trace.tensor is not None), 0)
            makers[kept] = None
        rest = [trace for trace, maker in zip(traces, makers, strict=True) if maker is None]
        new = {maker for maker in makers if maker is not None} - self.silent
        alone = len(rest) == 1 and rest[0].tensor is not None
        if not new or not (alone or same_merge(self, layer, rest)):
            return False
        self.silent |= new
        self._again = True
        return True

    def _silent_maker(self, tensor: int) -> str | None:
        """A new layer that could make the tensor zero."""
        call = self.child.producers.get(tensor)
        while call is not None:
            layer = self.child.of(call)
            if layer.weights:
                return layer.name if layer.name not in self.pairs and can_be_zero(layer) else None
            if not keeps_zero(layer):
                return None
            call = self.child.producers.get(call.inputs[0])
        return None

    def reason_against_identity(self, call: Call, tensor: int) -> str | None:
        """Why a new layer cannot pass on a tensor: what follows it would change that."""
        after = self.child.consumers.get(call.outputs[0], [])
        while len(after) == 1 and self.child.of(after[0]).kind == "BatchNormalization":
            after = self.child.consumers.get(after[0].outputs[0], [])
        for following in after:
            layer = self.child.of(following)
            activates = layer.kind == ACTIVATION or layer.kind in RECTIFIERS
            if not activates or self.parent.find(layer, (tensor,)):
                continue
            function = layer.function or layer.kind
            if not passes_positive(layer):
                return f"{function} follows it, which changes its input"
            if tensor not in self.parent.not_negative:
                return f"{function} follows it, and its input may be negative"
        return None

    def statistics(self, trace: Trace) -> tuple[Array, Array] | None:
        """Mean and variance of each unit, where the parent's batch normalization tells them."""
        call = self.parent.producers.get(-1 if trace.tensor is None else trace.tensor)
        rectified = call is not None and self.parent.of(call).function == "relu"
        if call is not None and rectified:
            call = self.parent.producers.get(call.inputs[0])
        if call is None or self.parent.of(call).kind != "BatchNormalization":
            return None
        layer = self.parent.of(call)
        moving = layer.weights["moving_variance"]
        mean = layer.weights.get("beta", np.zeros_like(moving))
        scale = layer.weights.get("gamma", np.ones_like(moving))
        variance = scale**2 * moving / (moving + layer.config["epsilon"])
        if rectified:
            mean, variance = arrays.rectified(mean, variance)
        ones, zeros = np.ones(len(trace.source)), np.zeros(len(trace.source))
        return (
            arrays.taken(mean, trace.source, zeros),
            arrays.taken(variance, trace.source, ones),
        )
