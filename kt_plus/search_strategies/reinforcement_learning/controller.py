"""The policy: an LSTM that chooses one hyperparameter after another, or none at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kt_plus.engine.history import Record
from kt_plus.engine.space import Space, Values
from kt_plus.search_strategies.reinforcement_learning.cells import cells_of
from kt_plus.search_strategies.reinforcement_learning.choices import Choices
from kt_plus.search_strategies.reinforcement_learning.linear import product
from kt_plus.search_strategies.reinforcement_learning.lstm import State, Unrolled, back, forth, step
from kt_plus.search_strategies.reinforcement_learning.parameters import Arrays, Layout
from kt_plus.search_strategies.reinforcement_learning.softmaxes import Distributions, Softmaxes

Array = np.ndarray


class _Network(NamedTuple):
    """The LSTM's part in a `Pass`: each trial is the sequence of its own choices.

    Args:
        order: Which hyperparameter is chosen in each step, of shape (steps, trials). Beyond a
            trial's last choice come some that it has not; nothing depends on these steps.
        fed: Which of `Arrays.inputs` was the input of each step, of that shape.
        inputs: These inputs, of shape (steps, trials, units).
        steps: What the LSTM made of them.
        shown: Its output for each hyperparameter, of shape (hyperparameters, trials, units).
    """

    order: Array
    fed: Array
    inputs: Array
    steps: Unrolled
    shown: Array


@dataclass(frozen=True)
class Pass:
    """What the policy says of some choices.

    Args:
        log_probability: Of each choice, given those before it; 0 where it is not counted.
        entropy: Of the distribution that each was drawn from; 0 where it is not counted.
        distributions: What each was drawn from.
        choices: The choices.
        arrays: The parameters.
        network: The LSTM's steps, if there is an LSTM.
    """

    log_probability: Array
    entropy: Array
    distributions: Distributions
    choices: Choices
    arrays: Arrays
    network: _Network | None


class Controller:
    """An autoregressive policy over the hyperparameters of a space, parents first.

    One LSTM step a hyperparameter: its input is the embedding of the choice before, its
    output the coefficients of a softmax over the parts of this one (`Cells`). A
    hyperparameter that is inactive under the choices before it is skipped: the state
    passes it by, and nothing is learnt of it. Without units there is no LSTM, and each
    hyperparameter has a softmax of its own that knows nothing of the others.

    Where the choices are known, as those of trials are, so is each step's input ("teacher
    forcing"): all but the LSTM's recurrence is then done for all hyperparameters at once,
    with their parts one under another, and a trial a column. The parameters are one
    vector (`Layout`). They hold the bumps of ordered hyperparameters, of which embeddings,
    heads and biases of the parts are made (`Cells.spread`) before anything else.

    Args:
        space: The hyperparameters.
        units: The width of the LSTM; 0 for independent softmaxes.
        smoothness: See `Cells`.
    """

    def __init__(self, space: Space, units: int, smoothness: float) -> None:
        self.dimensions = space.by_name
        self.units = units
        self.cells = [cells_of(d, smoothness) for d in self.dimensions]
        counts = [cells.count for cells in self.cells]
        self.layout = Layout(self.dimensions, counts, units)
        self._softmaxes = Softmaxes(counts)
        self._log_widths = np.concatenate([[], *(cells.log_widths for cells in self.cells)])
        self._column = {d: i for i, d in enumerate(self.dimensions)}

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

    def evaluate(self, parameters: Array, choices: Choices) -> Pass:
        """The log-probability of every choice, given those before it."""
        arrays, chosen = self._spread(parameters), self._chosen(choices)
        logits = np.tile((arrays.biases + self._log_widths)[:, None], len(choices.cells))
        network = self._unroll(arrays, choices) if self.units else None
        if network is not None:
            for column in choices.columns:
                place = self.layout.places[column]
                logits[place] += product(arrays.heads[place], network.shown[column].T)
        told = self._softmaxes.of(logits)
        logs = told.logs[chosen, np.arange(len(choices.cells))]
        log_probability, entropy = logs.T * choices.counted, told.entropies.T * choices.counted
        return Pass(log_probability, entropy, told, choices, arrays, network)

    def gradient(self, told: Pass, weights: Array, bonus: float) -> Array:
        """The gradient of sum(weights x log-probability) + bonus x sum(entropy).

        Backpropagation through time, by hand.

        Args:
            told: What `evaluate` returned.
            weights: What each choice's log-probability counts, of the shape of `choices.cells`.
            bonus: What the entropies count.
        """
        vector, counted = np.zeros(self.layout.size), told.choices.counted.T
        slopes, chosen = self.layout.arrays(vector), self._chosen(told.choices)
        d_logits = self._softmaxes.slopes(
            told.distributions, chosen, weights.T * counted, bonus * counted
        )
        slopes.biases[:] = d_logits.sum(axis=1)
        if told.network is not None:
            self._network_slopes(slopes, told, told.network, d_logits)
        for cells, place in zip(self.cells, self.layout.places, strict=True):
            slopes.parts[place] = cells.collect(slopes.parts[place])
        return vector

    def _spread(self, vector: Array) -> Arrays:
        """The parameters, the bumps of each hyperparameter made parts."""
        arrays = self.layout.arrays(vector)
        each = zip(self.cells, self.layout.places, strict=True)
        parts = [cells.spread(arrays.parts[place]) for cells, place in each]
        return arrays._replace(parts=np.concatenate(parts) if parts else arrays.parts)

    def _chosen(self, choices: Choices) -> Array:
        """What was chosen, as places among the parts of all hyperparameters: a row each."""
        return np.asarray(choices.cells.T + self._softmaxes.starts[:, None])

    def _unroll(self, arrays: Arrays, choices: Choices) -> _Network:
        """The LSTM's steps: as all choices are known, so are its inputs."""
        active, rows, units = choices.active.T, np.arange(len(choices.cells)), self.units
        longest = max(active.sum(axis=0).max(), 1)
        order = np.argsort(~active, axis=0, kind="stable")[:longest]
        fed = np.empty_like(order)
        fed[0], fed[1:] = len(arrays.parts), self._chosen(choices)[order[:-1], rows]
        inputs = arrays.inputs[fed]
        gates = product(arrays.lstm[:units].T, inputs.swapaxes(1, 2)) + arrays.lstm_bias[:, None]
        steps = forth(arrays.lstm[units:].T, gates)
        shown = steps.hidden[active.cumsum(axis=0), :, rows]
        return _Network(order, fed, inputs, steps, shown)

    def _network_slopes(
        self, slopes: Arrays, told: Pass, network: _Network, d_logits: Array
    ) -> None:
        """Sets the slopes of the LSTM, and those of heads and embeddings."""
        arrays, steps, units = told.arrays, network.steps, self.units
        d_shown = np.zeros_like(network.shown)
        for column in told.choices.columns:
            place = self.layout.places[column]
            slopes.heads[place] = product(d_logits[place], network.shown[column])
            d_shown[column] = product(d_logits[place].T, arrays.heads[place])
        d_hidden = d_shown[network.order, np.arange(len(told.choices.cells))].swapaxes(1, 2)
        d_gates = _in_a_row(back(arrays.lstm[units:].T, steps, d_hidden))
        inputs = network.inputs.reshape(-1, units)
        slopes.lstm[:units] = product(d_gates, inputs).T
        slopes.lstm[units:] = product(d_gates, _in_a_row(steps.hidden[:-1]).T).T
        slopes.lstm_bias[:] = d_gates.sum(axis=1)
        d_inputs = product(d_gates.T, arrays.lstm[:units].T)
        sums = _sums(network.fed.ravel(), d_inputs, len(arrays.parts) + 1)
        slopes.embeddings[:], slopes.start[:] = sums[:-1], sums[-1]

    def sample(
        self, parameters: Array, count: int, rng: np.random.Generator, temperature: float
    ) -> list[Values]:
        """Configurations drawn from the policy, its logits divided by `temperature`."""
        drawn: list[Values] = [{} for _ in range(count)]
        chances = rng.random((len(self.dimensions), 2, count))
        arrays = self._spread(parameters)
        inputs, state = arrays.inputs, (np.zeros((self.units, count)),) * 2
        x = np.tile(arrays.start, (count, 1))
        for column, dimension in enumerate(self.dimensions):
            name, place = dimension.name, self.layout.places[column]
            active = np.array([name not in v and dimension.is_active(v) for v in drawn])
            if not active.any():
                continue
            logits, state = self._step(arrays, place, x, state, active)
            chosen = _choose(logits, self._log_widths[place], chances[column, 0], temperature)
            for i in np.flatnonzero(active):
                u = float(chances[column, 1, i])
                drawn[i][name] = self.cells[column].draw(int(chosen[i]), u)
            x = np.where(active[:, None], inputs[place][chosen], x)
        return drawn

    def _step(
        self, arrays: Arrays, place: slice, x: Array, state: State, active: Array
    ) -> tuple[Array, State]:
        """The logits of one hyperparameter, less its parts' widths, and the state after it."""
        bias, units = arrays.biases[place, None], self.units
        if not units:
            return np.tile(bias, len(x)).T, state
        gates = product(arrays.lstm[:units].T, x.T) + arrays.lstm_bias[:, None]
        shown, cell, _ = step(arrays.lstm[units:].T, gates, state)
        after = np.where(active, shown, state[0]), np.where(active, cell, state[1])
        return (product(arrays.heads[place], shown) + bias).T, after


def _choose(logits: Array, log_widths: Array, chances: Array, temperature: float) -> Array:
    """The part to which each row's chance in [0, 1) belongs."""
    logits = logits / temperature + log_widths
    weights = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
    passed = weights < (chances * weights[:, -1])[:, None]
    return np.asarray(np.minimum(passed.sum(axis=1), len(log_widths) - 1))


def _in_a_row(steps: Array) -> Array:
    """What has the shape (steps, units, sequences), as (units, steps x sequences)."""
    return np.asarray(steps.swapaxes(0, 1).reshape(steps.shape[1], -1))


def _sums(owners: Array, rows: Array, count: int) -> Array:
    """What the rows of each of `count` owners add up to."""
    width = rows.shape[1]
    each = owners[:, None] * width + np.arange(width)
    sums = np.bincount(each.ravel(), rows.ravel(), count * width)
    return np.asarray(sums.reshape(count, width))
