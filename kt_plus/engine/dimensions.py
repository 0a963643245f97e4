"""One hyperparameter as strategies see it: its values, its scale, its conditions."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kt_plus.engine.history import Value

MUTATION_SCALE = 0.2
"""Standard deviation of the mutation of an ordered value, as a share of its range."""

LARGEST_GRID = 1000
"""From so many values on, an ordered hyperparameter is mutated as a continuous one."""


@dataclass(frozen=True)
class Condition:
    """A hyperparameter is active only while the one called `name` has one of `values`."""

    name: str
    values: tuple[Value, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        return self.name in values and values[self.name] in self.values


@dataclass(frozen=True)
class Dimension(abc.ABC):
    """A hyperparameter: a name, a set of values that the unit interval maps to, conditions."""

    name: str
    conditions: tuple[Condition, ...] = field(default=(), kw_only=True)

    def is_active(self, values: Mapping[str, Value]) -> bool:
        """Whether every condition holds under `values`."""
        return all(condition.holds(values) for condition in self.conditions)

    @property
    @abc.abstractmethod
    def size(self) -> float:
        """How many values there are; infinite if continuous."""

    @property
    @abc.abstractmethod
    def default(self) -> Value:
        """The value of the default configuration."""

    @abc.abstractmethod
    def contains(self, value: Value) -> bool:
        """Whether `value` is one of the values."""

    @abc.abstractmethod
    def admits(self, value: Value) -> bool:
        """Whether a user may give `value`: stricter than `contains`, it heeds the step."""

    @abc.abstractmethod
    def canonical(self, value: Value) -> Value:
        """`value`, which is one of the values, in the dimension's own type."""

    @abc.abstractmethod
    def samples(self, count: int | None = 10) -> Sequence[Value]:
        """All values in order; of one without a step, `count` spread evenly (`None`: all)."""

    @abc.abstractmethod
    def from_unit(self, u: float) -> Value:
        """The value at `u` in [0, 1)."""

    @abc.abstractmethod
    def to_unit(self, value: Value) -> float:
        """The centre of the part of the unit interval that maps to `value`."""

    @abc.abstractmethod
    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Another value: a neighbour on the dimension's own scale, if it has one."""


@dataclass(frozen=True)
class Discrete(Dimension):
    """One of several values: a Choice, a Boolean or a Fixed.

    Args:
        name: The hyperparameter's name.
        choices: The values, in their order if they have one.
        ordered: Whether neighbours in `choices` are alike.
        initial: The default value; the first choice if `None`.
        conditions: What must hold for the hyperparameter to be active.
    """

    choices: tuple[Value, ...]
    ordered: bool = False
    initial: Value | None = None

    @property
    def size(self) -> float:
        return len(self.choices)

    @property
    def default(self) -> Value:
        return self.choices[0] if self.initial is None else self.initial

    def contains(self, value: Value) -> bool:
        return value in self.choices

    def admits(self, value: Value) -> bool:
        return self.contains(value)

    def canonical(self, value: Value) -> Value:
        return self.choices[self.choices.index(value)]

    def samples(self, count: int | None = 10) -> Sequence[Value]:
        return self.choices

    def from_unit(self, u: float) -> Value:
        return self.choices[_index(u, len(self.choices))]

    def to_unit(self, value: Value) -> float:
        return (self.choices.index(value) + 0.5) / len(self.choices)

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        here = self.choices.index(value)
        if self.ordered:
            return self.choices[_other_index(here, len(self.choices), rng)]
        there = int(rng.integers(len(self.choices) - 1))
        return self.choices[there + (there >= here)]


