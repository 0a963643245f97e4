"""What the policy of a search by reinforcement learning preferred, from its start on."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kt_plus.errors import ResultsError
from kt_plus.search_strategies.reinforcement_learning import Policy, PolicySampling

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072B2", "#D55E00"
CATEGORIES = (  # Okabe and Ito's, which the colour-blind tell apart; the last is for the rest
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#BBBBBB"),
)

NAMED = len(CATEGORIES)
"""So many values have a name in the picture."""

LEGEND_WIDTH = 20
"""So many letters a name has there."""


def policy_to_dataframe(search: Any, points: int = 50) -> pd.DataFrame:
    """The probability of every value of every hyperparameter, as the search went on.

    When to use it: to see what a search by reinforcement learning has learnt, how sure it
    is, and whether it still explores.

    Args:
        search: A `kt_plus.ReinforcementLearning`, or its oracle.
        points: At how many moments at most, spread evenly over the results so far.

    Returns:
        A data frame with one row for each moment, hyperparameter and value:

        - `trials`: after how many results.
        - `hyperparameter`, `value`: of a number with many values, a range of them.
        - `probability`: of that value where the hyperparameter is active; `activity`: the
          probability that it is.
        - `entropy`: of a whole configuration, in nats; `baseline`: the reward expected of a
          result, in standard deviations.

    Raises:
        ResultsError: If the search does not learn a policy.
        ImportError: If pandas is not installed.

    Example:

    ```python
    frame = kt_plus.results.policy_to_dataframe(tuner)
    frame[frame.hyperparameter == "activation"].pivot(
        index="trials", columns="value", values="probability"
    )
    ```
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            'A data frame needs pandas, which is not installed. Run: pip install "kt_plus[plots]"'
        ) from error
    rows = [
        (p.trials, name, value, probability, p.activity[name], p.entropy, p.baseline)
        for p in _policies(search, points)
        for name, of_each in p.probabilities.items()
        for value, probability in of_each.items()
    ]
    columns = ("trials", "hyperparameter", "value", "probability", "activity")
    return pd.DataFrame(rows, columns=[*columns, "entropy", "baseline"])


def plot_policy(search: Any, points: int = 50) -> Figure:
    """Draws the policy as the search went on: what it preferred, how surely, what it expected.

    When to use it: as `policy_to_dataframe`, at a glance. Each hyperparameter has a field
    in which the share of a colour is the probability of a value where the hyperparameter is
    active (of many categories the likeliest are named); the last field has the entropy and
    the baseline.

    Args:
        search: A `kt_plus.ReinforcementLearning`, or its oracle.
        points: At how many moments at most, spread evenly over the results so far.

    Raises:
        ResultsError: If the search does not learn a policy.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_policy(tuner).savefig("policy.png")
    ```
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            'A picture needs matplotlib, which is not installed. Run: pip install "kt_plus[plots]"'
        ) from error
    found = _policies(search, points)
    names = list(dict.fromkeys(name for policy in found for name in policy.probabilities))
    count = len(names) + 1
    columns = min(count, 2 if count == 4 else 3)
    rows = math.ceil(count / columns)
    size = (4.0 * columns, 2.6 * rows)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    fields = list(grid.flat)
    for name, ax in zip(names, fields, strict=False):
        _draw_probabilities(ax, found, name)
    _draw_entropy(fields[len(names)], found)
    for ax in fields[len(names) + 1 :]:
        ax.set_axis_off()
    return figure


def _policies(search: Any, points: int) -> list[Policy]:
    oracle = getattr(search, "oracle", search)
    strategy = getattr(oracle, "strategy", None)
    if not isinstance(strategy, PolicySampling):
        raise ResultsError(
            f"{search!r} does not learn a policy. Expected a kt_plus.ReinforcementLearning, or "
            "its oracle, in the process that proposes the trials: use that."
        )
    return strategy.policies(oracle.space, oracle.history, points)


def _draw_probabilities(ax: Axes, found: Sequence[Policy], name: str) -> None:
    """The shares of the values, stacked, and beside them what each colour stands for."""
    there = [policy for policy in found if name in policy.probabilities]
    trials = [policy.trials for policy in there]
    shares = {
        value: [policy.probabilities[name][value] for policy in there]
        for value in there[-1].probabilities[name]
    }
    ordered = name in there[-1].ordered
    shares = shares if ordered else _with_the_rest_in_one(shares)
    colours = _colours(len(shares), ordered)
    if len(trials) == 1:  # a moment has no width
        trials, shares = [trials[0], trials[0] + 1], {v: 2 * p for v, p in shares.items()}
    areas = ax.stackplot(trials, [*shares.values()], colors=colours)
    for area in areas:
        area.set(edgecolor="face", linewidth=0.3)  # without an edge, seams shine through
    ax.set(ylabel="probability", ylim=(0, 1))
    _finish(ax, name, found)
    if len(shares) <= NAMED:
        _name_areas(ax, areas, list(shares))
    else:
        _draw_scale(ax, colours, list(shares))


def _with_the_rest_in_one(shares: dict[str, list[float]]) -> dict[str, list[float]]:
    """Of many categories the likeliest at the end, and all others together."""
    if len(shares) <= NAMED:
        return shares
    likeliest = sorted(shares, key=lambda value: shares[value][-1])[1 - NAMED :]
    rest = [p for value, p in shares.items() if value not in likeliest]
    named = {value: p for value, p in shares.items() if value in likeliest}
    return named | {f"{len(rest)} others": [sum(p) for p in zip(*rest, strict=True)]}


def _colours(count: int, ordered: bool) -> Sequence[Any]:
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 1, count))) if ordered else CATEGORIES[:count]


def _name_areas(ax: Axes, areas: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend beside the field, from top to bottom as the areas are."""
    legend = ax.legend(
        areas[::-1],
        [" "] * len(labels),  # a label that begins with _ would be left out
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize="x-small",
        handlelength=1.0,
    )
    for text, label in zip(legend.get_texts(), reversed(_told_apart(labels)), strict=True):
        text.set(text=label, parse_math=False)


