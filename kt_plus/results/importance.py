"""Which hyperparameters matter: functional ANOVA, by Optuna's evaluator."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_plus.engine.dimensions import Dimension, Discrete
from kt_plus.engine.history import Value
from kt_plus.errors import ResultsError
from kt_plus.results.overview import can_be_best, kind_of
from kt_plus.results.plots import BLUE, ORANGE, new_axes
from kt_plus.results.reading import Search, read

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FEWEST = 10
"""From so many trials on a forest can tell anything."""

MOST_TRIALS = 1000
"""Of more, so many are taken, evenly spread over the search."""

MOST_BARS = 15
RESAMPLES, MOST_RESAMPLED, TREES, DEPTH = 10, 500, 5, 6
MOST_TREES = 20
"""So many trees are grown for a resample at most, where conditions need several forests."""

FAR = 3.0
"""A score so many times as far from the best one as the median is cut off there."""

Rows = Sequence[Mapping[Dimension, Value]]


def importance_to_dataframe(search: Any, *, seed: int = 0) -> pd.DataFrame:
    """How much of the variance of the scores each hyperparameter explains.

    When to use it: after some 50 trials, to see which hyperparameters are worth a finer
    range, and which may be fixed. Forests are fitted to resampled trials, and their variance
    over the whole space is divided among the hyperparameters.

    Source: Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter
    Importance" (ICML 2014), by `optuna.importance.FanovaImportanceEvaluator`.

    A conditional hyperparameter is judged among the trials in which it is active: its share is
    one of the variance there. A number counts on its own scale, a logarithmic one in powers.
    Failed and running trials, and those of lower fidelity, are left out; a stopped one counts
    with its best value. Scores far worse than most are cut off, lest one that has diverged
    hides all others. Of more than 1,000 trials so many are taken, evenly spread. A forest finds
    a little in noise as well: where scores hardly depend on anything, the shares are small and
    their intervals wide.

    Args:
        search: A tuner, or the directory of its project; plain Keras Tuner's too.
        seed: Of the forests, and of the resampling.

    Returns:
        A data frame with the hyperparameters' names as its index, the most important one
        first; those that vary in ten trials at least. `importance` is a share of the variance,
        from 0 to 1; `low` and `high` are its interval of 90 %; `trials` says in how many it was
        active. What is not explained by one alone is explained by several together.

    Raises:
        ResultsError: If there is no project, or fewer than ten trials can be compared.
        ImportError: If pandas, Optuna or scikit-learn is not installed.

    Example:

    ```python
    kt_plus.results.importance_to_dataframe("searches/digits").head(3)
    ```
    """
    _check_installed()
    import pandas as pd

    from kt_plus.search_strategies.optuna_study import parameter_names

    found = read(search)
    rows, scores = _comparable(found)
    groups = {t: those for t, those in _groups(rows).items() if _tell(t, scores)}
    if not groups:
        raise ResultsError(
            f"No hyperparameter varies among the completed trials of {found.directory!r}, so that "
            "none has an importance. Expected a search over different values; give the search "
            "space more of them."
        )
    trees = max(2, min(TREES, MOST_TREES // max(len(groups), 1)))
    names, told = parameter_names(found.space), {}
    for active, those in groups.items():
        beside = [d for group, ds in groups.items() if {*group} >= {*active} for d in ds]
        used = [rows[i] for i in active]
        draws = _shares(beside, used, scores[[*active]], trees, seed)
        for d in those:
            told[names[d]] = (*_interval(draws[:, beside.index(d)]), len(active))
    frame = pd.DataFrame.from_dict(told, "index", columns=["importance", "low", "high", "trials"])
    frame.index.name = "hyperparameter"
    return frame.sort_values("importance", ascending=False, kind="stable")


def plot_importance(search: Any, ax: Axes | None = None, *, seed: int = 0) -> Axes:
    """Draws which share of the variance of the scores each hyperparameter explains.

    When to use it: as `importance_to_dataframe`, which tells how it is found, at a glance.
    Of many hyperparameters the 15 most important are drawn. Beside the name of a conditional
    one stands in how many trials it was active, among which its share is one of the variance.

    Args:
        search: A tuner, or the directory of its project; plain Keras Tuner's too.
        ax: Where to draw; a new figure by default.
        seed: Of the forests, and of the resampling.

    Raises:
        ResultsError: If there is no project, or fewer than ten trials can be compared.
        ImportError: If matplotlib, pandas, Optuna or scikit-learn is not installed.

    Example:

    ```python
    kt_plus.results.plot_importance("searches/digits").figure.savefig("importance.png")
    ```
    """
    found = read(search)
    frame = importance_to_dataframe(found, seed=seed)
    drawn = frame.head(MOST_BARS)
    ax = ax if ax is not None else new_axes()
    places = np.arange(len(drawn))
    total = min(sum(map(can_be_best, found.trials)), MOST_TRIALS)
    ax.barh(places, drawn["importance"], color=BLUE, height=0.6)
    ax.hlines(places, drawn["low"], drawn["high"], color=ORANGE, linewidth=2, label="90 % interval")
    for place, (_, row) in enumerate(drawn.iterrows()):
        share, beside = f"{100 * row['importance']:.0f} %", max(row["high"], row["importance"])
        ax.annotate(share, (beside, place), (5, 0), textcoords="offset points", va="center")
    labels = [
        name if row["trials"] == total else f"{name} (in {row['trials']:.0f} trials)"
        for name, row in drawn.iterrows()
    ]
    ax.set_yticks(places, labels, parse_math=False)
    ax.set_ylim(len(drawn) - 0.4, -0.6)
    _finish(ax, found, total, len(frame) - len(drawn))
    return ax


def _finish(ax: Axes, found: Search, total: int, left: int) -> None:
    from matplotlib.ticker import PercentFormatter

    title = f"Importance of each hyperparameter for {found.objective or 'the score'}"
    ax.set_title(f"{title}, {total} trials", loc="left", fontsize="medium")
    ax.set_xlim(0, min(max(ax.dataLim.x1 * 1.15, 0.1), 1.12))
    ax.xaxis.set_major_locator(_ticks())
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    told = f"\n{left} less important ones are not drawn" if left else ""
    ax.set_xlabel(f"share of the variance of the score that it explains alone{told}")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    ax.legend(loc="lower right", frameon=False)


def _ticks() -> Any:
    """At most at 100 %, although the axis may go on for the sake of the text."""
    from matplotlib.ticker import MaxNLocator

    class UpToOne(MaxNLocator):
        def tick_values(self, vmin: float, vmax: float) -> Any:
            return [tick for tick in super().tick_values(vmin, vmax) if tick <= 1.0]

    return UpToOne(6, steps=[1, 2, 5, 10])


def _check_installed() -> None:
    for name in ("optuna.importance", "sklearn.ensemble", "pandas"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"The importance of hyperparameters needs {name}, which is not installed. "
                'Run: pip install "kt_plus[optuna,plots]"'
            ) from error


def _comparable(found: Search) -> tuple[list[dict[Dimension, Value]], np.ndarray]:
    """The values and scores of the trials that have both, larger being better."""
    good = [trial for trial in found.trials if can_be_best(trial)]
    picked = np.linspace(0, len(good) - 1, min(len(good), MOST_TRIALS)).round().astype(int)
    good = [good[place] for place in picked]
    scores = np.array([found.sign * float(t.score or 0.0) for t in good])
    if len(good) < FEWEST or len(set(scores)) < 2:
        low = any(kind_of(trial) == "of lower fidelity" for trial in found.trials)
        told = " of full fidelity" if low else ""
        told += "" if len(good) < FEWEST else ", all of the same score"
        raise ResultsError(
            f"{found.directory!r} has {len(good)} completed trials{told}, which cannot tell how "
            f"important hyperparameters are. Expected at least {FEWEST}, with different scores. "
            "Run the search for longer; 50 trials are enough for most."
        )
    return [found.space.active(trial.values) for trial in good], _without_outliers(scores)


def _tell(active: tuple[int, ...], scores: np.ndarray) -> bool:
    """Whether the trials are enough to tell anything."""
    return len(active) >= FEWEST and len(set(scores[[*active]])) > 1


def _interval(draws: np.ndarray) -> tuple[float, float, float]:
    """The mean, and the interval of 90 %."""
    mean, spread = float(draws.mean()), 1.645 * float(draws.std(ddof=1))
    return mean, max(mean - spread, 0.0), min(mean + spread, 1.0)


def _without_outliers(scores: np.ndarray) -> np.ndarray:
    best, median = scores.max(), np.median(scores)
    return np.maximum(scores, best - FAR * (best - median)) if best > median else scores


def _groups(rows: Rows) -> dict[tuple[int, ...], list[Dimension]]:
    """The hyperparameters that vary, by the numbers of the trials in which they are active."""
    groups: dict[tuple[int, ...], list[Dimension]] = {}
    for d in dict.fromkeys(d for row in rows for d in row):
        active = tuple(i for i, row in enumerate(rows) if d in row)
        if len({rows[i][d] for i in active}) > 1:
            groups.setdefault(active, []).append(d)
    return groups


def _shares(
    dimensions: Sequence[Dimension], rows: Rows, scores: np.ndarray, trees: int, seed: int
) -> np.ndarray:
    """The share of each hyperparameter, once for each resample of the trials."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    from kt_plus.search_strategies.optuna_study import ResampledStudy

    names = [str(place) for place in range(len(dimensions))]
    distributions = dict(zip(names, map(_distribution, dimensions), strict=True))
    trials = [
        optuna.create_trial(
            params={n: _coordinate(d, row[d]) for n, d in zip(names, dimensions, strict=True)},
            distributions=distributions,
            value=score,
        )
        for row, score in zip(rows, scores.tolist(), strict=True)
    ]
    study, draws = ResampledStudy(trials), list[list[float]]()
    rng, size = np.random.default_rng(seed), min(len(trials), MOST_RESAMPLED)
    while len(draws) < RESAMPLES:
        drawn = rng.integers(len(trials), size=size)
        if len(set(scores[drawn])) > 1:
            forest = FanovaImportanceEvaluator(n_trees=trees, max_depth=DEPTH, seed=len(draws))
            told = forest.evaluate(study.of(drawn), params=names)
            draws.append([float(told[name]) for name in names])
    return np.array(draws)


def _distribution(d: Dimension) -> Any:
    """What has an order is told by its place on its own scale."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(d, Discrete) and not d.ordered:
        return CategoricalDistribution(d.choices)
    return FloatDistribution(0.0, 1.0)


def _coordinate(d: Dimension, value: Value) -> Value:
    return value if isinstance(d, Discrete) and not d.ordered else d.to_unit(value)
