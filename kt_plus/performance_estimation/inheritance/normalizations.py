"""What layers that normalize take over from their parent's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import NEW
from kt_plus.performance_estimation.inheritance.network import Layer
from kt_plus.performance_estimation.inheritance.pairs import Fit, Pair, Weights, how_and_why
from kt_plus.performance_estimation.inheritance.traces import Trace, stands_for

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

NORMALIZATIONS = {"LayerNormalization", "RMSNormalization", "GroupNormalization"}


def on_last_axis(layer: Layer) -> bool:
    """Whether it has one weight of each name for each unit."""
    return layer.config.get("axis", -1) == -1 and all(w.ndim == 1 for w in layer.weights.values())


def batch_normalization(plan: Plan, pair: Pair) -> Fit:
    """Each unit keeps its statistics, scale and offset; without scale or offset, 1 or 0."""
    old, new = pair.parent.weights["moving_mean"], pair.child.weights["moving_mean"]
    inputs, exact = pair.inputs(plan, len(old), len(new))
    exact = exact and pair.same("center", "scale")
    exact = exact and not pair.lacks("gamma", 1.0) and not pair.lacks("beta")
    how, why = how_and_why(inputs, inputs, (len(old), len(old)))
    if not exact:
        plan.changed(pair.child, why or "its settings or its input differ from its parent's")

    def weights() -> Weights:
        parts = ("gamma", 1.0), ("beta", 0.0), ("moving_mean", 0.0), ("moving_variance", 1.0)
        return {n: w for name, d in parts for n, w in pair.vector(name, inputs, d).items()}

    return Fit(how, why, [Trace(pair.there.outputs[0], inputs, exact)], weights, inputs)


def normalization(plan: Plan, pair: Pair) -> Fit:
    """It is over the units of one example, which repeated units change unless evenly so."""
    names = pair.child.weights.keys() & pair.parent.weights.keys()
    sizes = [len(next(iter(each.weights.values()))) for each in (pair.parent, pair.child)]
    inputs, exact = pair.inputs(plan, *sizes)
    even = len(set(arrays.counts(inputs, sizes[0]))) == 1 and NEW not in inputs
    if pair.child.kind == "GroupNormalization":
        even = arrays.is_identity(inputs, sizes[0])
    how, why = how_and_why(inputs, inputs, (sizes[0], sizes[0]))
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


def adapted(plan: Plan, pair: Pair) -> Fit:
    """A layer adapted to the data keeps what it has learnt of them."""
    old, new = pair.parent.weights, pair.child.weights
    equal = all(np.array_equal(new[name], old[name]) for name in new)
    if not equal:
        plan.changed(pair.child, "it is adapted to other data")
    exact = equal and pair.trace.is_whole(plan.parent.width(pair.there.inputs[0]))
    out = stands_for(plan, pair.call.outputs[0], pair.there.outputs[0], exact)
    return Fit("copied", "adapted to the data, as its parent's" if equal else "", [out])
