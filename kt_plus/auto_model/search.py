"""The search: evolution in a space of architectures, stopped early, within an allowance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner

from kt_plus.auto_model.budget import Allowance, Limit, Pace, too_small
from kt_plus.auto_model.division import Split
from kt_plus.auto_model.inputs import Inputs
from kt_plus.auto_model.project import Project
from kt_plus.auto_model.task import Task
from kt_plus.engine.arguments import check_whole
from kt_plus.engine.objectives import resolve
from kt_plus.engine.oracle import Oracle
from kt_plus.engine.tuner import Tuner
from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.screened_evolution import ScreenedEvolution

Space = Callable[..., Any]

EXAMPLES_OF_A_TRAINING = 200_000
"""So many examples a training sees at most by default, in 20 to 200 epochs."""

UNLIMITED_POPULATION = {"population_size": 25, "random_trials": 8}
"""The evolution of projects that began without a surrogate, if the number of trials is unknown."""

LINEAR_LEARNING_RATE = 0.01
"""A single layer bears larger steps than a deep network, and needs them."""


@dataclass(frozen=True)
class Training:
    """How networks are trained.

    Args:
        objective: The `keras_tuner.Objective` that they are compared by.
        epochs: The number of epochs at most.
        batch_size: The number of examples in a batch.
        seed: The seed of everything random.
    """

    objective: Any
    epochs: int
    batch_size: int
    seed: int

    @classmethod
    def of(
        cls, objective: Any, examples: int, epochs: int | None, batch_size: int | None, seed: int
    ) -> Training:
        """With what is not said chosen by the number of examples.

        Raises:
            ValueError: If a number is below 1, or not whole.
        """
        cls.check(epochs, batch_size)
        if epochs is None:
            epochs = min(max(EXAMPLES_OF_A_TRAINING // examples, 20), 200)
        if batch_size is None:
            batch_size = next((size for size in (32, 64) if 100 * size > examples), 128)
        return cls(single_objective(objective), epochs, batch_size, seed)

    @staticmethod
    def check(epochs: Any, batch_size: Any) -> None:
        """Raises a ValueError unless both are `None` or whole numbers of at least 1."""
        for name, number in (("epochs", epochs), ("batch_size", batch_size)):
            check_whole(name, number)

    def early_stopping(self, direction: str, restore: bool) -> Any:
        """Ends a training that has not improved for a tenth of its epochs, 5 at least."""
        return keras.callbacks.EarlyStopping(
            self.objective.name,
            patience=max(5, self.epochs // 10),
            mode=direction,
            restore_best_weights=restore,
        )

    def pace(self, split: Split) -> Pace:
        """Of the trainings that are to come."""
        train, validation = split.part(0)
        batches = [-(-len(part[0]) // self.batch_size) for part in (train, validation)]
        return Pace(*batches)


def single_objective(objective: Any) -> Any:
    """Returns an objective with its direction.

    Raises:
        ValueError: If its direction is not known, or there are several objectives.
    """
    resolved = resolve(objective)
    if resolved is None or isinstance(resolved, list) or hasattr(resolved, "objectives"):
        raise ValueError(
            "`objective` must be the name of one metric or one `kt_plus.Objective`, got "
            f"{objective!r}. Leave it out for 'val_loss'."
        )
    return resolved


def checked_space(space: Any) -> Any:
    """What makes the space, or `None`."""
    if space is not None and not callable(space):
        raise ValueError(
            f"space={space!r} was given. Expected what makes a space for the data once they are "
            "known: a class such as kt_plus.search_spaces.CellSpace, or a function."
        )
    return space


def make_space(space: Space | None, inputs: Inputs, task: Task, x: Any) -> Any:
    """The space of architectures for these data; chains, unless another was given."""
    if space is None:
        from kt_plus.search_spaces import ChainSpace

        space = ChainSpace
    return space(
        inputs.network_shape,
        task.outputs,
        task=task.name,
        data=inputs.kind,
        preprocessing=inputs.preprocessing(x),
    )


def first_configurations(space: Any) -> list[dict[str, Any]]:
    """What is tried first: the defaults and, for a table, the linear model that a chain may be."""
    hp = keras_tuner.HyperParameters()
    space.build(hp)
    empty = {h.name: "identity" for h in hp.space if "identity" in getattr(h, "values", ())}
    valid = getattr(space, "valid", lambda values: True)  # a bounded space's defaults may not be
    if not empty or getattr(space, "data", None) != "table":
        return [{}] if valid({}) else []
    for h in hp.space:
        if h.name == "dropout":
            empty["dropout"] = h.min_value
        if h.name in ("learning_rate", "adam_learning_rate"):
            empty[h.name] = min(LINEAR_LEARNING_RATE, h.max_value)
    return [values for values in ({}, empty) if valid(values)]


class Search:
    """The search of one fit.

    Args:
        space: The space of architectures.
        training: How networks are trained.
        allowance: What may be spent.
        members: How many networks are trained in the end.
        **project: Where the search is kept: `directory`, `project_name`, `overwrite`.
    """

    def __init__(
        self, space: Any, training: Training, allowance: Allowance, members: int, **project: Any
    ) -> None:
        self.training, self.allowance, self.members = training, allowance, members
        self._reserved = 0.0
        population = {} if allowance.max_trials else UNLIMITED_POPULATION
        unscreened = evolution(allowance.max_trials, **population)
        oracle = Oracle(
            training.objective,
            allowance.max_trials,
            seed=training.seed,
            strategy=ScreenedEvolution(unscreened=unscreened),
            stopping="auto",
            inherit_weights=True,
            initial_configurations=first_configurations(space),
            max_time=allowance.budget.max_seconds,
            max_epochs_total=allowance.search_epochs,
        )
        self.tuner = Tuner(oracle, space, **project)

    @property
    def direction(self) -> str:
        """Whether the objective is minimised ("min") or maximised ("max")."""
        return str(self.tuner.oracle.objective.direction)

    def go_on(self, project: Project) -> None:
        """Takes into account what earlier sessions have spent, and writes the project's state."""
        budget, searched = self.allowance.budget, self.tuner.oracle.budget
        state = project.state
        spent = max(state["seconds"], searched.seconds) + budget.seconds
        budget.resume(spent, searched.epochs + state.get("final_epochs", 0))
        budget.begin()
        project.save()

    def run(self, split: Split, pace: Pace, verbose: int) -> None:
        """Runs trials until the search's share of the allowance is spent.

        Raises:
            BudgetError: If it does not suffice for a single epoch.
        """
        before = self.tuner.oracle.budget.epochs
        limit = Limit(self._seconds_left, pace, self._hold, lambda: self._check(pace))
        self._hold(0.0)
        train, validation = split.part(0)
        self.tuner.search(
            train[0],
            train[1],
            sample_weight=train[2] if len(train) > 2 else None,
            validation_data=validation,
            epochs=self.training.epochs,
            batch_size=self.training.batch_size,
            callbacks=[self.training.early_stopping(self.direction, restore=False), limit],
            verbose=verbose,
        )
        self.allowance.budget.epochs += self.tuner.oracle.budget.epochs - before

    def best(self) -> list[Any]:
        """The completed trials from the best on."""
        return list(self.tuner.oracle.get_best_trials(None))

    def _seconds_left(self) -> float:
        return self.allowance.seconds_left - self._reserved

    def _reserve(self) -> float:
        """The seconds to leave for the final training."""
        notes = self.tuner.oracle.notes
        seconds = [notes[trial.trial_id].seconds for trial in self.best()[: self.members]]
        trained = max(self.members - 1, 1)  # the best one's network need not be, beside others
        needed = trained * sum(seconds) / len(seconds) if seconds else None
        return self.allowance.reserved_seconds(needed)

    def _hold(self, next_step: float) -> None:
        """Lets the oracle end the search when there is no time for the next step."""
        budget = self.tuner.oracle.budget
        if self.allowance.budget.max_seconds is not None:
            self._reserved = self._reserve()
            left = self._seconds_left() - next_step
            budget.max_seconds = budget.seconds + max(left, 1e-6)

    def _check(self, pace: Pace) -> None:
        if not self.tuner.oracle.budget.epochs:
            raise too_small(self.allowance, pace)
