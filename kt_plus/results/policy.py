"""What the policy of a search by reinforcement learning preferred, from its start on."""

from __future__ import annotations

import math
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
    in which the share of a colour is the probability of a value; the last field has the
    entropy and the baseline.

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
    columns = math.ceil(math.sqrt(len(names) + 1))
    rows = math.ceil((len(names) + 1) / columns)
    size = (3.6 * columns, 2.4 * rows)
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
    from matplotlib import colormaps

    there = [policy for policy in found if name in policy.probabilities]
    labels = list(there[-1].probabilities[name])
    trials = [policy.trials for policy in there]
    shares = np.array([list(policy.probabilities[name].values()) for policy in there]).T
    # Few values are told by their names; of many, the colours show the order.
    few = len(labels) <= 8
    colours = colormaps["viridis"](np.linspace(0, 1, len(labels)))
    ax.stackplot(trials, shares, labels=labels if few else (), colors=colours)
    ax.set(title=name, ylim=(0, 1), xlim=(0, max(trials[-1], 1)))
    if few:
        ax.legend(fontsize="x-small", loc="upper left", framealpha=0.7)
    else:
        ax.set_ylabel(f"from {labels[0]}\nto {labels[-1]}", fontsize="x-small")


def _draw_entropy(ax: Axes, found: Sequence[Policy]) -> None:
    trials = [policy.trials for policy in found]
    ax.plot(trials, [policy.entropy for policy in found], color=BLUE, label="entropy (nats)")
    ax.set(title="entropy, baseline", xlabel="results", ylim=(0, None))
    ax.yaxis.label.set_color(BLUE)
    other = ax.twinx()
    baseline = [policy.baseline for policy in found]
    other.plot(trials, baseline, color=ORANGE, linestyle="--", label="baseline")
    lines = [*ax.get_lines(), *other.get_lines()]
    ax.legend(lines, [str(line.get_label()) for line in lines], fontsize="x-small")
