"""Runs a search over a table, with any number of parallel workers on a virtual clock."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.searches import Search, Signal, Suggestion
from benchmarks.tables import Table, Value

JITTER = 0.1  # standard deviation of the logarithm of a trial's duration


@dataclass(frozen=True)
class Completed:
    """One finished trial.

    Attributes:
        values: The configuration.
        score: The observed score.
        regret: True regret of this configuration, which the search never sees.
        cost: Share of a full training that it took.
        started: Virtual time of its start.
        finished: Virtual time of its end.
        worker: The virtual worker that ran it.
    """

    values: dict[str, Value]
    score: float
    regret: float
    cost: float
    started: float
    finished: float
    worker: str


@dataclass(frozen=True)
class Run:
    """A whole search: its trials in the order in which they finished.

    Attributes:
        completed: The finished trials.
        workers: Number of virtual workers.
        seconds: Processor time spent in the search itself (asked and told), in seconds.
    """

    completed: tuple[Completed, ...]
    workers: int
    seconds: float

    def regret_after(self, budget: float) -> float:
        """Regret of what the search would return after so many full trainings.

        That is the configuration with the best *observed* score among the trials finished
        by then. A search that ended earlier, its space exhausted, keeps what it had.
        """
        spent = np.cumsum([trial.cost for trial in self.completed])
        known = [t for t, s in zip(self.completed, spent, strict=True) if s <= budget + 1e-9]
        return max(known, key=lambda trial: trial.score).regret if known else float("nan")

    @property
    def makespan(self) -> float:
        """Virtual time at which the last trial finished."""
        return self.completed[-1].finished

    @property
    def utilisation(self) -> float:
        """Share of the workers' virtual time in which they ran a trial."""
        busy = sum(trial.finished - trial.started for trial in self.completed)
        return busy / (self.makespan * self.workers)


def simulate(search: Search, table: Table, budget: float, workers: int = 1, seed: int = 0) -> Run:
    """Runs `search` until trials worth `budget` full trainings were started and finished.

    A free worker asks for a trial, which then takes the table's duration (times a
    log-normal jitter, so that no two end together). Results reach the search in the order
    in which the trials end: what it knows at every question is what an asynchronous search
    would. A worker told to wait asks again after the next result; one told to stop leaves.

    Args:
        search: Asked and told; see `benchmarks.searches`.
        table: Answers for the training.
        budget: Number of full trainings.
        workers: Number of virtual workers.
        seed: Draws noise and jitter; equal seeds give equal runs.

    Raises:
        RuntimeError: If the search makes all workers wait although no trial is running.
    """
    simulation = _Simulation(search, table, budget, workers, np.random.default_rng([seed, 1]))
    simulation.run()
    return Run(tuple(simulation.completed), workers, simulation.seconds)


@dataclass
class _Simulation:
    search: Search
    table: Table
    budget: float
    workers: int
    rng: np.random.Generator
    clock: float = 0.0
    started_cost: float = 0.0
    seconds: float = 0.0
    completed: list[Completed] = field(default_factory=list)
    # (virtual end, order of the start: breaks ties, trial)
    running: list[tuple[float, int, Suggestion, Completed]] = field(default_factory=list)
    starts: int = 0

    def run(self) -> None:
        waiting = [f"worker{number}" for number in range(self.workers)]
        while True:
            waiting = [worker for worker in waiting if self._has_to_wait(worker)]
            if not self.running:
                break
            waiting.append(self._finish_next())
        if waiting:
            raise RuntimeError(
                "The search asked every worker to wait while no trial was running, so "
                "nothing can ever change its mind. It was expected to propose a trial or "
                "to stop. Let it answer STOPPED, or propose, when nothing is running."
            )

    def _has_to_wait(self, worker: str) -> bool:
        """Offers a free worker to the search, which starts it, sends it away or lets it wait."""
        if self.started_cost >= self.budget - 1e-9:
            return False
        begun = time.process_time()
        answer = self.search.ask(worker)
        self.seconds += time.process_time() - begun
        if isinstance(answer, Suggestion):
            self._start(worker, answer)
        return answer is Signal.IDLE

    def _start(self, worker: str, suggestion: Suggestion) -> None:
        values = suggestion.values
        jitter = float(np.exp(self.rng.normal(scale=JITTER)))
        trial = Completed(
            values=values,
            score=self.table.evaluate(values, self.rng),
            regret=self.table.regret(values),
            cost=self.table.cost(values),
            started=self.clock,
            finished=self.clock + self.table.duration(values) * jitter,
            worker=worker,
        )
        self.started_cost += trial.cost
        self.starts += 1
        heapq.heappush(self.running, (trial.finished, self.starts, suggestion, trial))

    def _finish_next(self) -> str:
        """Moves the clock to the next end of a trial, reports it, and frees its worker."""
        self.clock, _, suggestion, trial = heapq.heappop(self.running)
        begun = time.process_time()
        self.search.tell(suggestion, trial.score)
        self.seconds += time.process_time() - begun
        self.completed.append(trial)
        return trial.worker
