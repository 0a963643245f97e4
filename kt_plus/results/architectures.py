"""Pictures of the networks that a search of architectures has tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kt_plus.engine.ledger import without_reserved
from kt_plus.errors import ResultsError
from kt_plus.results.overview import best_trial, can_be_best
from kt_plus.results.plots import BLUE, GREY, ORANGE, new_axes
from kt_plus.results.reading import Trial, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kt_plus.search_spaces import Graph

SIZES = {"parameters": "parameters", "flops": "multiply-adds for an example"}


class Network(NamedTuple):
    """A completed trial's network: its size, its score in the user's sign, and who it is."""

    size: int
    score: float
    trial_id: str


def plot_architecture(
    search: Any, trial_id: str | None = None, ax: Axes | None = None, *, space: Any = None
) -> Axes:
    """Draws the network of a trial.

    When to use it: to look at what an architecture search has found.

    Args:
        search: A tuner, or the directory of its project.
        trial_id: The id of the trial; the best one by default.
        ax: Where to draw; a new figure, as large as the network needs, by default.
        space: The search space, such as a `kt_plus.search_spaces.ChainSpace`; that of the tuner
            by default.

    Raises:
        ResultsError: If there is no such project or trial, or no search space.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_architecture(tuner).figure.savefig("best.png")
    ```
    """
    found, space = read(search), _space_of(search, space)
    trials = {trial.trial_id: trial for trial in found.trials}
    trial = best_trial(found.trials, found.sign) if trial_id is None else trials.get(str(trial_id))
    if trial is None:
        wanted = "completed trial" if trial_id is None else f"trial {trial_id!r}"
        raise ResultsError(
            f"The project {found.directory!r} has no {wanted}. Its trials are "
            f"{', '.join(trials) or 'none yet'}. Choose one of them, or run the search first."
        )
    graph = _graph(trial, space)
    ax = graph.plot(ax)
    score = "" if trial.score is None else f", {found.objective} {trial.score:.4g}"
    ax.set_title(f"trial {trial.trial_id}{score}: {graph.parameters:,} parameters")
    return ax


def plot_trade_off(
    search: Any, by: str = "parameters", ax: Axes | None = None, *, space: Any = None
) -> Axes:
    """Draws how good each network is against its size, and the best of each size.

    When to use it: to choose the smallest network that is good enough. The line joins those
    that no smaller one beats: the Pareto front.

    Args:
        search: A tuner, or the directory of its project.
        by: "parameters", or "flops".
        ax: Where to draw; a new figure by default.
        space: The search space; that of the tuner by default.

    Raises:
        ResultsError: If there is no such project or size, no completed trial or no search space.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    kt_plus.results.plot_trade_off(tuner, by="flops").figure.savefig("sizes.png")
    ```
    """
    if by not in SIZES:
        raise ResultsError(
            f"by={by!r} was given. Expected 'parameters' or 'flops'. Choose one of them."
        )
    found, space = read(search), _space_of(search, space)
    completed = [trial for trial in found.trials if can_be_best(trial)]
    if not completed:
        raise ResultsError(
            f"No trial of {found.directory!r} has completed. Expected one at least. Run the "
            "search first."
        )
    networks = [
        Network(getattr(_graph(trial, space), by), float(trial.score or 0.0), trial.trial_id)
        for trial in completed
    ]
    front = pareto_front(networks, found.sign)
    ax = ax if ax is not None else new_axes()
    ax.scatter([n.size for n in networks], [n.score for n in networks], color=GREY, alpha=0.6, s=22)
    sizes, scores = [n.size for n in front], [n.score for n in front]
    ax.step(sizes, scores, where="post", color=BLUE, linewidth=1.2)
    ax.scatter(sizes, scores, color=ORANGE, zorder=3, s=34, label="no smaller one is better")
    ax.set_xscale("log")
    ax.set(xlabel=SIZES[by], ylabel=found.objective, title=f"{len(networks)} networks")
    ax.legend()
    ax.grid(alpha=0.3)
    return ax


def pareto_front(networks: list[Network], sign: int) -> list[Network]:
    """Those that are better than all that are no larger, the smallest first."""
    front: list[Network] = []
    for network in sorted(networks, key=lambda n: (n.size, -sign * n.score)):
        if not front or sign * network.score > sign * front[-1].score:
            front.append(network)
    return front


def _space_of(search: Any, space: Any) -> Any:
    space = space if space is not None else getattr(search, "hypermodel", None)
    if not hasattr(space, "graph"):
        raise ResultsError(
            "There is no search space of architectures to tell the networks by: "
            f"{type(space).__name__} has no method `graph`. Give a tuner of such a space, or "
            "space=kt_plus.search_spaces.ChainSpace(...), the one that was searched."
        )
    return space


def _graph(trial: Trial, space: Any) -> Graph:
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    hp.values = without_reserved(trial.values)
    graph: Graph = space.graph(hp)
    return graph
