"""The policy as a fold over the history: what each result, in the order of ends, has taught."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kt_plus.engine.history import History, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.reinforcement_learning.adam import Adam
from kt_plus.search_strategies.reinforcement_learning.algorithms import Algorithm, Batch
from kt_plus.search_strategies.reinforcement_learning.choices import Array, Choices
from kt_plus.search_strategies.reinforcement_learning.controller import Controller
from kt_plus.search_strategies.reinforcement_learning.rewards import moving_average, rewards_of


@dataclass(frozen=True)
class Settings:
    """Everything that decides how the policy learns.

    Args:
        algorithm: How results change the policy.
        units: The width of the LSTM; 0 for independent softmaxes.
        learning_rate: By how much a logit moves in one step, at most.
        network_rate: The same for the LSTM's weights, each of which moves many logits.
        reward: One of `rewards.REWARDS`.
        baseline_decay: What remains, when one more result has come, of a result's weight in
            the baseline, in [0, 1).
        smoothness: The width of the bumps that make the logits of an ordered
            hyperparameter, as a share of its range; 0 for plain bins.
    """

    algorithm: Algorithm
    units: int
    learning_rate: float
    network_rate: float
    reward: str
    baseline_decay: float
    smoothness: float


def in_order_of_ends(history: History) -> tuple[list[Record], list[Record]]:
    """The trials that have ended, in the order in which they did, and those that run.

    Those of which the order is unknown, such as trials of an earlier search, come first,
    in the order of the history. So it is a function of the history alone: a resumed search
    folds in the same order as the uninterrupted one.
    """
    ended = [record for record in history if record.status != "running"]
    ended.sort(key=lambda record: -1 if record.ended is None else record.ended)
    return ended, [record for record in history if record.status == "running"]


class Learner:
    """The policy after some results; `advance` takes further ones.

    It holds nothing that those results do not tell: folding them again, from none, gives
    the same policy to the last bit, since each result is worked on alone and each batch
    is made of the same results, however many of them are new.

    Args:
        space: The hyperparameters.
        settings: How the policy learns.
    """

    def __init__(self, space: Space, settings: Settings) -> None:
        self.space, self.settings = space, settings
        self.controller = Controller(space, settings.units, settings.smoothness)
        self.parameters = self.controller.layout.initial()
        shared = self.controller.layout.is_shared()
        rates = np.where(shared, settings.network_rate, settings.learning_rate)
        self.optimiser = Adam.begin(rates)
        self.baseline = 0.0
        self.records: list[Record] = []
        self._scores: list[float] = []
        self._choices: list[Choices] = []
        self._behaviour: list[Array] = []
        # The parameters after each update, kept while some trial chosen by them has not ended.
        self._versions: dict[int, Array] = {0: self.parameters}

    def can_follow(self, space: Space, ended: Sequence[Record], running: Sequence[Record]) -> bool:
        """Whether going on from here is the same as folding these records from none."""
        known = len(self.records)
        if self.space.by_name != space.by_name or known > len(ended):
            return False
        origins = self._origins(ended, [*ended[known:], *running])
        return all(version in self._versions for version in origins) and all(
            a is b or a == b for a, b in zip(self.records, ended, strict=False)
        )

    def advance(self, ended: Sequence[Record], running: Sequence[Record]) -> None:
        """Learns from the trials that have ended and are not known yet.

        Args:
            ended: All trials that have ended, in the order of ends.
            running: The trials that have not.
        """
        for _ in self.advancing(ended, running):
            pass

    def advancing(self, ended: Sequence[Record], running: Sequence[Record]) -> Iterator[bool]:
        """The same one by one: after each trial, whether the policy was updated."""
        fresh = ended[len(self.records) :]
        origins = self._origins(ended, [*fresh, *running])
        for i, record in enumerate(fresh):
            self._take(record, self._versions[min(origins[i], self._updates)])
            updated = len(self.records) % self.settings.algorithm.batch_size == 0
            if updated:
                self._learn()
                self._forget(origins[i + 1 :])
            yield updated

    def _origins(self, ended: Sequence[Record], records: Sequence[Record]) -> list[int]:
        """How many updates the policy had seen that proposed each of the records.

        A trial of which that is unknown counts as a draw from the untaught policy.
        """
        ends = [-1 if record.ended is None else record.ended for record in ended]
        size = self.settings.algorithm.batch_size
        return [0 if r.seen is None else bisect_left(ends, r.seen) // size for r in records]

    def _take(self, record: Record, chosen_by: Array) -> None:
        choices = self.controller.encode(self.space, record)
        told = self.controller.evaluate(chosen_by, choices)
        self.records.append(record)
        self._scores.append(record.fitness if record.status == "completed" else np.nan)
        self._choices.append(choices)
        self._behaviour.append(told.log_probability)

    def _learn(self) -> None:
        settings, window = self.settings, self.settings.algorithm.window
        rewards = rewards_of(np.array(self._scores), settings.reward)
        self.baseline = moving_average(rewards, settings.baseline_decay)
        batch = Batch(
            Choices.stack(self._choices[-window:]),
            rewards[-window:] - self.baseline,
            np.concatenate(self._behaviour[-window:]),
        )
        self.parameters, self.optimiser = settings.algorithm.learn(
            self.controller, self.parameters, self.optimiser, batch
        )
        self._versions[self._updates] = self.parameters

    @property
    def _updates(self) -> int:
        return len(self.records) // self.settings.algorithm.batch_size

    def _forget(self, needed: Sequence[int]) -> None:
        """Drops the policies by which no trial was chosen that is still to come."""
        keep = {0, self._updates, *needed}
        self._versions = {v: p for v, p in self._versions.items() if v in keep}
