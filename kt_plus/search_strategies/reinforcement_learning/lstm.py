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
        gates: i, f, o and g, one under another.
        hidden: The hidden states before each step, and after the last.
        cell: The cell states before each step, and after the last.
        squashed: The hyperbolic tangents of the cell states after each step.
    """

    gates: Array
    hidden: Array
    cell: Array
    squashed: Array


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


def forth(weights: Array, gates: Array) -> Unrolled:
    """All steps, from a state of zeros; see `step`."""
    steps, width, count = gates.shape
    hidden, cell = np.zeros((2, steps + 1, width // 4, count))
    squashed = np.empty_like(cell[1:])
    for t in range(steps):
        state = hidden[t], cell[t]
        hidden[t + 1], cell[t + 1], squashed[t] = step(weights, gates[t], state)
    return Unrolled(gates, hidden, cell, squashed)


def back(weights: Array, way: Unrolled, d_hidden: Array) -> Array:
    """The slopes of W x + b of the gates, from those of the hidden states after each step."""
    steps, units, count = d_hidden.shape
    gates = way.gates.reshape(steps, 4, units, count)
    admit, keep, show, new = gates.swapaxes(0, 1)
    # What the slopes of h' and c' are multiplied by is known before the loop.
    d_gates = np.empty_like(gates)
    d_gates[:, 0] = new * admit * (1 - admit)
    d_gates[:, 1] = way.cell[:-1] * keep * (1 - keep)
    d_gates[:, 2] = way.squashed * show * (1 - show)
    d_gates[:, 3] = admit * (1 - new**2)
    through = show * (1 - way.squashed**2)
    later, d_cell = np.zeros((2, units, count))
    for t in reversed(range(steps)):
        later += d_hidden[t]
        d_cell += later * through[t]
        d_gates[t, :2] *= d_cell
        d_gates[t, 2] *= later
        d_gates[t, 3] *= d_cell
        d_cell *= keep[t]
        later = product(weights.T, d_gates[t].reshape(4 * units, count))
    return d_gates.reshape(way.gates.shape)
