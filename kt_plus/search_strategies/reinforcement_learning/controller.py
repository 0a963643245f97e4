"""The policy: an LSTM that chooses one hyperparameter after another, or none at all."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kt_plus.engine.dimensions import Dimension
from kt_plus.engine.history import Record
from kt_plus.engine.space import Space, Values
from kt_plus.search_strategies.reinforcement_learning.cells import cells_of
from kt_plus.search_strategies.reinforcement_learning.choices import Choices
from kt_plus.search_strategies.reinforcement_learning.linear import product
from kt_plus.search_strategies.reinforcement_learning.lstm import LSTMStep, State, back, forth

Array = np.ndarray
Parameters = Mapping[str, Array]


@dataclass(frozen=True)
class _Step:
    """One choice: the step of the LSTM before it, and the distribution that it was drawn from."""

    lstm: LSTMStep | None
    probabilities: Array
    log_probabilities: Array


@dataclass(frozen=True)
class Pass:
    """What the policy says of some choices.

    Args:
        log_probability: Of each choice, given those before it; 0 where it is not counted.
        entropy: Of the distribution that each was drawn from; 0 where it is not counted.
        steps: What `Controller.gradient` needs.
    """

    log_probability: Array
    entropy: Array
    steps: Mapping[int, _Step]


class _Slopes(NamedTuple):
    """Of what one step hands on to the next: the input, the hidden state, the cell state."""

    x: Array
    hidden: Array
    cell: Array


class Controller:
    """An autoregressive policy over the hyperparameters of a space, parents first.

    One LSTM step a hyperparameter: its input is the embedding of the choice before, its
    output the coefficients of a softmax over the parts of this one (`Cells`). A
    hyperparameter that is inactive under the choices before it is skipped: the state
    passes it by, and nothing is learnt of it. Without units there is no LSTM, and each
    hyperparameter has a softmax of its own that knows nothing of the others.

    The parameters are one vector, so that the optimiser takes one operation; `views` has
    the arrays in it. They begin with the same values in every search, those of a
    hyperparameter told by its name and conditions alone: it may appear at any time.
    The policy begins as the uniform draw that random search makes.

    Args:
        space: The hyperparameters.
        units: The width of the LSTM; 0 for independent softmaxes.
        smoothness: See `Cells`.
    """

    def __init__(self, space: Space, units: int, smoothness: float) -> None:
        self.dimensions = space.by_name
        self.units = units
        self.cells = [cells_of(d, smoothness) for d in self.dimensions]
        self._names = [_identity(d) for d in self.dimensions]
        self._places: list[tuple[str, tuple[int, ...], slice]] = []
        self.size = 0
        for name, shape in self._layout().items():
            count = math.prod(shape)
            self._places.append((name, shape, slice(self.size, self.size + count)))
            self.size += count
        self._column = {d: i for i, d in enumerate(self.dimensions)}

    def _layout(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        if self.units:
            shapes["start"] = (self.units,)
            shapes["lstm"] = (2 * self.units, 4 * self.units)
            shapes["lstm bias"] = (4 * self.units,)
        for name, cells in zip(self._names, self.cells, strict=True):
            if self.units:
                shapes["embedding " + name] = (cells.count, self.units)
                shapes["head " + name] = (self.units, cells.count)
            shapes["bias " + name] = (cells.count,)
        return shapes

    def views(self, vector: Array) -> dict[str, Array]:
        """The arrays in the parameter vector, by name; they share its memory."""
        return {name: vector[place].reshape(shape) for name, shape, place in self._places}

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
        mask = np.zeros(self.size)
        for name, view in self.views(mask).items():
            view[:] = not name.startswith("bias ")
        return mask > 0

    def encode(self, space: Space, record: Record) -> Choices:
        """What a trial chose. Values that this space does not hold are taken as not chosen."""
        count = len(self.dimensions)
        cells, active = np.zeros((1, count), int), np.zeros((1, count), bool)
        counted = np.zeros((1, count), bool)
        for dimension, value in space.active(record.values).items():
            column = self._column[dimension]
            cells[0, column] = self.cells[column].index(value)
            active[0, column] = True
            counted[0, column] = dimension.name not in (record.unused or ())
        return Choices(cells, active, counted)

    def evaluate(self, parameters: Parameters, choices: Choices) -> Pass:
        """The log-probability of every choice, given those before it."""
        count = len(choices.cells)
        rows = np.arange(count)
        log_probability, entropy = np.zeros((2, count, len(self.dimensions)))
        steps: dict[int, _Step] = {}
        x, state = self._begin(parameters, count)
        for column in choices.columns:
            active, chosen = choices.active[:, column], choices.cells[:, column]
            step, state = self._step(parameters, column, x, state, active)
            logs = step.log_probabilities
            log_probability[:, column] = logs[rows, chosen]
            entropy[:, column] = -np.einsum("ij,ij->i", step.probabilities, logs)
            x = self._feed(parameters, column, x, chosen, active)
            steps[column] = step
        return Pass(log_probability * choices.counted, entropy * choices.counted, steps)

    def gradient(
        self, parameters: Parameters, choices: Choices, told: Pass, weights: Array, bonus: float
    ) -> Array:
        """The gradient of sum(weights x log-probability) + bonus x sum(entropy).

        Backpropagation through time, by hand: the loop of `evaluate` from its end.

        Args:
            parameters: As given to `evaluate`.
            choices: As given to `evaluate`.
            told: What `evaluate` returned.
            weights: What each choice's log-probability counts, of the shape of `choices.cells`.
            bonus: What the entropies count.
        """
        vector = np.zeros(self.size)
        slopes = self.views(vector)
        after = _Slopes(*np.zeros((3, len(choices.cells), self.units)))
        inputs, gates = [], []
        for column in reversed(choices.columns):
            step = told.steps[column]
            d_coefficients = self._d_coefficients(column, choices, told, weights, bonus)
            slopes["bias " + self._names[column]] += d_coefficients.sum(0)
            if step.lstm is not None:
                d_gates, after = self._step_back(
                    parameters, slopes, column, choices, step.lstm, d_coefficients, after
                )
                inputs.append(step.lstm.inputs)
                gates.append(d_gates)
        if inputs:
            d_gates = np.concatenate(gates)
            slopes["lstm"] += product(np.concatenate(inputs).T, d_gates)
            slopes["lstm bias"] += d_gates.sum(0)
            slopes["start"] += after.x.sum(0)
        return vector

    def _step_back(
        self,
        parameters: Parameters,
        slopes: Parameters,
        column: int,
        choices: Choices,
        step: LSTMStep,
        d_coefficients: Array,
        after: _Slopes,
    ) -> tuple[Array, _Slopes]:
        """Adds the slopes of one hyperparameter's arrays; those of its gates and before it."""
        name, active = self._names[column], choices.active[:, column]
        fed = self.cells[column].features(choices.cells[:, column])
        passed_by = ~active[:, None]
        slopes["embedding " + name] += product(fed.T, after.x * active[:, None])
        slopes["head " + name] += product(step.hidden.T, d_coefficients)
        d_shown = after.hidden + product(d_coefficients, parameters["head " + name].T)
        d_gates, d_cell = back(step, (d_shown, after.cell))
        d_gates *= active[:, None]
        d_inputs = product(d_gates, parameters["lstm"].T)
        x = after.x * passed_by + d_inputs[:, : self.units]
        hidden = _where(active, d_inputs[:, self.units :], after.hidden)
        return d_gates, _Slopes(x, hidden, _where(active, d_cell, after.cell))

    def sample(
        self, parameters: Parameters, count: int, rng: np.random.Generator, temperature: float
    ) -> list[Values]:
        """Configurations drawn from the policy, its logits divided by `temperature`."""
        drawn: list[Values] = [{} for _ in range(count)]
        chances = rng.random((len(self.dimensions), 2, count))
        x, state = self._begin(parameters, count)
        for column, dimension in enumerate(self.dimensions):
            name = dimension.name
            active = np.array([name not in v and dimension.is_active(v) for v in drawn])
            if not active.any():
                continue
            step, state = self._step(parameters, column, x, state, active)
            chosen = self._choose(column, step, chances[column, 0], temperature)
            for i in np.flatnonzero(active):
                u = float(chances[column, 1, i])
                drawn[i][name] = self.cells[column].draw(int(chosen[i]), u)
            x = self._feed(parameters, column, x, chosen, active)
        return drawn

    def _choose(self, column: int, step: _Step, chances: Array, temperature: float) -> Array:
        widths = self.cells[column].log_widths
        logits = (step.log_probabilities - widths) / temperature + widths
        weights = np.exp(logits - logits.max(1, keepdims=True)).cumsum(1)
        passed = weights < (chances * weights[:, -1])[:, None]
        return np.asarray(np.minimum(passed.sum(1), self.cells[column].count - 1))

    def _begin(self, parameters: Parameters, count: int) -> tuple[Array, State]:
        """The input of the first step, and the state before it."""
        zeros = np.zeros((count, self.units))
        start = np.broadcast_to(parameters["start"], zeros.shape) if self.units else zeros
        return start, (zeros, zeros)

    def _step(
        self, parameters: Parameters, column: int, x: Array, state: State, active: Array
    ) -> tuple[_Step, State]:
        """The distribution of one hyperparameter, and the state after it."""
        cells, name, lstm = self.cells[column], self._names[column], None
        bias = parameters["bias " + name]
        if self.units:
            lstm, after = forth(parameters["lstm"], parameters["lstm bias"], x, state)
            coefficients = product(lstm.hidden, parameters["head " + name]) + bias
            if active.all():
                state = after
            else:
                state = _where(active, after[0], state[0]), _where(active, after[1], state[1])
        else:
            coefficients = np.broadcast_to(bias, (len(active), cells.count))
        logits = cells.logits(coefficients)
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return _Step(lstm, np.exp(logs), logs), state

    def _feed(
        self, parameters: Parameters, column: int, x: Array, chosen: Array, active: Array
    ) -> Array:
        """The next input: the embedding of what was chosen."""
        if not self.units:
            return x
        embedding = parameters["embedding " + self._names[column]]
        return _where(active, product(self.cells[column].features(chosen), embedding), x)

    def _d_coefficients(
        self, column: int, choices: Choices, told: Pass, weights: Array, bonus: float
    ) -> Array:
        counted, step = choices.counted[:, column], told.steps[column]
        weight = (weights[:, column] * counted)[:, None]
        p, logs = step.probabilities, step.log_probabilities
        entropy = told.entropy[:, column, None]
        d_logits = -weight * p - (bonus * counted)[:, None] * p * (logs + entropy)
        d_logits[np.arange(len(p)), choices.cells[:, column]] += weight[:, 0]
        return self.cells[column].slopes(d_logits)


def _where(active: Array, new: Array, old: Array) -> Array:
    return new if active.all() else np.where(active[:, None], new, old)


def _identity(dimension: Dimension) -> str:
    """What tells a hyperparameter from all others: its name, and when it is active."""
    return f"{dimension.name} {dimension.conditions!r} {dimension.size}"


def _drawn(name: str, shape: tuple[int, ...], scale: float) -> Array:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return scale * rng.uniform(-1.0, 1.0, shape)
