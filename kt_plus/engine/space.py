"""The search space as strategies see it: draw, mutate, cross, encode, decode, enumerate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kt_plus.engine.dimensions import Dimension, dimension_from
from kt_plus.engine.history import Value

Values = dict[str, Value]
Genes = dict[Dimension, Value]


HOOKED = 0.5
"""How often a mutation is one of the hypermodel's own, where it has any."""

DRAWS = 1000
"""How many configurations are drawn at most to find one that the hypermodel calls valid."""

VARIATIONS = 100
"""How many mutations or crosses are made at most to find a valid one."""


@dataclass(frozen=True)
class Hooks:
    """What a hypermodel knows of its space beyond the list of hyperparameters, if it does.

    Args:
        valid: Whether a configuration may be tried, such as for the size of its network.
        mutate: Another configuration made of one, such as by rewiring its network. It must
            use no randomness but that of the generator that it is given. What it gives a value
            that the search does not have, as users may narrow the space, stays as it was.
        fingerprint: A string that configurations share which come to the same.
    """

    valid: Callable[[Mapping[str, Value]], bool] | None = None
    mutate: Callable[[Mapping[str, Value], np.random.Generator], Mapping[str, Value]] | None = None
    fingerprint: Callable[[Mapping[str, Value]], str] | None = None

    @classmethod
    def of(cls, hypermodel: Any) -> Hooks:
        """Those of its methods that bear these names."""
        methods = {name: getattr(hypermodel, name, None) for name in cls.__dataclass_fields__}
        return cls(**{name: method for name, method in methods.items() if callable(method)})


@dataclass(frozen=True)
class Change:
    """A configuration made from another one, and the names whose values differ."""

    values: Values
    changed: tuple[str, ...]


