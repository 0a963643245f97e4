"""Hypothesis strategies for dimensions, spaces and seeds."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from kt_plus.engine.dimensions import Condition, Dimension, Discrete, Numeric
from kt_plus.engine.space import Space

CHOICES = (
    ("relu", "tanh", "gelu", "silu"),
    (False, True),
    (1, 2, 4, 8, 16),
    (0.0, 0.25, 0.5),
    ("only",),
)


@st.composite
def rngs(draw: st.DrawFn) -> np.random.Generator:
    """A generator of random numbers."""
    return np.random.default_rng(draw(st.integers(0, 2**32)))


@st.composite
def discretes(draw: st.DrawFn, name: str = "x", conditions: tuple = ()) -> Discrete:
    """A Choice, Boolean or Fixed."""
    choices = draw(st.sampled_from(CHOICES))
    ordered = type(choices[0]) in (int, float) and draw(st.booleans())
    initial = draw(st.sampled_from((None, *choices)))
    return Discrete(name, choices, ordered, initial, conditions=conditions)


@st.composite
def numerics(draw: st.DrawFn, name: str = "x", conditions: tuple = ()) -> Numeric:
    """An Int or Float of any sampling, with a step or without, as Keras Tuner allows them."""
    sampling = draw(st.sampled_from(("linear", "log", "reverse_log")))
    integer = draw(st.booleans())
    if integer:
        low = draw(st.integers(1 if sampling != "linear" else -300, 300))
        high = low + draw(st.integers(0, 1500))
        # An Int on a linear scale always has a step.
        step = draw(st.integers(2, 40)) if sampling != "linear" else draw(st.integers(1, 40))
        step = step if sampling == "linear" or draw(st.booleans()) else None
    else:
        low = draw(st.floats(1e-6, 100.0) if sampling != "linear" else st.floats(-100.0, 100.0))
        high = low + draw(st.just(0.0) | st.floats(1e-3, 1000.0))
        widest = st.floats(1.5, 20.0) if sampling != "linear" else st.floats(0.01, 10.0)
        step = draw(st.none() | widest)
    return Numeric(name, low, high, step, sampling, integer, conditions=conditions)


def dimensions(name: str = "x", conditions: tuple = ()) -> st.SearchStrategy[Dimension]:
    """Any hyperparameter."""
    return discretes(name, conditions) | numerics(name, conditions)


@st.composite
def spaces(draw: st.DrawFn, largest: int = 7, kinds=dimensions) -> Space:
    """Any space: nested conditions, names under several conditions, in any order.

    Names say nothing of the order, and a condition names all above it, as Keras Tuner's
    nested scopes do, or only the one next to it.
    """
    names = draw(st.permutations([f"h{i}" for i in range(largest)]))
    family: list[Dimension] = []
    for name in names[: draw(st.integers(0, largest))]:
        parents = [d for d in family if isinstance(d, Discrete) and len(d.choices) > 1]
        parent = draw(st.sampled_from([None, *parents]))
        if parent is None:
            family.append(draw(kinds(name)))
            continue
        cut = draw(st.integers(1, len(parent.choices) - 1))
        shuffled = draw(st.permutations(parent.choices))
        above = parent.conditions if draw(st.booleans()) else ()
        sides = [shuffled[:cut], shuffled[cut:]] if draw(st.booleans()) else [shuffled[:cut]]
        for side in sides:  # two sides: one name under two conditions that exclude each other
            condition = Condition(parent.name, tuple(side))
            family.append(draw(kinds(name, (*above, condition))))
    return Space(draw(st.permutations(family)))
