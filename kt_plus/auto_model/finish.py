"""The final training: what is made of the best trials while the allowance lasts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from kt_plus.auto_model.baselines import CONSTANT, Rivals
from kt_plus.auto_model.budget import Limit, Pace
from kt_plus.auto_model.division import Split
from kt_plus.auto_model.ensemble import Member, seed_member, train
from kt_plus.auto_model.project import Project
from kt_plus.auto_model.search import Search
from kt_plus.auto_model.task import Task
from kt_plus.errors import BudgetError

CLOSING = 2.0
"""How many times as long as loading and judging one network the end of a fit takes."""

TRIALS_OF_A_MEMBER = 2
"""Of so many trials one architecture comes into the ensemble: the worse half never does."""


class Finish:
    """The final training of one fit.

    Args:
        search: The search, ended.
        task: The task.
        split: The data.
        project: Where finished networks are kept, so that none is trained twice.
        pace: How long things take.
    """

    def __init__(
        self, search: Search, task: Task, split: Split, project: Project, pace: Pace
    ) -> None:
        self.search, self.task, self.split = search, task, split
        self.project, self.pace = project, pace
        self.allowance, self.training = search.allowance, search.training
        self._closing = 0.0  # seconds from the end of the last training to that of fit

    def members(self, rivals: Rivals) -> list[Member]:
        """The networks: the best of the search, and others that have left out other folds.

        A network that is no better than a constant is left out, as one that diverged or whose
        time was too short.
        """
        trials = self.search.best()
        if not trials:
            self.search.tuner.get_best_models()  # which says so if all have failed
            spent = self.allowance.budget.seconds
            raise BudgetError(
                f"No trial has ended within {self.allowance}; {spent:,.0f} s are spent, those of "
                "earlier sessions and of preparing the data included. Give more, and go on."
            )
        leader = self._leader(trials[0])
        others = [member for member in self._others(trials) if _is_of_use(member, rivals)]
        return [leader, *others]

    def _leader(self, trial: Any) -> Member:
        """The best trial's network; if it is to stand alone, trained anew if that is better."""
        began = time.monotonic()
        model = self.search.tuner.get_best_models()[0]
        held_out = self.split.held_out(0)
        found = Member.of(self.task, trial.trial_id, 0, model, held_out)
        # Judging the last network, joining all and writing them takes about as long again.
        self._closing = CLOSING * (time.monotonic() - began)
        if self.search.members > 1:
            return found
        again = self._kept_or_trained(0, trial, steps=1)
        return again if again is not None and again.loss < found.loss else found

    def _others(self, trials: list[Any]) -> Iterator[Member]:
        number = self.search.members
        architectures = min(number, -(-len(trials) // TRIALS_OF_A_MEMBER))
        for place in range(1, number):
            trial = trials[place % architectures]
            member = self._kept_or_trained(place, trial, steps=number - place)
            if member is not None:
                yield member

    def _kept_or_trained(self, place: int, trial: Any, steps: int) -> Member | None:
        """A network of an earlier session, or a new one, if there is time for it."""
        fold = place if self.split.folds is not None else 0
        name = f"network_{place}.keras"
        kept = self.project.state["members"]
        if any(entry["name"] == name and entry["trial"] == trial.trial_id for entry in kept):
            model = self.project.load_model(name)
            if model is not None:
                return Member.of(self.task, trial.trial_id, fold, model, self.split.held_out(fold))
        member = self._trained(place, fold, trial, steps)
        if member is not None:
            self.project.save_model(member.model, name)
            others = [entry for entry in kept if entry["name"] != name]
            entry = {"name": name, "trial": trial.trial_id}
            epochs = self.project.state.get("final_epochs", 0) + member.epochs
            seconds = self.allowance.budget.seconds
            self.project.save(members=[*others, entry], final_epochs=epochs, seconds=seconds)
        return member

    def _trained(self, place: int, fold: int, trial: Any, steps: int) -> Member | None:
        """A network trained from scratch in its share of what is left."""
        until = time.monotonic() + (self.allowance.seconds_left - self._closing) / steps
        epochs = int(min(self.training.epochs, self.allowance.epochs_left / steps))
        if epochs < 1 or time.monotonic() + self.pace.starting + self.pace.epoch > until:
            return None
        seed_member(self.training.seed, place)
        hyperparameters = trial.hyperparameters.copy()
        model = self.search.tuner.hypermodel.build(hyperparameters)
        limit = Limit(lambda: until - time.monotonic(), self.pace)
        data = self.split.part(fold)
        trained = train(model, self.training, self.search.direction, data, limit, epochs)
        self.allowance.budget.epochs += trained
        return Member.of(self.task, trial.trial_id, fold, model, data[1], trained)


def _is_of_use(member: Member, rivals: Rivals) -> bool:
    rival = rivals[min(member.fold, len(rivals) - 1)][CONSTANT]
    return bool(np.isfinite(member.loss) and member.loss < rival.mean())
