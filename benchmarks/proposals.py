"""What a proposal costs late in a search: `python -m benchmarks.proposals --help`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.reporting import positive, print_table, versions
from benchmarks.tables import Synthetic
from kt_plus.engine.history import History, Proposal, Record
from kt_plus.engine.seeds import proposal_rng
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import Strategy
from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning

STRATEGIES: dict[str, Callable[[int], Strategy]] = {
    "EvolutionarySearch": evolution,
    "ReinforcementLearning": reinforcement_learning,
    "ReinforcementLearning(algorithm='reinforce')": lambda trials: reinforcement_learning(
        trials, algorithm="reinforce"
    ),
    "ReinforcementLearning(controller='independent')": lambda trials: reinforcement_learning(
        trials, controller="independent"
    ),
}


@dataclass(frozen=True)
class Cost:
    """Seconds of one core that proposals took, whatever else ran on the machine.

    Attributes:
        first: The first one, which folds the whole history, as after a restart.
        later: Each of those after it, in order.
    """

    first: float
    later: Sequence[float]


def random_history(space: Space, table: Synthetic, trials: int) -> History:
    """A finished search of configurations drawn at random, one worker."""
    rng = np.random.default_rng(0)
    history = History()
    for i in range(trials):
        history.put(_completed(Record(str(i), space.draw(rng), seen=i), table, rng, i))
    return history


def measure(strategy: Strategy, trials: int, proposals: int) -> Cost:
    """Times proposals on the synthetic space after so many trials, each then completed."""
    table, rng = Synthetic(0), np.random.default_rng(1)
    space = Space.from_hyperparameters(table.hyperparameters().space)
    history = random_history(space, table, trials)
    seconds = []
    for number in range(trials, trials + proposals + 1):
        begun = time.thread_time()
        proposal = strategy.propose(space, history, proposal_rng(0, number))
        seconds.append(time.thread_time() - begun)
        if isinstance(proposal, Proposal):
            record = Record(str(number), proposal.values, seen=number)
            history.put(_completed(record, table, rng, number))
    return Cost(seconds[0], seconds[1:])


def _completed(record: Record, table: Synthetic, rng: np.random.Generator, place: int) -> Record:
    score = table.evaluate(record.values, rng)
    return replace(record, status="completed", score=score, unused=frozenset(), ended=place)


def row(label: str, cost: Cost) -> list[str]:
    """The cells of one line."""
    later = [1000 * seconds for seconds in cost.later]
    figures = (np.median(later), np.mean(later), max(later))
    return [label, *(f"{figure:.1f}" for figure in figures), f"{cost.first:.1f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one strategy after another and prints one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proposals", description=__doc__)
    parser.add_argument("--trials", type=positive, default=2_000, help="trials before the first")
    parser.add_argument("--proposals", type=positive, default=100, help="proposals that are timed")
    options = parser.parse_args(arguments)
    lines = [["strategy", "median (ms)", "mean (ms)", "longest (ms)", "first, after a restart (s)"]]
    for label, make in STRATEGIES.items():
        budget = options.trials + options.proposals
        lines.append(row(label, measure(make(budget), options.trials, options.proposals)))
    print(f"A proposal after {options.trials:,} trials, 20 hyperparameters; {versions()}\n")
    print_table(lines)


if __name__ == "__main__":
    main()
