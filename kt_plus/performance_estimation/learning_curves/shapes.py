"""The shapes that a learning curve may have between its first value and its last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array

# How much of the way is still to go after epoch t, for a time constant s in epochs.
FAMILIES: Mapping[str, Callable[[Array, Array], Array]] = {
    "exponential": lambda t, s: np.exp(-t / s),
    "stretched exponential": lambda t, s: np.exp(-np.sqrt(t / s)),  # Weibull, exponent 1/2
    "power": lambda t, s: 1 / (1 + t / s),
    "Hill, 4": lambda t, s: 1 / (1 + (t / s) ** 4),  # a plateau first
    "Hill, 8": lambda t, s: 1 / (1 + (t / s) ** 8),
}

TIME_CONSTANTS = 6
"""How many for each family, from half an epoch to twice the horizon, evenly in their logarithm."""


@lru_cache(maxsize=16)
def decay_shapes(horizon: int) -> Array:
    """A bank of decays from 1 at the first epoch to 0 at the last, one a row.

    Args:
        horizon: The number of epochs, at least 2.
    """
    epochs = np.arange(1.0, horizon + 1)
    constants = np.geomspace(0.5, 2 * horizon, TIME_CONSTANTS)[:, None]
    rows = [family(epochs, constants) for family in FAMILIES.values()]
    rows.append(np.array([-np.log(epochs), -epochs]))
    shapes = np.concatenate(rows)
    # What has decayed within the first epoch cannot be told from a step after it.
    shapes = shapes[shapes[:, 0] - shapes[:, -1] > 1e-3]
    first, last = shapes[:, :1], shapes[:, -1:]
    step = np.zeros((1, horizon))
    step[0, 0] = 1.0
    return np.concatenate([(shapes - last) / (first - last), step])


def shape_of(curve: Array) -> Array | None:
    """The shape of a finished curve, in the form of `decay_shapes`; `None` if it is flat.

    Neighbouring values are averaged, as 1:2:1, so that its noise is not taken for its shape.

    Args:
        curve: Its values in units of the search's progress.
    """
    padded = np.pad(curve, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    smooth[0] = curve[0]
    rise = ends(curve)[1] - smooth[0]
    return None if abs(rise) < 0.01 else np.clip((ends(curve)[1] - smooth) / rise, -4, 4)


def ends(curve: Array) -> Array:
    """The first value of a curve, and the mean of its last two."""
    return np.array([curve[0], curve[-2:].mean()])
