"""An LSTM in NumPy, forth and back: of inputs that are all known, only the recurrence is a loop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kt_plus.search_strategies.reinforcement_learning.linear import product

Array = np.ndarray
State = tuple[Array, Array]
"""Hidden state and cell state, one column a sequence."""


class Unrolled(NamedTuple):
    """An LSTM over some sequences: arrays of shape (steps, units, sequences).

    Args:
        active: Whether a sequence takes part in a step, of shape (steps, sequences); else its
            state passes by.
        gates: i, f, o and g, one under another.
        hidden: The hidden states before each step, and after the last.
        cell: The cell states before each step, and after the last.
        squashed: The hyperbolic tangents of the cell states to which the steps led.
        shown: The hidden states to which the steps led.
    """

    active: Array
    gates: Array
    hidden: Array
    cell: Array
    squashed: Array
    shown: Array


def step(weights: Array, gates: Array, state: State) -> tuple[Array, Array, Array]:
    """Hidden state and cell state after one step, as Keras' LSTM computes them.

    i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b), c' = f c + i g, h' = o tanh(c')
    (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000).

    Args:
        weights: U of the gates i, f, o and g, one under another.
        gates: W x + b of the gates; what they come to takes its place.
        state: h and c.

    Returns:
        h', c' and tanh(c').
    """
    hidden, cell = state
    gates += product(weights, hidden)
    sigmoids = gates[: 3 * len(cell)]
    sigmoids *= 0.5  # sigmoid(z) = (tanh(z / 2) + 1) / 2
    np.tanh(gates, out=gates)
    sigmoids += 1.0
    sigmoids *= 0.5
    admit, keep, show, new = gates.reshape(4, *cell.shape)
    after = keep * cell + admit * new
    squashed = np.tanh(after)
    return show * squashed, after, squashed


def forth(weights: Array, gates: Array, active: Array) -> Unrolled:
    """All steps, from a state of zeros; see `step`, and `Unrolled` for `active`."""
    steps, width, count = gates.shape
    hidden, cell = np.zeros((2, steps + 1, width // 4, count))
    squashed, shown = np.empty((2, steps, width // 4, count))
    everywhere = np.all(active, axis=1)
    for t in range(steps):
        shown[t], cell[t + 1], squashed[t] = step(weights, gates[t], (hidden[t], cell[t]))
        hidden[t + 1] = shown[t]
        if not everywhere[t]:
            for state in (hidden, cell):
                np.copyto(state[t + 1], state[t], where=~active[t])
    return Unrolled(active, gates, hidden, cell, squashed, shown)


def back(weights: Array, way: Unrolled, d_shown: Array) -> Array:
    """The slopes of W x + b of the gates, from those of the hidden states that were shown.

    Where a sequence takes no part in a step, `d_shown` must be 0.
    """
    steps, units, count = d_shown.shape
    gates, active = way.gates.reshape(steps, 4, units, count), way.active[:, None]
    admit, keep, show, new = gates.swapaxes(0, 1)
    # All but the slopes of hidden state and cell state, h' and c', is known before the loop.
    d_gates = np.empty_like(gates)
    d_gates[:, 0] = new * admit * (1 - admit) * active
    d_gates[:, 1] = way.cell[:-1] * keep * (1 - keep) * active
    d_gates[:, 2] = way.squashed * show * (1 - show) * active
    d_gates[:, 3] = admit * (1 - new**2) * active
    through, kept = show * (1 - way.squashed**2) * active, np.where(active, keep, 1.0)
    d_hidden, d_cell = np.zeros((2, units, count))
    for t in reversed(range(steps)):
        d_out = d_hidden + d_shown[t]
        d_cell = d_cell + d_out * through[t]
        d_gates[t, :2] *= d_cell
        d_gates[t, 2] *= d_out
        d_gates[t, 3] *= d_cell
        d_hidden = product(weights.T, d_gates[t].reshape(4 * units, count))
        d_hidden += d_out * ~active[t]
        d_cell *= kept[t]
    return d_gates.reshape(way.gates.shape)
