"""The policy: an LSTM that chooses one hyperparameter after another, or none at all."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kt_plus.engine.dimensions import Dimension
from kt_plus.engine.history import Record
from kt_plus.engine.space import Space, Values
from kt_plus.search_strategies.reinforcement_learning.cells import cells_of

Array = np.ndarray
Parameters = Mapping[str, Array]


@dataclass(frozen=True)
class Choices:
    """What some trials have chosen, one row a trial, one column a hyperparameter.

    Args:
        cells: The number of the part chosen; 0 where the hyperparameter is inactive.
        active: Whether it was chosen at all, and so was fed to the next step.
        counted: Whether the choice had a part in the result: not so for a hyperparameter
            that the model never asked for.
    """

    cells: Array
    active: Array
    counted: Array

    @classmethod
    def stack(cls, rows: Sequence[Choices]) -> Choices:
        """The trials of all rows."""
        columns = (np.concatenate([getattr(r, n) for r in rows]) for n in cls.__dataclass_fields__)
        return cls(*columns)


@dataclass
class _Step:
    """What the way back needs of one step of the way forth."""

    inputs: Array
    gates: Array
    cell: Array
    squashed: Array
    hidden: Array
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
    steps: Sequence[_Step | None]


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
        self._shapes = self._layout()
        self.size = sum(int(np.prod(shape)) for shape in self._shapes.values())
        self._column = {d: i for i, d in enumerate(self.dimensions)}

    def _layout(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        if self.units:
            shapes["start"] = (self.units,)
            shapes["lstm"] = (2 * self.units, 4 * self.units)
            shapes["lstm bias"] = (4 * self.units,)
        for name, cells in zip(self._names, self.cells, strict=True):
            if self.units:
                shapes["embedding " + name] = (cells.basis.shape[1], self.units)
                shapes["head " + name] = (self.units, cells.basis.shape[1])
            shapes["bias " + name] = (cells.basis.shape[1],)
        return shapes

    def views(self, vector: Array) -> dict[str, Array]:
        """The arrays in the parameter vector, by name; they share its memory."""
        arrays, place = {}, 0
        for name, shape in self._shapes.items():
            count = int(np.prod(shape))
            arrays[name] = vector[place : place + count].reshape(shape)
            place += count
        return arrays

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
        """The log-probability of every choice, given those before it.

        The LSTM is that of Hochreiter and Schmidhuber with a forget gate (Gers et al.,
        2000): i, f, o = sigmoid(W x + b), g = tanh(W x + b), c' = f c + i g, h' = o tanh(c').
        """
        count = len(choices.cells)
        log_probability = np.zeros((count, len(self.dimensions)))
        entropy = np.zeros_like(log_probability)
        steps: list[_Step | None] = []
        state = self._begin(parameters, count)
        for column in range(len(self.dimensions)):
            active = choices.active[:, column]
            if not active.any():
                steps.append(None)
                continue
            step, state = self._step(parameters, column, state, active)
            chosen = choices.cells[:, column]
            counted = choices.counted[:, column]
            log_probability[:, column] = step.log_probabilities[np.arange(count), chosen] * counted
            entropy[:, column] = -(step.probabilities * step.log_probabilities).sum(1) * counted
            state = self._feed(parameters, column, state, chosen, active)
            steps.append(step)
        return Pass(log_probability, entropy, steps)

    def gradient(
        self, parameters: Parameters, choices: Choices, told: Pass, weights: Array, bonus: float
    ) -> Array:
        """The gradient of sum(weights x log-probability) + bonus x sum(entropy).

        Backpropagation through time, by hand: what each line undoes stands in `_step`.

        Args:
            parameters: As given to `evaluate`.
            choices: As given to `evaluate`.
            told: What `evaluate` returned.
            weights: What each choice's log-probability counts, of the shape of `choices.cells`.
            bonus: What the entropies count.
        """
        vector = np.zeros(self.size)
        slopes = self.views(vector)
        count, units = len(choices.cells), self.units
        d_hidden, d_cell = np.zeros((2, count, units))
        d_input = np.zeros((count, units))  # of the input of the step after this one
        for column in reversed(range(len(self.dimensions))):
            step = told.steps[column]
            if step is None:
                continue
            active = choices.active[:, column, None]
            d_coefficients = self._d_coefficients(column, choices, step, weights, bonus)
            slopes["bias " + self._names[column]] += d_coefficients.sum(0)
            if not units:
                continue
            # The embedding of this choice was fed to the next step that is active.
            basis = self.cells[column].basis[choices.cells[:, column]]
            slopes["embedding " + self._names[column]] += basis.T @ (d_input * active)
            d_input = d_input * ~active
            slopes["head " + self._names[column]] += step.hidden.T @ d_coefficients
            d_hidden += d_coefficients @ parameters["head " + self._names[column]].T
            d_gates, d_before = _d_gates(step, d_hidden, d_cell)
            d_gates *= active
            slopes["lstm"] += step.inputs.T @ d_gates
            slopes["lstm bias"] += d_gates.sum(0)
            d_inputs = d_gates @ parameters["lstm"].T
            d_input += d_inputs[:, :units]
            d_hidden = np.where(active, d_inputs[:, units:], d_hidden)
            d_cell = np.where(active, d_before, d_cell)
        if units:
            slopes["start"] += d_input.sum(0)
        return vector

    def sample(
        self, parameters: Parameters, count: int, rng: np.random.Generator, temperature: float
    ) -> list[Values]:
        """Configurations drawn from the policy, its logits divided by `temperature`."""
        drawn: list[Values] = [{} for _ in range(count)]
        chances = rng.random((len(self.dimensions), 2, count))
        state = self._begin(parameters, count)
        for column, dimension in enumerate(self.dimensions):
            name = dimension.name
            active = np.array([name not in v and dimension.is_active(v) for v in drawn])
            if not active.any():
                continue
            step, state = self._step(parameters, column, state, active)
            chosen = self._choose(column, step, chances[column, 0], temperature)
            for i in np.flatnonzero(active):
                values = self.cells[column].draw(int(chosen[i]), float(chances[column, 1, i]))
                drawn[i][name] = values
            state = self._feed(parameters, column, state, chosen, active)
        return drawn

    def _choose(self, column: int, step: _Step, chances: Array, temperature: float) -> Array:
        widths = self.cells[column].log_widths
        logits = (step.log_probabilities - widths) / temperature + widths
        weights = np.exp(logits - logits.max(1, keepdims=True)).cumsum(1)
        passed = weights < (chances * weights[:, -1])[:, None]
        return np.asarray(np.minimum(passed.sum(1), self.cells[column].count - 1))

    def _begin(self, parameters: Parameters, count: int) -> tuple[Array, Array, Array]:
        """Input, hidden state and cell state before the first step."""
        zeros = np.zeros((count, self.units))
        start = np.broadcast_to(parameters["start"], zeros.shape) if self.units else zeros
        return start, zeros, zeros

    def _step(
        self,
        parameters: Parameters,
        column: int,
        state: tuple[Array, Array, Array],
        active: Array,
    ) -> tuple[_Step, tuple[Array, Array, Array]]:
        """The distribution of one hyperparameter, and the state after it."""
        x, hidden, cell = state
        cells, units, count = self.cells[column], self.units, len(active)
        inputs = gates = squashed = np.zeros((count, 0))
        coefficients = parameters["bias " + self._names[column]][None, :]
        before = cell
        if units:
            inputs = np.concatenate([x, hidden], axis=1)
            gates = inputs @ parameters["lstm"] + parameters["lstm bias"]
            gates[:, : 3 * units] = 0.5 + 0.5 * np.tanh(0.5 * gates[:, : 3 * units])  # sigmoid
            gates[:, 3 * units :] = np.tanh(gates[:, 3 * units :])
            admit, keep, show, new = (gates[:, i * units : (i + 1) * units] for i in range(4))
            after = keep * cell + admit * new
            squashed = np.tanh(after)
            shown = show * squashed
            coefficients = coefficients + shown @ parameters["head " + self._names[column]]
            hidden, cell = _where(active, shown, hidden), _where(active, after, cell)
            logits = coefficients @ cells.basis.T + cells.log_widths
        else:
            shown = hidden
            logits = np.repeat(coefficients @ cells.basis.T + cells.log_widths, count, axis=0)
        logits -= logits.max(1, keepdims=True)
        exponentials = np.exp(logits)
        total = exponentials.sum(1, keepdims=True)
        probabilities, logs = exponentials / total, logits - np.log(total)
        step = _Step(inputs, gates, before, squashed, shown, probabilities, logs)
        return step, (x, hidden, cell)

    def _feed(
        self,
        parameters: Parameters,
        column: int,
        state: tuple[Array, Array, Array],
        chosen: Array,
        active: Array,
    ) -> tuple[Array, Array, Array]:
        """The state with the embedding of what was chosen as the next input."""
        if not self.units:
            return state
        x, hidden, cell = state
        embedding = parameters["embedding " + self._names[column]]
        fed = self.cells[column].basis[chosen] @ embedding
        return _where(active, fed, x), hidden, cell

    def _d_coefficients(
        self, column: int, choices: Choices, step: _Step, weights: Array, bonus: float
    ) -> Array:
        counted = choices.counted[:, column]
        weight = (weights[:, column] * counted)[:, None]
        p, logs = step.probabilities, step.log_probabilities
        entropy = -(p * logs).sum(1, keepdims=True)
        d_logits = -weight * p - (bonus * counted)[:, None] * p * (logs + entropy)
        d_logits[np.arange(len(p)), choices.cells[:, column]] += weight[:, 0]
        return np.asarray(d_logits @ self.cells[column].basis)


def _d_gates(step: _Step, d_hidden: Array, d_cell: Array) -> tuple[Array, Array]:
    """The slopes of the gates before their squashing, and of the cell state before the step."""
    admit, keep, show, new = np.split(step.gates, 4, axis=1)
    d_after = d_cell + d_hidden * show * (1 - step.squashed**2)
    slopes = (
        d_after * new * admit * (1 - admit),
        d_after * step.cell * keep * (1 - keep),
        d_hidden * step.squashed * show * (1 - show),
        d_after * admit * (1 - new**2),
    )
    return np.concatenate(slopes, axis=1), d_after * keep


def _where(active: Array, new: Array, old: Array) -> Array:
    return new if active.all() else np.where(active[:, None], new, old)


def _identity(dimension: Dimension) -> str:
    """What tells a hyperparameter from all others: its name, and when it is active."""
    return f"{dimension.name} {dimension.conditions!r} {dimension.size}"


def _drawn(name: str, shape: tuple[int, ...], scale: float) -> Array:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return scale * rng.uniform(-1.0, 1.0, shape)
