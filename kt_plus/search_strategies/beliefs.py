"""Beliefs of the user about good values, which guide a search and fade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kt_plus.engine.columns import Columns, Rows, to_unit
from kt_plus.engine.dimensions import Dimension, Discrete
from kt_plus.engine.history import Value
from kt_plus.engine.space import Space

DEVIATION = {"low": 0.3, "medium": 0.15, "high": 0.075}
"""Standard deviation of the belief about a number or an ordered choice, as a share of its range."""

PROBABILITY = {"low": 0.5, "medium": 0.7, "high": 0.9}
"""Probability of the believed one of several unordered choices."""

STRENGTH = 10.0
"""The exponent of a belief that ranks all trials right, times the number of completed ones."""


@dataclass(frozen=True)
class Prior:
    """A belief that the best value of a hyperparameter is near `value`.

    When to use it: for values known from earlier work. The belief guides the first trials, and
    fades as results arrive, so that a wrong one costs a few trials only.

    Source: Hvarfner et al., "piBO: Augmenting Acquisition Functions with User Beliefs for Bayesian
    Optimization", ICLR 2022 (arXiv:2204.11051).

    Args:
        value: The most probable value.
        confidence: `"low"`, `"medium"` or `"high"`. Of a number the standard deviation is 30, 15 or
            7.5 % of the range, on its own scale. Of an unordered choice the probability is 0.5, 0.7
            or 0.9.

    Raises:
        ValueError: If `confidence` is none of these.

    Example:

    ```python
    tuner = kt_plus.EvolutionarySearch(
        build_model, "val_accuracy", max_trials=20, prior={"learning_rate": kt_plus.Prior(1e-3)}
    )
    ```
    """

    value: Value
    confidence: str = "medium"

    def __post_init__(self) -> None:
        if self.confidence not in DEVIATION:
            raise ValueError(
                f"`confidence` must be one of {list(DEVIATION)}, got {self.confidence!r}. "
                "Leave it out for 'medium'."
            )

    def log_density(self, dimension: Dimension, column: np.ndarray) -> np.ndarray:
        """Logarithm of the belief in each value, 0 for the most probable one."""
        if isinstance(dimension, Discrete) and not (
            dimension.ordered and len(dimension.choices) > 2
        ):
            probability = max(PROBABILITY[self.confidence], 1 / len(dimension.choices))
            other = (1 - probability) / max(len(dimension.choices) - 1, 1)
            is_believed = column == dimension.choices.index(self.value)
            return np.where(is_believed, 0.0, np.log(max(other, 1e-12) / probability))
        center = dimension.to_unit(self.value)
        distance = (to_unit(dimension, column) - center) / DEVIATION[self.confidence]
        return -0.5 * distance**2


Beliefs = Mapping[str, Prior]


def check_beliefs(beliefs: Any) -> dict[str, Prior]:
    """The argument `prior` of a search, once its form is right.

    Raises:
        TypeError: If it is no mapping from names to `Prior`.
    """
    if beliefs is None:
        return {}
    if not isinstance(beliefs, Mapping) or not all(isinstance(p, Prior) for p in beliefs.values()):
        raise TypeError(
            f"`prior` must be a mapping from names of hyperparameters to kt_plus.Prior, got "
            f"{beliefs!r}. Write, for example, prior={{'learning_rate': kt_plus.Prior(1e-3)}}."
        )
    return dict(beliefs)


def check_values(beliefs: Beliefs, space: Space) -> None:
    """Raises unless each belief is about a known hyperparameter and one of its values.

    Raises:
        ValueError: If a name is unknown, or a value is not one of the hyperparameter's.
    """
    for name, belief in beliefs.items():
        dimensions = [d for d in space.dimensions if d.name == name]
        if not dimensions:
            known = sorted({d.name for d in space.dimensions})
            raise ValueError(
                f"`prior` must name hyperparameters, got {name!r}. Use one of {known}."
            )
        if not any(d.contains(belief.value) for d in dimensions):
            raise ValueError(
                f"The prior of {name!r} must be one of its values, got {belief.value!r}. "
                f"Use a value of {' or '.join(map(str, dimensions))}."
            )


def log_belief(beliefs: Beliefs, columns: Columns, rows: Rows) -> np.ndarray:
    """Logarithm of the belief in each configuration. Inactive hyperparameters do not count."""
    total = np.zeros(len(rows))
    for j, d in enumerate(columns.dimensions):
        if d.name in beliefs and d.contains(beliefs[d.name].value):
            density = beliefs[d.name].log_density(d, rows[:, j])
            total += np.where(np.isnan(rows[:, j]), 0.0, density)
    return total
