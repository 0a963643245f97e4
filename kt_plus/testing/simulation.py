"""Searches without training: invented scores and curves, told by the values alone."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record, Signal, Value
from kt_plus.engine.ledger import CURVE
from kt_plus.engine.seeds import proposal_rng
from kt_plus.engine.space import Space
from kt_plus.search_strategies.base import Strategy
from kt_plus.testing.spaces import hyperparameters_of

Values = Mapping[str, Value]


def invented_score(values: Values) -> float:
    """A score in [0, 1) that depends on nothing but the values, told by a checksum."""
    return zlib.crc32(repr(sorted(values.items())).encode()) / 2**32


def simulate(
    strategy: Strategy,
    space: Space,
    trials: int,
    *,
    workers: int = 1,
    seed: int = 0,
    score: Callable[[Values], float | None] = invented_score,
    unused: Collection[str] = (),
) -> Iterator[tuple[History, Proposal]]:
    """Runs a search, and yields each proposal with the history before it.

    Args:
        strategy: What proposes.
        space: The search space.
        trials: How many trials to run at most.
        workers: How many trials run at once. The oldest ends first.
        seed: The seed of the proposals.
        score: The score of a configuration; `None` if it fails.
        unused: The hyperparameters that the model never asks for.

    Raises:
        AssertionError: If the strategy changes the history, or waits while no trial runs:
            it would wait for ever.

    Example:
    ```python
    for history, proposal in simulate(RandomSampling(), SPACES["flat"], trials=10):
        print(len(history), proposal.values)
    ```
    """
    history, running = History(), deque[Record]()
    while len(history) < trials:
        answer: Proposal | Signal = WAIT
        if len(running) < workers:
            known = list(history)
            answer = strategy.propose(space, history, proposal_rng(seed, len(history)))
            assert list(history) == known, f"{strategy!r} has changed the history."
        if isinstance(answer, Proposal):
            yield History(history), answer
            ends = len(history) - len(running)
            running.append(_begun(str(len(history)), answer, ends))
            history.put(running[-1])
        elif running:
            ends = len(history) - len(running)
            trial = running.popleft()
            history.put(_ended(trial, ends, score(trial.values), unused))
        elif answer is DONE:
            return
        else:
            raise AssertionError(f"{strategy!r} answered {answer!r} though no trial is running.")


def _begun(trial_id: str, proposal: Proposal, ends: int) -> Record:
    return Record(
        trial_id,
        proposal.values,
        rung=proposal.rung,
        parent=proposal.parent,
        seen=ends,
        memo=proposal.memo,
    )


def _ended(trial: Record, place: int, score: float | None, unused: Collection[str]) -> Record:
    trial = replace(trial, ended=place)
    if score is None:
        return replace(trial, status="failed")
    curve = tuple(score * epoch / 3 for epoch in (1, 2, 3))
    names = frozenset(unused) & trial.values.keys()
    return replace(trial, status="completed", score=score, curve=curve, unused=names)


def trace(strategy: Strategy, space: Space, trials: int = 30) -> list[tuple[Any, ...]]:
    """What the strategy proposes in a simulated search, every difference visible."""
    return [told(proposal) for _, proposal in simulate(strategy, space, trials, workers=2)]


def told(answer: Proposal | Signal) -> tuple[Any, ...]:
    """The answer in a form in which 1, 1.0 and True differ, and the order of names does not."""
    if isinstance(answer, Signal):
        return (answer.value,)
    values = tuple((name, repr(value)) for name, value in sorted(answer.values.items()))
    return values, answer.parent, tuple(answer.changed), answer.rung


def searched_values(
    strategy: Strategy, space: Space, direction: Literal["max", "min"], trials: int = 15
) -> list[Values]:
    """The values of the trials of a `kt_plus.Oracle`, run in a tuner of Keras Tuner's.

    Args:
        strategy: What proposes.
        space: The search space.
        direction: "max" to maximise the invented score, "min" to minimise its negative.
        trials: How many trials to run at most.
    """
    import keras_tuner

    from kt_plus.engine.oracle import Oracle

    sign = 1 if direction == "max" else -1

    class Invented(keras_tuner.engine.base_tuner.BaseTuner):  # type: ignore[misc]
        def run_trial(self, trial: Any, verbose: int) -> float:
            score = sign * invented_score(trial.hyperparameters.values)
            for epoch in (0, 1):
                self.oracle.update_trial(trial.trial_id, {CURVE + "score": score}, step=epoch)
            return score

    objective = keras_tuner.Objective("score", direction)
    oracle = Oracle(objective, trials, hyperparameters_of(space), seed=3, strategy=strategy)
    with tempfile.TemporaryDirectory() as folder:
        Invented(oracle, directory=folder, project_name="search").search(verbose=0)
    return [oracle.trials[trial_id].hyperparameters.values for trial_id in oracle.start_order]


def invented_history(seed: int, trials: int = 14, epochs: int = 20) -> History:
    """Finished, stopped, failed and running trials whose curves rise towards limits of their own.

    The values are multiples of 1/1024, so that shifting them by whole numbers is exact.

    Args:
        seed: Which history; each is different.
        trials: How many trials, the last four of them still running.
        epochs: How many epochs a full trial has.
    """
    rng, history = np.random.default_rng(seed), History()
    for i in range(trials):
        limit, pace = rng.uniform(0.2, 1.0), rng.uniform(1.0, 8.0)
        rise = limit * (1 - np.exp(-np.arange(1, epochs + 1) / pace))
        values = np.round(1024 * (rise + rng.normal(0, 0.01, epochs))) / 1024
        curve = tuple(values[: epochs if i % 3 else epochs // 2].tolist())
        first = int(i % 5 == 4)
        trial = Record(
            str(i), {"x": float(limit)}, curve=curve, first_epoch=first, horizon=epochs + first
        )
        if i < trials - 4 and i % 6 == 5:
            trial = replace(trial, status="failed")
        elif i < trials - 4:
            trial = replace(trial, status="completed", score=max(curve))
        history.put(trial)
    return history


def in_another_process(task: Callable[..., Any], *arguments: Any) -> Any:
    """What `task(*arguments)` returns in a fresh interpreter that hashes strings differently.

    Args:
        task: A function of a module.
        *arguments: What to call it with; pickle has to be able to copy it.

    Raises:
        AssertionError: If it cannot be copied, or the call fails there.
    """
    code = (
        "import pickle, sys; out, sys.stdout = sys.stdout.buffer, sys.stderr; "
        "task, arguments = pickle.load(sys.stdin.buffer); pickle.dump(task(*arguments), out)"
    )
    try:
        payload = pickle.dumps((task, arguments))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(
            f"{arguments} cannot be sent to another process ({error}). Expected objects that "
            "pickle can copy: define their classes, and the functions they hold, in a module."
        ) from error
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    changes = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, input=payload, capture_output=True, env={**os.environ, **changes}
    )
    if done.returncode:
        raise AssertionError(f"The other process failed:\n{done.stderr.decode()}")
    return pickle.loads(done.stdout)
