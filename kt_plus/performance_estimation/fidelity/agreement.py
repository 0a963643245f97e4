"""Whether the rungs of a ladder rank configurations alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kt_plus.engine.history import Record

Array = NDArray[np.float64]

LOW = 0.3
"""Kendall's tau below which promotions are said to be close to random."""

ENOUGH = 8
"""Below so many trials nothing is said of them."""

FEWEST, MOST = 4, 100
"""Fewer trials have no interval. More count as this many, so that the interval is too wide."""

TAIL = 0.025
"""The probability that an interval leaves out at each end."""

DRAWS = 4000
"""Simulated samples: the standard error of a tail's probability is 0.0025."""


@dataclass(frozen=True)
class Coefficient:
    """A rank correlation and its interval.

    Args:
        value: From -1, the opposite order, to 1, the same order; NaN if it is undefined.
        low: The lower end of the interval of 95 %; -1 if there are too few trials for one.
        high: The upper end; 1 if there are too few trials for one.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Agreement:
    """How alike two rungs rank the configurations that both have seen.

    Args:
        low: The lower rung.
        high: The higher one.
        trials: How many configurations have a score at both.
        kendall: Kendall's tau-b.
        spearman: Spearman's rank correlation.
        scores: The two scores of each, larger being better.
        labels: The two rungs in words.
    """

    low: int
    high: int
    trials: int
    kendall: Coefficient
    spearman: Coefficient
    scores: tuple[tuple[float, float], ...]
    labels: tuple[str, str]

    @property
    def warning(self) -> str | None:
        """What is to be said if the lower rung misranks."""
        if self.trials < ENOUGH or not self.kendall.value < LOW:
            return None
        return (
            f"tau {self.kendall.value:.2f} between {self.labels[0]} and {self.labels[1]} on "
            f"{self.trials} trials: promotions are close to random. Begin the ladder at a higher "
            "fidelity, or choose another one."
        )

    def __str__(self) -> str:
        pair = f"{self.labels[0]} -> {self.labels[1]}: "
        if self.trials < FEWEST:
            return (
                f"{pair}tau {self.kendall.value:.2f}, Spearman {self.spearman.value:.2f}, "
                f"{self.trials} trials: too few trials for an interval"
            )
        return f"{pair}tau {self.kendall}, Spearman {self.spearman}, {self.trials} trials"


class RankAgreement(Sequence[Agreement]):
    """The agreement of each pair of rungs, readable when printed.

    Args:
        pairs: Of each pair of rungs.
    """

    def __init__(self, pairs: Iterable[Agreement]) -> None:
        self._pairs = tuple(pairs)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._pairs[index]

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def warnings(self) -> list[str]:
        """What is to be said of rungs that follow each other, where the lower one misranks."""
        return [p.warning for p in self._pairs if p.high == p.low + 1 and p.warning]

    def __repr__(self) -> str:
        if not self._pairs:
            return "RankAgreement(no configuration has a score at two rungs)"
        return "\n".join([*map(str, self._pairs), *self.warnings])


def rank_agreement(records: Iterable[Record], labels: Sequence[str] = ()) -> RankAgreement:
    """Kendall's tau and Spearman's rank correlation between each pair of rungs.

    When to use it: after a search over fidelities, to see whether its lower rungs were worth
    anything. Only promoted configurations have a score at both rungs of a pair: among these,
    the better ones, the correlation is lower than it would be among all.

    The intervals of 95 % hold for few trials, too: four trials in perfect order are compatible
    with no correlation at all. Fewer than four have none.

    Source: the intervals are those of Clopper and Pearson, "The Use of Confidence or Fiducial
    Limits", Biometrika 26 (1934): all correlations under which a coefficient as large, and one as
    small, has a probability of at least 2.5 %. The probabilities are simulated for normal scores,
    whose tau and Spearman correlation follow from Pearson's; Kruskal, "Ordinal Measures of
    Association", Journal of the American Statistical Association 53 (1958).

    Args:
        records: The trials, each promoted one with its `parent` and `rung`.
        labels: Each rung in words.

    Example:

    ```python
    print(rank_agreement(tuner.oracle.history))
    # rung 0 -> rung 1: tau 0.62 (0.37 to 0.77), Spearman 0.79 (0.52 to 0.93), 20 trials
    ```
    """
    scores = _scores(records)
    rungs = sorted({rung for each in scores for rung in each})
    words = {rung: labels[rung] if rung < len(labels) else f"rung {rung}" for rung in rungs}
    pairs = (
        _agreement(low, high, [(s[low], s[high]) for s in scores if low in s and high in s], words)
        for low, high in combinations(rungs, 2)
    )
    return RankAgreement(pair for pair in pairs if pair.trials > 1)


def _scores(records: Iterable[Record]) -> list[dict[int, float]]:
    """The score at each rung of each configuration. A trial that was stopped has none."""
    found: dict[str, dict[int, float]] = {}
    for record in records:
        mine = found.get(record.parent or "") if record.rung else None
        scores = found[record.trial_id] = {} if mine is None else mine
        if record.score is not None and record.verdict is None:
            scores[record.rung] = record.score
    return list({id(scores): scores for scores in found.values()}.values())


def _agreement(
    low: int, high: int, scores: list[tuple[float, float]], words: dict[int, str]
) -> Agreement:
    from scipy import stats  # takes half a second, and most searches have no rungs

    lower, higher = [s[0] for s in scores], [s[1] for s in scores]
    if len({*lower}) < 2 or len({*higher}) < 2:
        tau = rho = math.nan
    else:
        tau = float(stats.kendalltau(lower, higher).statistic)
        rho = float(stats.spearmanr(lower, higher).statistic)
    return Agreement(
        low,
        high,
        len(scores),
        _kendall(tau, len(scores)),
        _spearman(rho, len(scores)),
        tuple(scores),
        (words[low], words[high]),
    )


def _kendall(value: float, trials: int) -> Coefficient:
    low, high = _interval(value, trials, _simulated_tau)
    return Coefficient(value, *(2 / math.pi * math.asin(end) for end in (low, high)))


def _spearman(value: float, trials: int) -> Coefficient:
    low, high = _interval(value, trials, _simulated_rho)
    return Coefficient(value, *(6 / math.pi * math.asin(end / 2) for end in (low, high)))


def _interval(
    value: float, trials: int, simulated: Callable[[int, float], Array]
) -> tuple[float, float]:
    """Returns the interval of Pearson's correlation behind a rank correlation."""
    if math.isnan(value) or trials < FEWEST:
        return -1.0, 1.0
    trials = min(trials, MOST)
    # The scores of one rung with the opposite sign have the opposite coefficient.
    return _lowest(value, trials, simulated), -_lowest(-value, trials, simulated)