@dataclass(frozen=True)
class Numeric(Dimension):
    """A number in a range: an Int or a Float, on a linear or logarithmic scale.

    Args:
        name: The hyperparameter's name.
        low: The smallest value.
        high: The largest value.
        step: The distance between values; their ratio on a logarithmic scale.
        sampling: `"linear"`, `"log"` or `"reverse_log"` (dense near `high`).
        integer: Whether values are whole numbers.
        initial: The default value; `low` if `None`.
        conditions: What must hold for the hyperparameter to be active.
    """

    low: float
    high: float
    step: float | None = None
    sampling: str = "linear"
    integer: bool = False
    initial: Value | None = None

    @property
    def size(self) -> float:
        if self.step is not None:
            if self.sampling == "linear":
                return int((self.high - self.low) // self.step + 1)
            return int(math.log(self.high / self.low, self.step) + 1e-8) + 1
        if self.integer or self.low == self.high:
            return int(self.high - self.low) + 1
        return math.inf

    @property
    def default(self) -> Value:
        initial = self.low if self.initial is None else float(self.initial)
        return self._plain(min(max(initial, self.low), self.high))

    def contains(self, value: Value) -> bool:
        if isinstance(value, (bool, str)) or not math.isfinite(value):
            return False
        margin = 1e-6 * max(abs(self.low), abs(self.high))
        whole = not self.integer or float(value).is_integer()
        return whole and self.low - margin <= value <= self.high + margin

    def admits(self, value: Value) -> bool:
        if not self.contains(value) or self.step is None or value == self.default:
            return self.contains(value)
        nearest = float(self.step_value(self._step_index(float(value))))
        return math.isclose(float(value), nearest, rel_tol=1e-6, abs_tol=1e-6 * self.step)

    def canonical(self, value: Value) -> Value:
        return self._plain(float(value))

    def samples(self, count: int | None = 10) -> Sequence[Value]:
        if self.step is not None:
            return [self.step_value(i) for i in range(int(self.size))]
        if self.integer and (count is None or self.size <= count):
            return list(range(int(self.low), int(self.high) + 1))
        spread = ((i + 0.5) / (count or 10) for i in range(count or 10))
        return list(dict.fromkeys(self.from_unit(u) for u in spread))

    def from_unit(self, u: float) -> Value:
        if self.step is not None:
            return self.step_value(_index(u, int(self.size)))
        value = _scaled(u, self.low, self.top, self.sampling)
        return self._plain(min(max(value, self.low), self.high))

    def to_unit(self, value: Value) -> float:
        number = float(value)
        if self.step is not None:
            return (self._step_index(number) + 0.5) / self.size
        if self.top == self.low:
            return 0.5
        centre = number + 0.5 if self.integer else number
        return min(max(_unscaled(centre, self.low, self.top, self.sampling), 0.0), 1.0)

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        if self.step is not None and self.size <= LARGEST_GRID:
            return self.step_value(
                _other_index(self._step_index(float(value)), int(self.size), rng)
            )
        here, there = self.to_unit(value), value
        while there == value:
            there = self.from_unit(_reflect(here + MUTATION_SCALE * rng.standard_normal()))
        return there

    @property
    def top(self) -> float:
        """The upper end of the range that the unit interval maps to."""
        return self.high + 1 if self.integer else self.high

    def _plain(self, value: float) -> Value:
        return int(value) if self.integer else float(value)

    def step_value(self, index: int) -> Value:
        """The value that is `index` steps above the smallest."""
        step = self.step or 1.0
        if self.sampling == "linear":
            return self._plain(self.low + index * step)
        grown = self.low * math.pow(step, index)
        return self._plain(grown if self.sampling == "log" else self.high + self.low - grown)

    def _step_index(self, value: float) -> int:
        step = self.step or 1.0
        if self.sampling == "linear":
            index = (value - self.low) / step
        else:
            number = value if self.sampling == "log" else self.high + self.low - value
            index = math.log(max(number, self.low) / self.low, step)
        return min(max(round(index), 0), int(self.size) - 1)


def dimension_from(hyperparameter: Any) -> Dimension:
    """The dimension that a `keras_tuner` hyperparameter describes, told by its attributes."""
    hp, kind = hyperparameter, type(hyperparameter).__name__
    conditions = tuple(Condition(c.name, tuple(c.values)) for c in hp.conditions)
    if kind == "Fixed":
        return Discrete(hp.name, (hp.value,), conditions=conditions)
    if kind == "Boolean":
        return Discrete(hp.name, (False, True), initial=hp.default, conditions=conditions)
    if kind == "Choice":
        ordered = bool(hp.ordered)
        choices = tuple(dict.fromkeys(hp.values))
        return Discrete(hp.name, choices, ordered, hp.default, conditions=conditions)
    if kind in ("Int", "Float"):
        scale = (hp.min_value, hp.max_value, hp.step, hp.sampling)
        return Numeric(hp.name, *scale, kind == "Int", hp.default, conditions=conditions)
    raise TypeError(
        f"The hyperparameter {hp.name!r} is a {kind}. "
        "Expected Choice, Int, Float, Boolean or Fixed: declare it by one of these."
    )


def _index(u: float, count: int) -> int:
    return min(int(u * count), count - 1)


def _other_index(here: int, count: int, rng: np.random.Generator) -> int:
    indices = np.delete(np.arange(count), here)
    distance = (indices - here) / (MUTATION_SCALE * count)
    weights = np.exp(-0.5 * (distance**2 - np.min(distance**2)))
    return int(rng.choice(indices, p=weights / weights.sum()))


def _reflect(u: float) -> float:
    u = u % 2.0
    return 2.0 - u if u > 1.0 else u


def _scaled(u: float, low: float, top: float, sampling: str) -> float:
    if sampling == "linear":
        return low + u * (top - low)
    if sampling == "log":
        return low * math.pow(top / low, u)
    return top + low - low * math.pow(top / low, 1.0 - u)


def _unscaled(value: float, low: float, top: float, sampling: str) -> float:
    if sampling == "linear":
        return (value - low) / (top - low)
    if sampling == "log":
        return math.log(value / low) / math.log(top / low)
    return 1.0 - math.log((top + low - value) / low) / math.log(top / low)
