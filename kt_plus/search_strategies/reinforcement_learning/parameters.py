"""What the policy learns: one vector, so that the optimiser takes one operation, and its arrays."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kt_plus.engine.dimensions import Dimension

Array = np.ndarray


class Arrays(NamedTuple):
    """The parameters of a policy, or slopes of them.

    Args:
        start: The first input of the LSTM, of shape (units,).
        lstm: Its weights, of shape (2 units, 4 units): those of inputs, those of hidden states.
        lstm_bias: Its biases, of shape (4 units,).
        parts: Of shape (parts, 2 units + 1): embedding, head and bias of each part of each
            hyperparameter.
    """

    start: Array
    lstm: Array
    lstm_bias: Array
    parts: Array

    @property
    def embeddings(self) -> Array:
        return self.parts[:, : len(self.start)]

    @property
    def heads(self) -> Array:
        return self.parts[:, len(self.start) : -1]

    @property
    def biases(self) -> Array:
        return self.parts[:, -1]

    @property
    def inputs(self) -> Array:
        """All inputs that there may be, a row each: the embeddings, and last the first."""
        return np.concatenate([self.embeddings, self.start[None]])


class Layout:
    """Where the arrays lie in the vector, and with what they begin.

    They begin with the same values in every search, those of a hyperparameter told by its
    name and conditions alone: it may appear at any time. The policy begins as the uniform
    draw that random search makes.

    Args:
        dimensions: The hyperparameters.
        counts: The number of parts of each.
        units: The width of the LSTM; 0 for none.
    """

    def __init__(self, dimensions: Sequence[Dimension], counts: Sequence[int], units: int) -> None:
        ends = np.cumsum([0, *counts]).tolist()
        self.units = units
        self.places = [slice(*ends[i : i + 2]) for i in range(len(counts))]
        self._names = [_identity(dimension) for dimension in dimensions]
        self._shapes = (units,), (2 * units, 4 * units), (4 * units,), (ends[-1], 2 * units + 1)
        *self._ends, self.size = np.cumsum([math.prod(shape) for shape in self._shapes]).tolist()

    def arrays(self, vector: Array) -> Arrays:
        """The arrays in the vector; they share its memory."""
        pieces = zip(np.split(vector, self._ends), self._shapes, strict=True)
        return Arrays(*(piece.reshape(shape) for piece, shape in pieces))

    def views(self, vector: Array) -> dict[str, Array]:
        """The same by name, those of each hyperparameter apart."""
        arrays, views = self.arrays(vector), {}
        if self.units:
            views = {"start": arrays.start, "lstm": arrays.lstm, "lstm bias": arrays.lstm_bias}
        for name, place in zip(self._names, self.places, strict=True):
            if self.units:
                views["embedding " + name] = arrays.embeddings[place]
                views["head " + name] = arrays.heads[place].T
            views["bias " + name] = arrays.biases[place]
        return views

    def initial(self) -> Array:
        """The parameters before anything was learnt: heads and biases are 0."""
        vector = np.zeros(self.size)
        for name, view in self.views(vector).items():
            if name.startswith(("embedding ", "start")):
                view[:] = _drawn(name, view.shape, 1.0)
            elif name == "lstm":
                view[:] = _drawn(name, view.shape, self.units**-0.5)
            elif name == "lstm bias":
                view[self.units : 2 * self.units] = 1.0  # remember, until taught to forget
        return vector

    def is_shared(self) -> Array:
        """Of each parameter, whether it is the network's; else it is a bias of one softmax."""
        mask = np.ones(self.size)
        self.arrays(mask).biases[:] = 0.0
        return mask > 0


def _identity(dimension: Dimension) -> str:
    """What tells a hyperparameter from all others: its name, and when it is active."""
    return f"{dimension.name} {dimension.conditions!r} {dimension.size}"


def _drawn(name: str, shape: tuple[int, ...], scale: float) -> Array:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return scale * rng.uniform(-1.0, 1.0, shape)
