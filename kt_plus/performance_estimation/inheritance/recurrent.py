"""What recurrent layers take over from their parent's, and the embeddings before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kt_plus.performance_estimation.inheritance import arrays
from kt_plus.performance_estimation.inheritance.arrays import NEW
from kt_plus.performance_estimation.inheritance.pairs import (
    Fit,
    Pair,
    Weights,
    copied_units,
    how_and_why,
    mixing,
)
from kt_plus.performance_estimation.inheritance.traces import Trace

if TYPE_CHECKING:
    from kt_plus.performance_estimation.inheritance.plan import Plan

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(plan: Plan, pair: Pair) -> Fit:
    """Its units are inputs too, and each gate repeats the same ones."""
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
    return mixing(plan, pair, inputs, units, sizes, exact, weights)


def embedding(plan: Plan, pair: Pair) -> Fit:
    """Its rows stand for the same entries, of which a longer table has new ones."""
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
    how, why = how_and_why(entries, units, (len(old), old.shape[-1]))
    if not exact:
        plan.changed(pair.child, why or "its input differs from its parent's")
    out = Trace(pair.there.outputs[0], units, exact)
    return Fit(how, why, [out], weights, entries, copied_units(units))