def _draw_scale(ax: Axes, colours: Sequence[Any], labels: Sequence[str]) -> None:
    """A bar of the colours beside the field, with some of the numbers that they stand for."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    last = len(labels) - 1
    scale = ScalarMappable(Normalize(-0.5, last + 0.5), ListedColormap(colours))
    bar = ax.figure.colorbar(scale, cax=ax.inset_axes((1.03, 0.0, 0.04, 1.0)))
    places = [round(share * last) for share in (0, 0.25, 0.5, 0.75, 1)]
    ends = [labels[place].split(" to ")[-1 if place == last else 0] for place in places]
    bar.set_ticks(places, labels=ends, fontsize="x-small")


def _draw_entropy(ax: Axes, found: Sequence[Policy]) -> None:
    trials = [policy.trials for policy in found]
    style: dict[str, Any] = {"marker": "o" if len(found) == 1 else None, "clip_on": False}
    ax.plot(trials, [policy.entropy for policy in found], color=BLUE, **style)
    ax.set_ylim(0, None)
    ax.set_ylabel("entropy (nats)", color=BLUE)
    _finish(ax, "entropy, baseline", found)
    other = ax.twinx()
    baseline = [policy.baseline for policy in found]
    other.plot(trials, baseline, color=ORANGE, linestyle="--", **style)
    other.set_ylabel("baseline (deviations)", color=ORANGE)


def _finish(ax: Axes, title: str, found: Sequence[Policy]) -> None:
    from matplotlib.ticker import MaxNLocator

    lines = textwrap.wrap(title, 40, max_lines=3, break_long_words=False, placeholder=" …")
    text = "\n".join(_shortened(line, 40) for line in lines)
    ax.set_title(text, fontsize="medium", parse_math=False)
    ax.set(xlabel="results", xlim=(0, max(found[-1].trials, 1)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _told_apart(labels: Sequence[str]) -> list[str]:
    """The labels, short; of long ones without what all of them begin with."""
    long = [label for label in labels if len(label) > LEGEND_WIDTH]
    columns = enumerate(zip(*long, strict=False)) if len(long) > 1 else ()
    alike = next((place for place, letters in columns if len(set(letters)) > 1), 0)
    cut = [f"…{label[alike:]}" if label in long and alike > 3 else label for label in labels]
    return [_shortened(label, LEGEND_WIDTH) for label in cut]


def _shortened(text: str, length: int) -> str:
    """Its beginning and its end: names that are long often differ there."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"
