"""A study of Optuna's as a fold over the history, and hyperparameters in Optuna's terms.

It imports Optuna, and is imported only when a search needs it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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

RESTATED = ":relative_params:"
"""Attributes by which running trials of TPE and GP share parameters. Ours have all of theirs."""


class _Storage(optuna.storages.InMemoryStorage):
    """The trials of a history, the trial that is being asked for, and a draft of attributes.

    Attributes that a sampler writes remain a draft until a record of the history holds them:
    a proposal may be rejected, or lost in a crash.

    Attributes:
        asked: The trial that is being asked for.
        study_draft: Attributes that the sampler has written on the study.
        trial_drafts: Attributes that it has written on trials of the history, by their ids.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: FrozenTrial | None = None
        self.study_draft: dict[str, Any] = {}
        self.trial_drafts: dict[int, dict[str, Any]] = {}
        self._before: dict[int, dict[str, Any]] = {}

    def discard_draft(self) -> None:
        """Restores the attributes that the history holds."""
        for trial_id, attributes in self._before.items():
            super().get_trial(trial_id).system_attrs = attributes
        self.study_draft, self.trial_drafts, self._before = {}, {}, {}

    def adopt(self, study: Mapping[str, Any], trials: Mapping[int, Mapping[str, Any]]) -> None:
        """Sets attributes that a record of the history holds."""
        for key, value in study.items():
            super().set_study_system_attr(0, key, value)
        for trial_id, attributes in trials.items():
            trial = super().get_trial(trial_id)
            trial.system_attrs = {**trial.system_attrs, **attributes}

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        known = super().get_all_trials(study_id, deepcopy, states)
        if self.asked is None or (states is not None and self.asked.state not in states):
            return known
        return [*known, self.asked]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if self.asked is not None and trial_id == self.asked._trial_id:
            return self.asked
        return super().get_trial(trial_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {**super().get_study_system_attrs(study_id), **self.study_draft}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.study_draft[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if RESTATED in key:
            return
        trial = self.get_trial(trial_id)
        if trial is not self.asked:
            self._before.setdefault(trial_id, trial.system_attrs)
            self.trial_drafts.setdefault(trial_id, {})[key] = value
        trial.system_attrs = {**trial.system_attrs, key: value}


class _Study(optuna.Study):
    """A study that samplers cannot stop: a search ends when no untried configuration is left."""

    def stop(self) -> None:
        """Does nothing."""


@dataclass(frozen=True)
class Suggestion:
    """Values that a sampler suggests, and the attributes that it writes on their trial."""

    values: Values
    attributes: Mapping[str, Any]


class ToldStudy:
    """A study that knows the trials of a history, in its order.

    A trial's id in Optuna is its position in the history.

    Args:
        space: The hyperparameters.

    Attributes:
        seed: The seed that the first proposal has stored for the whole search, if any.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = parameter_names(space)
        self.records: list[Record] = []
        self.seed: int | None = None
        self._positions: dict[str, int] = {}
        self._finished: set[str] = set()
        self._newly_finished: list[str] = []
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
                self._positions[record.trial_id] = number
                self._adopt(number, record.memo or {})
            elif known is not record:
                if known.status != record.status:
                    state, value = outcome(record)
                    self._study.tell(number, value, state)
                self.records[number] = record

    def _adopt(self, number: int, memo: Mapping[str, Any]) -> None:
        """Restores the attributes that were written for the proposal of a trial."""
        ended = memo.get("ended", {})
        self._finished.update(ended)
        trials = {self._positions[t]: ended[t] for t in ended if t in self._positions}
        # Attributes of the study refer to trials by their positions. These have changed if the
        # file of an earlier trial was damaged.
        study = memo.get("study", {}) if memo.get("number") == number else {}
        self._storage.adopt(study, trials)
        self.seed = memo.get("seed", self.seed)

    @contextlib.contextmanager
    def drafting(self) -> Iterator[None]:
        """Makes all that samplers write a draft, which `memo` returns."""
        try:
            yield
        finally:
            self._storage.discard_draft()
            self._newly_finished = []

    def finish(self, sampler: BaseSampler) -> None:
        """Calls the sampler's `after_trial` for trials that have ended since the last proposal."""
        study, trials = self._study_of(sampler), self._study.get_trials(deepcopy=False)
        ended = [r for r in self.records if r.status != "running"]
        for record in sorted(ended, key=lambda r: -1 if r.ended is None else r.ended):
            if record.trial_id not in self._finished:
                trial = trials[self._positions[record.trial_id]]
                sampler.after_trial(study, trial, trial.state, trial.values)
                self._newly_finished.append(record.trial_id)

    def memo(
        self, values: Mapping[str, Value], suggestions: Sequence[Suggestion], seed: int | None
    ) -> dict[str, Any] | None:
        """Returns the draft, to be stored with the trial that is proposed.

        Args:
            values: The values to try.
            suggestions: What the sampler has suggested. Other values are tried if all of these
                were tried before.
            seed: A seed that later proposals need.

        Raises:
            TypeError: If JSON cannot hold the draft.
        """
        drafts, places = self._storage.trial_drafts, self._positions
        attributes = next((s.attributes for s in suggestions if s.values == values), None)
        memo: dict[str, Any] = {
            "trial": true_of_other_values(suggestions[-1].attributes)
            if attributes is None
            else attributes,
            "study": self._storage.study_draft,
            "ended": {t: drafts.get(places[t], {}) for t in self._newly_finished},
        }
        memo = {name: part for name, part in memo.items() if part}
        if seed is not None:
            memo["seed"] = seed
        if not memo:
            return None
        try:
            # Tuples become lists here, as they do in a project that is read again.
            copied = json.loads(json.dumps({"number": len(self.records), **memo}))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"System attributes that a sampler writes must be JSON-serializable, got {memo}. "
                "Use numbers, strings, lists and dictionaries."
            ) from error
        return dict(copied)

    def ask(self, sampler: BaseSampler) -> Suggestion:
        """Returns what the sampler suggests, parents before their children."""
        trial = create_trial(state=TrialState.RUNNING)
        trial.number = trial._trial_id = len(self.records)
        self._storage.asked = trial
        try:
            values = self._suggested(self._study_of(sampler), trial, sampler)
        finally:
            self._storage.asked = None
        return Suggestion(values, trial.system_attrs)

    def _study_of(self, sampler: BaseSampler) -> optuna.Study:
        return _Study(self._study.study_name, self._storage, sampler)

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
        return create_trial(
            state=state,
            value=value,
            params=params,
            distributions=distributions,
            system_attrs=dict((record.memo or {}).get("trial", {})),
        )


def true_of_other_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the attributes that remain true if other values than the suggested ones are tried.

    These are the generation of an evolutionary algorithm and the state of CMA-ES, which both
    learn from the trial's parameters. Other attributes may describe the suggested point.
    """
    if "x_for_tell" in attributes:  # CMA-ES with margin learns from this instead
        return {}
    kept = (":generation", ":optimizer:")
    return {key: value for key, value in attributes.items() if any(k in key for k in kept)}


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
