"""The surrogate of a search: what a Gaussian process predicts from its trials."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from kt_plus.engine.columns import Columns, Rows
from kt_plus.engine.history import History, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.beliefs import STRENGTH, Beliefs, log_belief
from kt_plus.search_strategies.gaussian_process import (
    Array,
    Features,
    GaussianProcess,
    KernelPrior,
    ScoreScale,
    log_expected_improvement,
)

LARGEST_FIT = 100
"""Maximum number of trials that the process is fitted to: its cost grows with their cube."""

MOST_FANTASIES = 50
"""Maximum number of running trials that count as observed."""

FAILED = 0.1
"""A failed trial counts as this quantile of the scores, so that the search avoids its neighbors."""

SELDOM = 0.05
"""Factor of the prior medians where conditional hyperparameters hardly matter."""

MOST_ALTERNATIVES = 50
"""Maximum number of trials for which two priors are compared. Later the prior matters little."""

LEAST_FIT = 2
"""Minimum number of completed trials for a fit."""


@dataclass
class Surrogate:
    """A Gaussian process fitted to a history.

    Args:
        columns: The columns of the search space.
        records: The trials of this search that the process knows, running ones last.
        rows: Their configurations.
        process: The posterior.
        features: How configurations become points.
        beliefs: The beliefs of the user.
        completed: The number of completed trials, with which beliefs fade.
        beta: Selects the upper confidence bound, with this many standard deviations, in place of
            the expected improvement.

    Attributes:
        means: The posterior mean of each record, on the scale of the process.
    """

    columns: Columns
    records: Sequence[Record]
    rows: Rows
    process: GaussianProcess
    features: Features
    beliefs: Beliefs = field(default_factory=dict)
    completed: int = 0
    beta: float | None = None
    means: Array = field(init=False)

    def __post_init__(self) -> None:
        self.means, _ = self.process.predict(self.process.points)

    @classmethod
    def fit(
        cls,
        space: Space,
        history: History,
        rng: np.random.Generator,
        prior: KernelPrior | None = None,
        beliefs: Beliefs | None = None,
        beta: float | None = None,
    ) -> Surrogate | None:
        """The surrogate of a search, `None` while too few of its trials have completed."""
        # A stopped trial that the search learns nothing from looks failed, with a verdict.
        own = [
            r for r in history if r.earlier is None and (r.status != "failed" or r.verdict is None)
        ]
        known = [r for r in own if r.status == "failed" or np.isfinite(r.fitness)]
        completed = sum(np.isfinite(r.fitness) for r in known)
        if completed < LEAST_FIT:
            return None
        columns = Columns(space)
        features = Features(columns, earlier_means(columns, history))
        if not features.dimensions:
            return None
        known, scores, noise = _scored(known)
        prior = prior or KernelPrior()
        if noise is not None and prior.noise_spread > 0:
            prior = replace(prior, noise=math.log(noise), noise_spread=0.5)
        running = [r for r in own if r.status == "running"][-MOST_FANTASIES:]
        # A value that the space has gained since is drawn.
        rows = columns.complete(columns.encode(r.values for r in [*known, *running]), rng)
        points = features(rows)
        process = fit_process(features, points[: len(known)], scores, prior)
        if running:  # "kriging believer" (Ginsbourger et al., 2010): observed at the mean
            fantasies, _ = process.predict(points[len(known) :])
            process = process.given(points, np.concatenate([scores, fantasies]))
        records = [*known, *running]
        return cls(columns, records, rows, process, features, beliefs or {}, int(completed), beta)

    def unused(self) -> Array:
        """Shape of `rows`: True for a value that the model of the trial never asked for."""
        names = [d.name for d in self.columns.dimensions]
        return np.array([[n in (r.unused or ()) for n in names] for r in self.records], bool)

    def promise(self, rows: Rows) -> Array:
        """How much trying each configuration promises; only the order matters."""
        mean, deviation = self.process.predict(self.features(rows))
        if self.beta is not None:
            return mean + self.beta * deviation
        improvement = log_expected_improvement(mean, deviation, float(self.means.max()))
        if not self.beliefs:
            return improvement
        # piBO, equation 5: the acquisition function times the belief to the power of beta / n
        belief = log_belief(self.beliefs, self.columns, rows)
        return np.asarray(improvement + STRENGTH / self.completed * self._trust * belief)

    @cached_property
    def _trust(self) -> float:
        """How well the beliefs rank the trials so far: Spearman's correlation, at least 0.

        piBO forgets a wrong belief after hundreds of trials; this forgets it after a few.
        """
        from scipy.stats import rankdata  # here, because it takes 0.3 s to import

        belief = log_belief(self.beliefs, self.columns, self.rows)
        ranks = rankdata(belief), rankdata(self.process.values)
        if min(map(np.ptp, ranks)) == 0:
            return 0.0
        return max(float(np.corrcoef(*ranks)[0, 1]), 0.0)


def fit_process(
    features: Features, points: Array, scores: Array, prior: KernelPrior | None = None
) -> GaussianProcess:
    """The process that predicts each trial best from the others, under one of two priors.

    In some spaces most conditional hyperparameters hardly matter, such as the units of the fifth
    layer. In others they decide, such as those of the chosen algorithm.
    """
    prior = prior or KernelPrior()
    process = GaussianProcess.fit(features, points, scores, prior)
    if not features.conditional.any() or len(points) > MOST_ALTERNATIVES:
        return process
    seldom = replace(prior, conditional=SELDOM)
    other = GaussianProcess.fit(features, points, scores, seldom)
    return max(process, other, key=lambda fitted: fitted.left_out_density)


def posterior_means(space: Space, history: History) -> dict[str, float]:
    """The posterior mean of each completed trial by its id; empty while there are too few."""
    surrogate = Surrogate.fit(space, history, np.random.default_rng(0))
    if surrogate is None:
        return {}
    completed = [r for r in history.completed if r.earlier is None]
    rows = surrogate.columns.encode(r.values for r in completed)
    rows = surrogate.columns.complete(rows, np.random.default_rng(0))
    means, _ = surrogate.process.predict(surrogate.features(rows))
    return {r.trial_id: float(mean) for r, mean in zip(completed, means, strict=True)}


def _scored(known: Sequence[Record]) -> tuple[list[Record], Array, float | None]:
    """The trials to fit the process to, their scores on its scale, and the noise variance."""
    fitness = np.array([r.fitness for r in known])
    finite = np.isfinite(fitness)
    fitness[~finite] = np.quantile(fitness[finite], FAILED)
    chosen = _best_and_spread(fitness, LARGEST_FIT)
    scale = ScoreScale.of(fitness, fitness[chosen])
    records = [known[i] for i in chosen]
    return records, scale(fitness[chosen]), _noise(records, scale)


def _noise(records: Iterable[Record], scale: ScoreScale) -> float | None:
    """The noise variance of a score as told by trials of several executions or folds."""
    variances = []
    for record in records:
        if len(record.runs) > 1 and record.score is not None:
            error = np.std(record.runs, ddof=1) / len(record.runs) ** 0.5
            ends = scale(np.array([record.score - error, record.score + error]))
            variances.append(((ends[1] - ends[0]) / 2) ** 2)
    return max(float(np.mean(variances)), 1e-4) if variances else None


def _best_and_spread(scores: Array, count: int) -> Array:
    """The places of the best half of `count` scores, and of as many spread over the rest."""
    if len(scores) <= count:
        return np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    best, rest = order[: count // 2], np.sort(order[count // 2 :])
    spread = rest[np.linspace(0, len(rest) - 1, count - len(best)).astype(int)]
    return np.sort(np.concatenate([best, spread]))


_EARLIER_MEANS: WeakKeyDictionary[History, tuple[Space, int, list[EarlierMean]]]
_EARLIER_MEANS = WeakKeyDictionary()


def earlier_means(columns: Columns, history: History) -> list[EarlierMean]:
    """What each earlier project predicts, as an effect whose weight this search's trials decide.

    This is the autoregressive model of Kennedy and O'Hagan, "Predicting the output from a complex
    computer code when fast approximations are available", Biometrika 2000: the score is a multiple
    of the earlier project's prediction, plus a Gaussian process.
    """
    earlier = [r for r in history.completed if r.earlier is not None and np.isfinite(r.fitness)]
    space, count, means = _EARLIER_MEANS.get(history, (None, 0, []))
    if space is not columns.space or count != len(earlier):
        means = _fit_earlier(columns, earlier)
        _EARLIER_MEANS[history] = columns.space, len(earlier), means
    return means


def _fit_earlier(columns: Columns, earlier: Sequence[Record]) -> list[EarlierMean]:
    projects: dict[str, list[Record]] = {}
    for record in earlier:
        projects.setdefault(str(record.earlier), []).append(record)
    plain = Features(columns)
    means = []
    for _, records in sorted(projects.items()):
        if len(records) < LEAST_FIT or not plain.dimensions:
            continue
        records, scores, _ = _scored(records)
        # A value that the earlier project did not have is drawn, and always the same.
        rows = columns.complete(columns.encode(r.values for r in records), np.random.default_rng(0))
        process = fit_process(plain, plain(rows), scores)
        means.append(EarlierMean(process, rows))
    return means


@dataclass(frozen=True)
class EarlierMean:
    """The prediction of an earlier project.

    Args:
        process: A process fitted to its trials.
        rows: The configurations of these trials.
    """

    process: GaussianProcess
    rows: Rows

    def __call__(self, points: Array) -> Array:
        """The posterior mean at points of plain features."""
        return self.process.predict(points)[0]

    def best(self, count: int) -> Rows:
        """The configurations with the best posterior means."""
        means = self(self.process.points)
        return self.rows[np.argsort(-means, kind="stable")[:count]]
