"""A study of Optuna's as a fold over the history, and hyperparameters in Optuna's terms.

It imports Optuna, and is imported only when a search needs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from kt_plus.engine.dimensions import Dimension, Discrete, Numeric
from kt_plus.engine.history import History, Record, Value
from kt_plus.engine.space import Space, Values


class _Storage(optuna.storages.InMemoryStorage):
    """The trials that are known, and at their end the one that is being asked for.

    Attributes that a sampler leaves on a trial are not kept: the history has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: FrozenTrial | None = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        known = super().get_all_trials(study_id, deepcopy, states)
        if self.asked is None or (states is not None and self.asked.state not in states):
            return known
        return [*known, self.asked]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keeps nothing."""


class ToldStudy:
    """A study that knows the trials of a history, in its order.

    Args:
        space: The hyperparameters.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = parameter_names(space)
        self.records: list[Record] = []
        self._storage = _Storage()
        with quiet():
            self._study = optuna.create_study(
                storage=self._storage, sampler=RandomSampler(0), direction="maximize"
            )

    def can_follow(self, space: Space, history: History) -> bool:
        """Whether going on from here is the same as telling this history from its start."""
        if self.space.by_name != space.by_name or len(self.records) > len(history):
            return False
        return all(
            known is new
            or known == new
            or (known.status == "running" and known.values == new.values)
            for known, new in zip(self.records, history, strict=False)
        )

    def tell(self, history: History) -> None:
        """Takes the trials that are new, and the ends of those that ran."""
        for number, record in enumerate(history):
            known = self.records[number] if number < len(self.records) else None
            if known is None:
                self._study.add_trial(self._frozen(record))
                self.records.append(record)
            elif known is not record:
                if known.status != record.status:
                    state, value = outcome(record)
                    self._study.tell(number, value, state)
                self.records[number] = record

    def ask(self, sampler: BaseSampler) -> Values:
        """What the sampler suggests, parents before their children."""
        trial = create_trial(state=TrialState.RUNNING)
        trial.number = len(self.records)
        name = self._study.study_name
        study = optuna.load_study(study_name=name, storage=self._storage, sampler=sampler)
        self._storage.asked = trial
        try:
            return self._suggested(study, trial, sampler)
        finally:
            self._storage.asked = None

    def _suggested(self, study: optuna.Study, trial: FrozenTrial, sampler: BaseSampler) -> Values:
        sampler.before_trial(study, trial)
        together = sampler.sample_relative(
            study, trial, sampler.infer_relative_search_space(study, trial)
        )
        values: Values = {}
        for d in self.space.by_name:
            if d.name in values or not d.is_active(values):
                continue
            name, distribution = self.names[d], distribution_of(d)
            if distribution.single():
                values[d.name] = d.default if d.size == 1 else d.from_unit(0.0)
                continue
            told = together.get(name)
            if told is None:
                told = sampler.sample_independent(study, trial, name, distribution)
            trial.params = {**trial.params, name: told}
            trial.distributions = {**trial.distributions, name: distribution}
            values[d.name] = value_of(d, told)
        return values

    def _frozen(self, record: Record) -> FrozenTrial:
        state, value = outcome(record)
        params, distributions = parameters(self.space, self.names, record.values)
        return create_trial(state=state, value=value, params=params, distributions=distributions)


class ResampledStudy:
    """A study of some of the given trials, which are not copied.

    Args:
        trials: All trials.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        self._trials = trials
        self._storage = _Sample()
        with quiet():
            self._study = optuna.create_study(storage=self._storage, direction="maximize")

    def of(self, places: Iterable[int]) -> optuna.Study:
        """The study, with the trials at these places."""
        self._storage.sample = [self._trials[place] for place in places]
        return self._study


class _Sample(optuna.storages.InMemoryStorage):
    sample: list[FrozenTrial]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self.sample


def outcome(record: Record) -> tuple[TrialState, float | None]:
    """State and value in Optuna's terms. A pruned trial without a value is worse than all others.

    A trial that was stopped and is to teach nothing is a failed one, which samplers ignore.
    """
    if record.status == "running":
        return TrialState.RUNNING, None
    if record.status == "completed" and record.score is not None and record.score == record.score:
        return TrialState.COMPLETE, float(record.score)
    return (TrialState.PRUNED if record.verdict is None else TrialState.FAIL), None


def parameter_names(space: Space) -> dict[Dimension, str]:
    """A name of its own for each dimension, since one name may have several conditions."""
    names: dict[Dimension, str] = {}
    for d in space.by_name:
        name, count = d.name, 1
        while name in names.values():
            count += 1
            name = f"{d.name} ({count})"
        names[d] = name
    return names


def parameters(
    space: Space, names: Mapping[Dimension, str], values: Mapping[str, Value]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """The active hyperparameters and their distributions, in Optuna's terms."""
    params, distributions = {}, {}
    for d, value in space.active(values).items():
        params[names[d]] = parameter_of(d, value)
        distributions[names[d]] = distribution_of(d)
    return params, distributions


def distribution_of(d: Dimension) -> BaseDistribution:
    """What Optuna samples for a dimension.

    An ordered choice and the steps of a logarithmic scale are told by their place, a
    number on the reversed logarithmic scale by its place in the unit interval.
    """
    if isinstance(d, Discrete):
        return (
            IntDistribution(0, len(d.choices) - 1)
            if d.ordered
            else (CategoricalDistribution(d.choices))
        )
    assert isinstance(d, Numeric)
    if d.sampling != "linear" and d.step is not None:
        return IntDistribution(0, int(d.size) - 1)
    if d.sampling == "reverse_log":
        return FloatDistribution(0.0, 1.0)
    log = d.sampling == "log"
    if d.integer:
        low, step = int(d.low), int(d.step or 1)
        return IntDistribution(low, low + (int(d.size) - 1) * step, log=log, step=step)
    if d.step is None:
        return FloatDistribution(d.low, d.high, log=log)
    # Optuna, too, counts steps in decimals.
    high = float(Decimal(str(d.low)) + (int(d.size) - 1) * Decimal(str(d.step)))
    return FloatDistribution(d.low, high, step=d.step)


def parameter_of(d: Dimension, value: Value) -> Any:
    """A value as Optuna knows it."""
    if isinstance(d, Discrete):
        return d.choices.index(value) if d.ordered else value
    assert isinstance(d, Numeric)
    if d.sampling != "linear" and d.step is not None:
        return int(d.to_unit(value) * d.size)
    if d.sampling == "reverse_log":
        return d.to_unit(value)
    on_grid = d.from_unit(d.to_unit(value)) if d.step is not None else d.canonical(value)
    distribution = distribution_of(d)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    return min(max(on_grid, distribution.low), distribution.high)


def value_of(d: Dimension, told: Any) -> Value:
    """The value that Optuna's stands for.

    Raises:
        ValueError: If it stands for none.
    """
    value: Value = told
    if isinstance(d, Discrete) and d.ordered:
        value = d.choices[int(told)]
    elif isinstance(d, Numeric):
        if d.sampling != "linear" and d.step is not None:
            value = d.from_unit((int(told) + 0.5) / d.size)
        elif d.sampling == "reverse_log":
            value = d.from_unit(float(told))
        elif d.step is not None:
            value = d.from_unit(d.to_unit(told))
    if not d.contains(value):
        raise ValueError(
            f"The sampler has suggested {told!r} for {d.name!r}. Expected a value of "
            f"{distribution_of(d)}. Mend the sampler."
        )
    return d.canonical(value)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna without what it says of every new study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