def _lowest(value: float, trials: int, simulated: Callable[[int, float], Array]) -> float:
    """Returns the lowest correlation under which `value` is not improbably large."""

    def is_compatible(z: float) -> bool:
        found = simulated(trials, math.tanh(z))
        return float(np.mean(found >= value - 1e-9)) >= TAIL

    low, high = -4.0, 4.0  # Fisher's z of -0.9993 and 0.9993
    if is_compatible(low):
        return -1.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (low, middle) if is_compatible(middle) else (middle, high)
    return math.tanh(low)


@lru_cache(maxsize=4)
def _normal_scores(trials: int) -> tuple[Array, Array]:
    """Returns independent scores of two rungs, one sample in a row, those of the first sorted."""
    first, second = np.random.default_rng(0).normal(size=(2, DRAWS, trials))
    return np.sort(first, axis=1), second


def _second_scores(trials: int, correlation: float) -> Array:
    first, second = _normal_scores(trials)
    return correlation * first + math.sqrt(1 - correlation**2) * second


@lru_cache(maxsize=512)
def _simulated_tau(trials: int, correlation: float) -> Array:
    """Returns Kendall's tau of each simulated sample."""
    y = _second_scores(trials, correlation)
    concordant = sum((y[:, lag:] > y[:, :-lag]).sum(axis=1) for lag in range(1, trials))
    return np.asarray(concordant / (trials * (trials - 1) / 4) - 1)


@lru_cache(maxsize=512)
def _simulated_rho(trials: int, correlation: float) -> Array:
    """Returns Spearman's correlation of each simulated sample."""
    ranks = _second_scores(trials, correlation).argsort(axis=1).argsort(axis=1)
    squares = ((ranks - np.arange(trials)) ** 2).sum(axis=1)
    return np.asarray(1 - 6 * squares / (trials * (trials**2 - 1)))
