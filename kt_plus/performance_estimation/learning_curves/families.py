"""The eleven families of curves that Domhan et al. combine, as one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array


@dataclass(frozen=True)
class Family:
    """One parametric form of a learning curve.

    Args:
        name: Its name in the paper.
        parameters: How many it has.
        curve: From epochs (counted from 1) and parameters to values. NaN where the
            parameters have no curve; arrays of parameters broadcast against the epochs.
        start: Parameters of a rising curve near `(first value, last value, last epoch)`,
            from where a fit may begin. Both values lie in (0, 1), the last above the first.
    """

    name: str
    parameters: int
    curve: Callable[..., Array]
    start: Callable[[float, float, float], tuple[float, ...]]


def _above(first: float, last: float) -> float:
    """An asymptote for a curve that has come from `first` to `last`."""
    return last + (last - first) / 2


def _ilog2_start(first: float, last: float, n: float) -> tuple[float, ...]:
    a = (last - first) / (1 / np.log(2) - 1 / np.log(n + 1))
    return first + a / np.log(2), a


# Domhan, Springenberg and Hutter, IJCAI 2015, table 1; t is the epoch. Where the paper has
# log t in a denominator (ilog2), which is 0 at the first epoch, it is log(t + 1) here.
FAMILIES: tuple[Family, ...] = (
    Family(
        "vapor pressure",
        3,
        lambda t, a, b, c: np.exp(a + b / t + c * np.log(t)),
        lambda first, last, n: (np.log(last), np.log(first / last), 0.0),
    ),
    Family(
        "pow3",
        3,
        lambda t, c, a, alpha: c - a * t**-alpha,
        lambda first, last, n: (_above(first, last), _above(first, last) - first, 0.5),
    ),
    Family(
        "log log linear",
        2,
        lambda t, a, b: np.log(a * np.log(t) + b),
        lambda first, last, n: ((np.exp(last) - np.exp(first)) / np.log(n), np.exp(first)),
    ),
    Family(
        "Hill3",
        3,
        lambda t, y_max, eta, kappa: y_max * t**eta / (kappa**eta + t**eta),
        lambda first, last, n: (_above(first, last), 1.0, _above(first, last) / first - 1),
    ),
    Family(
        "log power",
        3,
        lambda t, a, b, c: a / (1 + (t / np.exp(b)) ** c),
        lambda first, last, n: (_above(first, last), np.log(_above(first, last) / first - 1), -1.0),
    ),
    Family(
        "pow4",
        4,
        lambda t, c, a, b, alpha: c - (a * t + b) ** -alpha,
        lambda first, last, n: (
            _above(first, last),
            0.5 / (_above(first, last) - first),
            0.5 / (_above(first, last) - first),
            1.0,
        ),
    ),
    Family(
        "MMF",
        4,
        lambda t, alpha, beta, kappa, delta: alpha - (alpha - beta) / (1 + (kappa * t) ** delta),
        lambda first, last, n: (_above(first, last), first, 1 / n, 1.0),
    ),
    Family(
        "exp4",
        4,
        lambda t, c, a, b, alpha: c - np.exp(-a * t**alpha + b),
        lambda first, last, n: (
            _above(first, last),
            1 / n,
            np.log(_above(first, last) - first) + 1 / n,
            1.0,
        ),
    ),
    Family(
        "Janoschek",
        4,
        lambda t, alpha, beta, kappa, delta: alpha - (alpha - beta) * np.exp(-kappa * t**delta),
        lambda first, last, n: (_above(first, last), first, 1 / n, 1.0),
    ),
    Family(
        "Weibull",
        4,
        lambda t, alpha, beta, kappa, delta: (
            alpha - (alpha - beta) * np.exp(-((kappa * t) ** delta))
        ),
        lambda first, last, n: (_above(first, last), first, 1 / n, 1.0),
    ),
    Family(
        "ilog2",
        2,
        lambda t, c, a: c - a / np.log(t + 1),
        _ilog2_start,
    ),
)
