"""A vectorized view of a search space: thousands of configurations as the rows of an array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kt_plus.engine.dimensions import MUTATION_SCALE, Dimension, Discrete, Numeric
from kt_plus.engine.history import Value
from kt_plus.engine.space import Space, Values

Rows = np.ndarray
"""Shape (configurations, columns), float64."""


class Columns:
    """Draws, varies, encodes and decodes many configurations at once.

    When to use it: where a strategy examines hundreds of configurations for each proposal.
    `Space` handles one configuration at a time.

    Each dimension is a column. A column holds the index of a choice or the number itself, so that
    decoding restores the exact value. NaN marks an inactive dimension. The columns are in an order
    that depends on names only, so that the order of declarations changes nothing.

    Args:
        space: The search space.

    Attributes:
        dimensions: The dimension of each column.
        sizes: The number of values of each dimension, infinite if it is continuous.
        conditional: True where the dimension may be inactive.

    Example:

    ```python
    columns = Columns(space)
    rows = columns.draw(1000, np.random.default_rng(0))
    children = columns.mutate(rows, np.random.default_rng(1))
    configurations = columns.decode(children)
    ```
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.dimensions: tuple[Dimension, ...] = space.by_name
        columns = {}
        for j, d in enumerate(self.dimensions):
            columns.setdefault(d.name, []).append(j)
        self._conditions = [
            [[(p, _codes(self.dimensions[p], c.values)) for p in columns.get(c.name, ())]
             for c in d.conditions]
            for d in self.dimensions
        ]  # fmt: skip
        # Of several dimensions with one name the first active one counts, as in `Space`.
        self._namesakes = [
            [p for p in columns[d.name] if p < j] for j, d in enumerate(self.dimensions)
        ]
        self.sizes = np.array([d.size for d in self.dimensions], float)
        pairs = zip(self._conditions, self._namesakes, strict=True)
        self.conditional = np.array(
            [bool(conditions or names) for conditions, names in pairs], bool
        )
        place = {d: i for i, d in enumerate(space.dimensions)}
        self._decoded = sorted(range(len(self)), key=lambda j: place[self.dimensions[j]])

    def __len__(self) -> int:
        return len(self.dimensions)

    def __repr__(self) -> str:
        return f"Columns({', '.join(d.name for d in self.dimensions)})"

    def draw(self, count: int, rng: np.random.Generator) -> Rows:
        """Draws configurations uniformly, each dimension on its own scale."""
        return self.complete(np.full((count, len(self)), np.nan), rng)

    def complete(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Draws a value for each active dimension that has none, and clears inactive ones."""
        rows = np.array(rows, float)
        for j, d in enumerate(self.dimensions):
            active = self._is_active(rows, j)
            rows[~active, j] = np.nan
            missing = np.nonzero(active & np.isnan(rows[:, j]))[0]
            if len(missing):
                rows[missing, j] = from_unit(d, rng.random(len(missing)))
        return rows

    def _is_active(self, rows: Rows, j: int) -> np.ndarray:
        active = np.ones(len(rows), bool)
        for alternatives in self._conditions[j]:
            holds = np.zeros(len(rows), bool)
            for p, codes in alternatives:
                holds |= np.isin(rows[:, p], codes)
            active &= holds
        for p in self._namesakes[j]:
            active &= np.isnan(rows[:, p])
        return active

    def mutate(
        self,
        rows: Rows,
        rng: np.random.Generator,
        *,
        more: float = 0.0,
        scale: np.ndarray | float = MUTATION_SCALE,
        frozen: np.ndarray | None = None,
    ) -> Rows:
        """Changes at least one active dimension of each row, and draws what becomes active.

        Args:
            rows: The configurations to start from.
            rng: The source of randomness.
            more: The chance in [0, 1) of one more change after each one, so that the number of
                changed dimensions is geometric.
            scale: Standard deviation of the step of an ordered dimension, as a share of its range:
                one number, or one for each row.
            frozen: Shape of `rows`: True where a value must stay.
        """
        free = ~np.isnan(rows) & (self.sizes > 1)
        if frozen is not None:
            unfrozen = free & ~frozen
            free = np.where(unfrozen.any(1, keepdims=True), unfrozen, free)
        changes = np.minimum(rng.geometric(1 - more, len(rows)), free.sum(1))
        rank = np.argsort(np.argsort(np.where(free, rng.random(rows.shape), 2.0), 1), 1)
        chosen = free & (rank < changes[:, None])
        scales = np.broadcast_to(np.asarray(scale, float), len(rows))
        children = np.array(rows, float)
        for j, d in enumerate(self.dimensions):
            at = np.nonzero(chosen[:, j])[0]
            if len(at):
                children[at, j] = _moved(d, rows[at, j], scales[at], rng)
        return self.complete(children, rng)

    def cross(self, mothers: Rows, fathers: Rows, rng: np.random.Generator) -> Rows:
        """Uniform crossover: each value comes from either parent that has one."""
        from_mother = (rng.random(mothers.shape) < 0.5) | np.isnan(fathers)
        from_mother &= ~np.isnan(mothers)
        return self.complete(np.where(from_mother, mothers, fathers), rng)

    def encode(self, configurations: Iterable[Mapping[str, Value]]) -> Rows:
        """The rows of configurations. A value that the space lacks counts as absent: NaN."""
        rows = [self._row(values) for values in configurations]
        return np.array(rows, float).reshape(len(rows), len(self))

    def _row(self, values: Mapping[str, Value]) -> list[float]:
        genes = self.space.active(values)
        return [_code(d, genes[d]) if d in genes else np.nan for d in self.dimensions]

    def decode(self, rows: Rows) -> list[Values]:
        """The configurations of rows, the inverse of `encode`."""
        return [
            {
                self.dimensions[j].name: _value(self.dimensions[j], row[j])
                for j in self._decoded
                if not np.isnan(row[j])
            }
            for row in rows
        ]

    def unit(self, rows: Rows, places: Sequence[int] | None = None) -> np.ndarray:
        """The values on the scales of their dimensions, in [0, 1]; NaN where they are inactive.

        Args:
            rows: The configurations.
            places: Which columns to return; all by default.
        """
        chosen = range(len(self)) if places is None else places
        units = [to_unit(self.dimensions[j], rows[:, j]) for j in chosen]
        return np.array(units, float).reshape(len(chosen), len(rows)).T


def to_unit(dimension: Dimension, column: np.ndarray) -> np.ndarray:
    """`Dimension.to_unit` of a column; NaN stays NaN."""
    d = dimension
    if isinstance(d, Discrete):
        return (column + 0.5) / len(d.choices)
    assert isinstance(d, Numeric)
    if d.step is not None:
        return (_step_index(d, column) + 0.5) / d.size
    if d.top == d.low:
        return np.where(np.isnan(column), np.nan, 0.5)
    return np.clip(_unscaled(d, column + 0.5 if d.integer else column), 0.0, 1.0)


def from_unit(dimension: Dimension, units: np.ndarray) -> np.ndarray:
    """`Dimension.from_unit` of a column of units in [0, 1)."""
    d = dimension
    if isinstance(d, Discrete):
        return np.minimum(np.floor(units * len(d.choices)), len(d.choices) - 1)
    assert isinstance(d, Numeric)
    if d.step is not None:
        return _step_value(d, np.minimum(np.floor(units * d.size), d.size - 1))
    values = np.clip(_scaled(d, units), d.low, d.high)
    return np.trunc(values) if d.integer else values


def _moved(
    dimension: Dimension, column: np.ndarray, scales: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Another value in place of each: a neighbor if the dimension is ordered."""
    d = dimension
    if isinstance(d, Discrete):
        size = len(d.choices)
        if d.ordered and size > 2:
            return _other_index(column, size, scales, rng)
        return (column + rng.integers(1, size, len(column))) % size
    assert isinstance(d, Numeric)
    if d.step is not None:
        here = _step_index(d, column)
        return _step_value(d, _other_index(here, int(d.size), scales, rng))
    units = _reflect(to_unit(d, column) + scales * rng.standard_normal(len(column)), 1.0)
    moved = from_unit(d, np.minimum(units, np.nextafter(1.0, 0.0)))
    if d.integer:  # a step shorter than the distance of two integers
        aside = _reflect(column - d.low + rng.choice([-1.0, 1.0], len(column)), d.high - d.low)
        moved = np.where(moved == column, d.low + aside, moved)
    return moved


def _other_index(
    here: np.ndarray, size: int, scales: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    steps = np.maximum(1.0, np.round(np.abs(scales * rng.standard_normal(len(here))) * size))
    there = _reflect(here + steps * rng.choice([-1.0, 1.0], len(here)), size - 1.0)
    # A reflection may return to where it started.
    return np.where(there == here, np.where(here > 0, here - 1, here + 1), there)


def _reflect(positions: np.ndarray, top: float) -> np.ndarray:
    """Positions outside [0, top], reflected at its ends until they are inside."""
    folded = np.mod(positions, 2 * top)
    return np.where(folded > top, 2 * top - folded, folded)


def _scaled(d: Numeric, units: np.ndarray) -> np.ndarray:
    if d.sampling == "linear":
        return d.low + units * (d.top - d.low)
    if d.sampling == "log":
        return d.low * (d.top / d.low) ** units
    return d.top + d.low - d.low * (d.top / d.low) ** (1.0 - units)


def _unscaled(d: Numeric, column: np.ndarray) -> np.ndarray:
    if d.sampling == "linear":
        return (column - d.low) / (d.top - d.low)
    number = column if d.sampling == "log" else d.top + d.low - column
    share = np.log(np.maximum(number, d.low) / d.low) / np.log(d.top / d.low)
    return share if d.sampling == "log" else 1.0 - share


def _step_index(d: Numeric, column: np.ndarray) -> np.ndarray:
    step = float(d.step or 1)
    if d.sampling == "linear":
        index = (column - d.low) / step
    else:
        number = column if d.sampling == "log" else d.high + d.low - column
        index = np.log(np.maximum(number, d.low) / d.low) / np.log(step)
    return np.clip(np.round(index), 0, d.size - 1)


def _step_value(d: Numeric, index: np.ndarray) -> np.ndarray:
    """The values at those steps, by the arithmetic of `Numeric`, to the last bit."""
    steps, place = np.unique(index, return_inverse=True)
    return np.array([float(d.step_value(int(i))) for i in steps])[place]


def _code(dimension: Dimension, value: Value) -> float:
    if isinstance(dimension, Discrete):
        return float(dimension.choices.index(value))
    return float(value)


def _codes(dimension: Dimension, values: Sequence[Value]) -> list[float]:
    """How a column shows those of the values that its dimension has."""
    return [_code(dimension, value) for value in values if dimension.contains(value)]


def _value(dimension: Dimension, code: float) -> Value:
    if isinstance(dimension, Discrete):
        return dimension.choices[int(code)]
    return dimension.canonical(float(code))