class Space:
    """The hyperparameters of a search, parents before their children.

    It holds every kind of hyperparameter and any depth of conditions, one name
    under several conditions included. The order in which the dimensions arrive is
    kept where it has parents first, and mended where not; it changes nothing of
    what is drawn.

    Args:
        dimensions: The hyperparameters, in any order.
        hooks: What the hypermodel adds. All that is drawn, mutated, crossed or enumerated is
            valid by these.

    Example:
    ```python
    space = Space([Discrete("op", ("conv", "pool")), Numeric("lr", 1e-4, 1e-1, sampling="log")])
    values = space.draw(np.random.default_rng(0))   # {"lr": 0.0081..., "op": "conv"}
    ```
    """

    def __init__(self, dimensions: Iterable[Dimension] = (), hooks: Hooks | None = None) -> None:
        self.hooks = hooks or Hooks()
        self.dimensions = _parents_first(list(dict.fromkeys(dimensions)))
        by_name = sorted(self.dimensions, key=lambda d: (d.name, repr(d.conditions)))
        self._drawn = _parents_first(by_name)

    @classmethod
    def from_hyperparameters(
        cls, hyperparameters: Iterable[Any], hooks: Hooks | None = None
    ) -> Space:
        """The same space, told by the `space` list of a `keras_tuner.HyperParameters`."""
        return cls((dimension_from(hp) for hp in hyperparameters), hooks)

    def __repr__(self) -> str:
        return f"Space({', '.join(d.name for d in self.dimensions)})"

    def active(self, values: Mapping[str, Value]) -> Genes:
        """Each dimension that is active under `values` and has a value of its own there."""

        def own(d: Dimension) -> Value | None:
            value = values.get(d.name)
            return d.canonical(value) if value is not None and d.contains(value) else None

        return self._express(own)

    def defaults(self) -> Values:
        """The configuration in which every active hyperparameter has its default."""
        return self.complete({})

    def complete(self, values: Mapping[str, Value]) -> Values:
        """`values` with the default of every active hyperparameter that they lack."""
        return _named(self._express(lambda d: values.get(d.name, d.default)))

    def admits(self, values: Mapping[str, Value]) -> bool:
        """Whether the hypermodel calls a configuration valid."""
        return self.hooks.valid is None or bool(self.hooks.valid(values))

    def draw(self, rng: np.random.Generator) -> Values:
        """A configuration drawn uniformly, each hyperparameter on its own scale.

        Raises:
            ValueError: If the hypermodel calls none of `DRAWS` valid.
        """
        for _ in range(DRAWS):
            values = self._complete({}, rng)
            if self.admits(values):
                return values
        raise ValueError(
            f"Of {DRAWS} configurations drawn at random, the hypermodel's `valid` allows none. "
            "Expected a bound that a fair share of the space is within: give a larger one, or a "
            "space of smaller networks."
        )

    def mutate(
        self, values: Mapping[str, Value], rng: np.random.Generator, frozen: Collection[str] = ()
    ) -> Change:
        """Changes one active hyperparameter; whatever its change activates is drawn afresh.

        Args:
            values: The configuration to start from.
            rng: The source of randomness.
            frozen: Names to leave alone, such as those that the model never asked for.
        """
        for _ in range(VARIATIONS):
            by_hook = self.hooks.mutate is not None and rng.random() < HOOKED
            change = self.mutate_by_hook(values, rng) if by_hook else None
            change = change or self._mutate_one(values, rng, frozen)
            if self.admits(change.values):
                return change
        return _change(values, self.draw(rng))

    def _mutate_one(
        self, values: Mapping[str, Value], rng: np.random.Generator, frozen: Collection[str]
    ) -> Change:
        genes = self.active(values)
        free = [d for d in self._drawn if d in genes and d.size > 1]
        candidates = [d for d in free if d.name not in frozen] or free
        if not candidates:
            return _change(values, self._complete(genes, rng))
        gene = candidates[rng.integers(len(candidates))]
        child = self._complete({**genes, gene: gene.mutate(genes[gene], rng)}, rng)
        return _change(values, child)

    def mutate_by_hook(
        self, values: Mapping[str, Value], rng: np.random.Generator
    ) -> Change | None:
        """The mutation that the hypermodel makes, `None` if it has none or changes nothing."""
        if self.hooks.mutate is None:
            return None
        child = {**values, **self.hooks.mutate(dict(values), rng)}
        genes = self.active({name: child[name] for name in child if self._holds(name, child[name])})
        kept = {d: value for d, value in self.active(values).items() if d not in genes}
        change = _change(values, self._complete({**kept, **genes}, rng))
        return change if change.changed else None

    def _holds(self, name: str, value: Value) -> bool:
        return any(d.name == name and d.contains(value) for d in self.dimensions)

    def cross(
        self, mother: Mapping[str, Value], father: Mapping[str, Value], rng: np.random.Generator
    ) -> Change:
        """Uniform crossover: each hyperparameter comes from either parent with equal chance."""
        first, second = self.active(mother), self.active(father)
        for _ in range(VARIATIONS):
            genes: Genes = {}
            for d in self._drawn:
                sources = [parent[d] for parent in (first, second) if d in parent]
                if sources:
                    genes[d] = sources[rng.integers(len(sources))]
            child = self._complete(genes, rng)
            if self.admits(child):
                return _change(mother, child)
        return self.mutate(mother, rng)

    def encode(self, values: Mapping[str, Value]) -> np.ndarray:
        """A point of the unit cube, one coordinate a dimension; NaN where it is inactive."""
        genes = self.active(values)
        return np.array([d.to_unit(genes[d]) if d in genes else np.nan for d in self.dimensions])

    def decode(self, point: Sequence[float] | np.ndarray) -> Values:
        """The configuration at a point of the unit cube; NaN stands for the default."""
        at = dict(zip(self.dimensions, point, strict=True))
        return _named(
            self._express(lambda d: d.default if np.isnan(at[d]) else d.from_unit(float(at[d])))
        )

    def enumerate(self, samples: int | None = 10) -> Iterator[Values]:
        """Every configuration in order, the last dimension running fastest.

        Args:
            samples: How many values, evenly spaced on its scale, stand for a
                hyperparameter without a step; `None` takes every whole number.
        """
        yield from filter(self.admits, self._enumerate(0, {}, samples))

    @property
    def by_name(self) -> tuple[Dimension, ...]:
        """The dimensions in an order that does not depend on that of their arrival.

        Parents stand before their children, and names decide otherwise.
        """
        return self._drawn

    @property
    def is_finite(self) -> bool:
        """Whether the configurations can be counted."""
        return all(d.size != float("inf") for d in self.dimensions)

    def check(self, values: Mapping[str, Value]) -> Values:
        """`values` completed with defaults, once every name and value in it is found legal.

        Raises:
            ValueError: If a name is unknown or inactive, or a value is not allowed.
        """
        genes = self._express(lambda d: values.get(d.name, d.default))
        for name in values:
            gene = next((d for d in genes if d.name == name), None)
            if gene is None:
                raise ValueError(_unknown(name, {d.name for d in self.dimensions}))
            if not gene.admits(values[name]):
                raise ValueError(
                    f"{values[name]!r} is not a value of {name!r}. Expected one of {gene}. "
                    "Choose a value from it."
                )
        return {d.name: d.canonical(value) for d, value in genes.items()}

    def _express(self, value_of: Callable[[Dimension], Value | None]) -> Genes:
        genes: Genes = {}
        named: Values = {}
        for d in self._drawn:
            if d.name in named or not d.is_active(named):
                continue
            value = value_of(d)
            if value is not None:
                genes[d] = named[d.name] = value
        return {d: genes[d] for d in self.dimensions if d in genes}

    def _complete(self, genes: Mapping[Dimension, Value], rng: np.random.Generator) -> Values:
        return _named(
            self._express(lambda d: genes[d] if d in genes else d.from_unit(float(rng.random())))
        )

    def _enumerate(self, depth: int, values: Values, samples: int | None) -> Iterator[Values]:
        if depth == len(self.dimensions):
            yield dict(values)
            return
        d = self.dimensions[depth]
        if d.name in values or not d.is_active(values):
            yield from self._enumerate(depth + 1, values, samples)
            return
        for value in d.samples(samples):
            values[d.name] = value
            yield from self._enumerate(depth + 1, values, samples)
        del values[d.name]


def _named(genes: Genes) -> Values:
    return {d.name: value for d, value in genes.items()}


def _change(before: Mapping[str, Value], after: Values) -> Change:
    return Change(after, tuple(n for n in after if n not in before or after[n] != before[n]))


def _unknown(name: str, known: Collection[str]) -> str:
    if name in known:
        return (
            f"The hyperparameter {name!r} is not active under the other values given. "
            "Leave it out, or give its parent a value that activates it."
        )
    return (
        f"There is no hyperparameter {name!r}. The search space has {sorted(known)}: "
        "use one of these names."
    )


def _parents_first(dimensions: Iterable[Dimension]) -> tuple[Dimension, ...]:
    """The dimensions in their order, each moved behind all that bear a name it depends on."""
    waiting, placed = list(dimensions), []
    unplaced = Counter(d.name for d in waiting)
    while waiting:
        ready = (
            i for i, d in enumerate(waiting) if not any(unplaced[c.name] for c in d.conditions)
        )
        earliest = waiting.pop(next(ready, 0))  # of a cycle, which can never be active, any
        unplaced[earliest.name] -= 1
        placed.append(earliest)
    return tuple(placed)
