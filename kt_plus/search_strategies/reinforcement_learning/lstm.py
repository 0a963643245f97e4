"""One step of an LSTM, forth and back, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kt_plus.search_strategies.reinforcement_learning.linear import product

Array = np.ndarray
State = tuple[Array, Array]
"""Hidden state and cell state, one row a sequence."""


@dataclass(frozen=True)
class LSTMStep:
    """What the way back needs of one step of the way forth, one row a sequence.

    Args:
        inputs: What was fed, beside the hidden state before.
        activations: The hyperbolic tangents from which the four gates are made.
        gates: The gates admit, keep, show (i, f, o) and the new content (g), side by side.
        cell: The cell state before.
        squashed: The hyperbolic tangent of the cell state after.
        hidden: The hidden state after.
    """

    inputs: Array
    activations: Array
    gates: Array
    cell: Array
    squashed: Array
    hidden: Array


def forth(weights: Array, bias: Array, x: Array, state: State) -> tuple[LSTMStep, State]:
    """The state after `x`, as Keras' LSTM computes it.

    i, f, o = sigmoid(W [x h] + b), g = tanh(W [x h] + b), c' = f c + i g, h' = o tanh(c')
    (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000).
    """
    hidden, cell = state
    inputs = np.concatenate([x, hidden], axis=1)
    scale, shift = _scale(cell.shape[1])
    activations = product(inputs, weights)
    activations += bias
    activations *= scale
    np.tanh(activations, out=activations)
    gates = activations * scale
    gates += shift  # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2
    admit, keep, show, new = _parts(gates)
    after = keep * cell + admit * new
    squashed = np.tanh(after)
    shown = show * squashed
    return LSTMStep(inputs, activations, gates, cell, squashed, shown), (shown, after)


def back(step: LSTMStep, d_state: State) -> tuple[Array, Array]:
    """The slopes before the gates' squashing, and those of the cell state before the step.

    Args:
        step: The step.
        d_state: The slopes of the state after it.
    """
    d_hidden, d_cell = d_state
    admit, keep, show, new = _parts(step.gates)
    d_after = d_cell + d_hidden * show * (1 - step.squashed**2)
    slopes = np.empty_like(step.gates)
    d_admit, d_keep, d_show, d_new = _parts(slopes)
    np.multiply(d_after, new, out=d_admit)
    np.multiply(d_after, step.cell, out=d_keep)
    np.multiply(d_hidden, step.squashed, out=d_show)
    np.multiply(d_after, admit, out=d_new)
    scale, _ = _scale(len(step.cell.T))
    slopes *= (1 - step.activations**2) * scale**2
    return slopes, d_after * keep


def _parts(gates: Array) -> tuple[Array, Array, Array, Array]:
    units = gates.shape[1] // 4
    first, second, third = units, 2 * units, 3 * units
    return gates[:, :first], gates[:, first:second], gates[:, second:third], gates[:, third:]


@lru_cache(maxsize=16)
def _scale(units: int) -> tuple[Array, Array]:
    """What makes sigmoids of the tanh of the first three gates: factor and shift."""
    scale = np.ones(4 * units)
    scale[: 3 * units] = 0.5
    return scale, 1 - scale
