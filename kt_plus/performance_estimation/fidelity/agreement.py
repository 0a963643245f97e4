"""Whether the rungs of a ladder rank configurations alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from kt_plus.engine.history import Record

LOW = 0.3
"""Kendall's tau below which promotions are said to be close to random."""

ENOUGH = 8
"""Below so many trials nothing is said of them."""

KENDALL, SPEARMAN = (0.437, 4), (1.06, 3)
"""Of the variance of Fisher's z: the numerator, and what is subtracted from the trials."""


@dataclass(frozen=True)
class Coefficient:
    """A rank correlation and its interval.

    Args:
        value: From -1, the opposite order, to 1, the same order; NaN if it is undefined.
        low: The lower end of the interval of 95 %.
        high: The upper end.
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
        return (
            f"{self.labels[0]} -> {self.labels[1]}: tau {self.kendall}, Spearman {self.spearman}, "
            f"{self.trials} trials"
        )


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

    Source: the intervals are Fisher's z with the variance 0.437 / (n - 4) for tau and
    1.06 / (n - 3) for Spearman; Fieller, Hartley and Pearson, "Tests for Rank Correlation
    Coefficients I", Biometrika 44 (1957).

    Args:
        records: The trials, each promoted one with its `parent` and `rung`.
        labels: Each rung in words.

    Example:

    ```python
    print(rank_agreement(tuner.oracle.history))
    # rung 0 -> rung 1: tau 0.62 (0.32 to 0.81), Spearman 0.79 (0.50 to 0.92), 20 trials
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
        _with_interval(tau, len(scores), *KENDALL),
        _with_interval(rho, len(scores), *SPEARMAN),
        tuple(scores),
        (words[low], words[high]),
    )


def _with_interval(value: float, trials: int, variance: float, lost: int) -> Coefficient:
    """With the interval of 95 % by Fisher's z."""
    if math.isnan(value) or trials <= lost:
        return Coefficient(value, -1.0, 1.0)
    if abs(value) >= 1:
        return Coefficient(value, value, value)
    z, half = math.atanh(value), 1.96 * math.sqrt(variance / (trials - lost))
    return Coefficient(value, math.tanh(z - half), math.tanh(z + half))
