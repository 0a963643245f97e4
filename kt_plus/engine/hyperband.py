"""Keras Tuner's Hyperband, whose brackets are rebuilt from the trials."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

import keras_tuner
import numpy as np

from kt_plus.engine import project
from kt_plus.engine.history import DONE, WAIT, Proposal, Record, Signal
from kt_plus.engine.objectives import resolve
from kt_plus.engine.oracle import Oracle

_Hyperband = keras_tuner.oracles.HyperbandOracle


class HyperbandOracle(Oracle, _Hyperband):
    """Keras Tuner's Hyperband, whose brackets are rebuilt from its trials after a crash.

    See `kt_plus.Hyperband` for its arguments. Two deviations from Keras Tuner's: a bracket that
    cannot be filled, because all configurations have been tried, is halved with what it has
    (keras-tuner#676); and failed trials count as the worst of their round, so that the others
    of a round in which some failed are promoted.
    """

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **options: Any,
    ) -> None:
        _Hyperband.__init__(
            self,
            objective=resolve(objective),
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
            hyperparameters=hyperparameters,
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        self._set_up(seed, None, **options)

    def propose(self, trial_id: str) -> Proposal | Signal:
        if self.knowledge.waiting:
            return WAIT
        # Hyperband promotes the best of a full round: what is excluded there is the worst.
        with _trials_as_learnt(self):
            answer = self._promoted(trial_id) or _Hyperband.populate_space(self, trial_id)
        self.knowledge.waiting = answer["status"] == "IDLE"
        if answer["status"] != "RUNNING":
            return WAIT if self.knowledge.waiting else DONE
        values = answer["values"]
        return Proposal(values, values.get("tuner/trial_id"), rung=values["tuner/round"])

    def needed_trials(self) -> Collection[str]:
        rounds = (info for bracket in self._brackets for info in bracket["rounds"])
        return {info["id"] for each in rounds for info in each}

    def _promoted(self, trial_id: str) -> dict[str, Any] | None:
        """The values of a trial that goes on from one of a bracket that has been filled."""
        self._remove_completed_brackets()
        for bracket in self._brackets:
            filled = len(bracket["rounds"][0]) >= self._get_size(bracket["bracket_num"], 0)
            if filled and (answer := self._promoted_in(bracket, trial_id)):
                return answer
        return None

    def _promoted_in(self, bracket: dict[str, Any], trial_id: str) -> dict[str, Any] | None:
        """The best of the first round of which enough trials have ended to be sure of it."""
        number, rounds = bracket["bracket_num"], bracket["rounds"]
        full = self._get_size(number, 0)
        coming = len(rounds[0])  # how many trials the round before will have had
        for round_num, (earlier, later) in enumerate(pairwise(rounds), 1):
            size = self._get_size(number, round_num)
            if len(rounds[0]) < full:
                size = math.ceil(len(rounds[0]) / self.factor**round_num)
            taken = {info["past_id"] for info in later}
            left = [self.trials[info["id"]] for info in earlier if info["id"] not in taken]
            ended = [trial for trial in left if trial.status in project.ENDED]
            best = self._best_of(ended)
            if best is not None and len(ended) > coming - size:
                later.append({"past_id": best.trial_id, "id": trial_id})
                return {"status": "RUNNING", "values": self._values_of(best, number, round_num)}
            failed = sum(trial.status == "FAILED" for trial in ended)
            coming = min(size, coming - failed)
        return None

    def _best_of(self, trials: list[Any]) -> Any:
        completed = [trial for trial in trials if trial.status == "COMPLETED"]
        return max(completed, key=lambda trial: self.sign * trial.score, default=None)

    def _values_of(self, best: Any, bracket_num: int, round_num: int) -> dict[str, Any]:
        return {
            **best.hyperparameters.values,
            "tuner/trial_id": best.trial_id,
            "tuner/epochs": self._get_epochs(bracket_num, round_num),
            "tuner/initial_epoch": self._get_epochs(bracket_num, round_num - 1),
            "tuner/bracket": bracket_num,
            "tuner/round": round_num,
        }

    # Overridden because Keras Tuner's ends the search here, with all trials at few epochs.
    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = super()._random_trial(trial_id, bracket)
        exhausted = answer["status"] != "RUNNING" and bool(bracket["rounds"][0])
        return (exhausted and self._promoted_in(bracket, trial_id)) or answer

    # Overridden because Keras Tuner's goes on with what the search was begun with, and does not
    # say so (keras-tuner#234).
    def set_state(self, state: dict[str, Any]) -> None:
        iterations, given = self.hyperband_iterations, (self.max_epochs, self.factor)
        super().set_state(state)
        self.hyperband_iterations = iterations
        if given != (self.max_epochs, self.factor):
            warnings.warn(
                f"The project {project.directory(self)} goes on with what it was begun with, "
                f"max_epochs={self.max_epochs} and factor={self.factor}, although now "
                f"max_epochs={given[0]} and factor={given[1]} were given: its brackets follow "
                "from them. Choose another `project_name` for another search.",
                stacklevel=2,
            )

    def reload(self) -> None:
        super().reload()
        with self._lock:
            self._replay()
        # With fewer than have been made Keras Tuner's would never end.
        self.hyperband_iterations = max(self.hyperband_iterations, self._current_iteration + 1)

    def _replay(self) -> None:
        """Fills the brackets with the trials in the order in which they started."""
        self._current_iteration = 0
        self._current_bracket = self._get_num_brackets() - 1
        self._brackets = []
        self._start_new_bracket()
        for trial_id in self.start_order:
            past_id = self.trials[trial_id].hyperparameters.values.get("tuner/trial_id")
            self._place(trial_id, past_id)

    def _place(self, trial_id: str, past_id: str | None) -> None:
        self._remove_completed_brackets()
        for bracket in self._brackets:
            rounds = bracket["rounds"]
            if past_id is None and len(rounds[0]) < self._get_size(bracket["bracket_num"], 0):
                rounds[0].append({"past_id": None, "id": trial_id})
                return
            for earlier, later in pairwise(rounds):
                if past_id in [info["id"] for info in earlier]:
                    later.append({"past_id": past_id, "id": trial_id})
                    return
        if past_id is None:
            self._increment_bracket_num()
            self._start_new_bracket()
            self._place(trial_id, None)


@contextlib.contextmanager
def _trials_as_learnt(oracle: Oracle) -> Iterator[None]:
    """Shows stopped trials to Keras Tuner with the scores that the search learns from.

    An excluded trial is the worst one of its round. The lock of the oracle must be held.
    """
    learnt, observed = oracle.knowledge.learnt, oracle.trials
    if learnt is not oracle.history:
        oracle.trials = {
            trial_id: _as_learnt(trial, learnt.get(trial_id), oracle.sign)
            for trial_id, trial in observed.items()
        }
    try:
        yield
    finally:
        oracle.trials = observed


def _as_learnt(trial: Any, record: Record | None, sign: int) -> Any:
    if trial.status != "COMPLETED" or record is None:
        return trial
    score = record.score if record.status == "completed" else -np.inf
    shown = copy.copy(trial)
    shown.score = None if score is None else sign * score
    shown.status = "FAILED" if score is None else "COMPLETED"
    return shown
