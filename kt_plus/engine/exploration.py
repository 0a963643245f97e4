"""What a hypermodel asks for: which hyperparameters there are, and which of them it used."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from keras_tuner.errors import FailedTrialError, FatalError

from kt_plus.engine.ledger import RESERVED, UNUSED, plain
from kt_plus.errors import BuildError


def _reading_one(method: Any) -> Any:
    """A method of `dict` that counts as reading the name that it is given."""

    @functools.wraps(method)
    def read(self: AskedValues, name: str, *args: Any) -> Any:
        self._asked.add(name)
        return method(self, name, *args)

    return read


def _reading_all(method: Any) -> Any:
    """A method of `dict` that counts as reading all names."""

    @functools.wraps(method)
    def read(self: AskedValues, *args: Any) -> Any:
        self._asked.update(dict.keys(self))
        return method(self, *args)

    return read


class AskedValues(dict[str, Any]):
    """The values of a trial, which remember the names that were read.

    Reading one value counts for its name. Reading the values as a whole, or only their names or
    their number, counts for all: `net(**hp.values)` depends on each.

    Args:
        values: The values by name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._asked: set[str] = set()

    @property
    def unused(self) -> set[str]:
        """The names that nobody has read."""
        return set(dict.keys(self)) - self._asked

    __contains__ = _reading_one(dict.__contains__)
    __getitem__ = _reading_one(dict.__getitem__)
    get = _reading_one(dict.get)
    pop = _reading_one(dict.pop)
    setdefault = _reading_one(dict.setdefault)

    # `dict(values)` and `{**values}` call `keys` only where `__iter__` is overridden, too.
    __iter__ = _reading_all(dict.__iter__)
    __len__ = _reading_all(dict.__len__)
    __reversed__ = _reading_all(dict.__reversed__)
    __eq__ = _reading_all(dict.__eq__)
    __ne__ = _reading_all(dict.__ne__)
    __or__ = _reading_all(dict.__or__)
    __ror__ = _reading_all(dict.__ror__)
    __repr__ = _reading_all(dict.__repr__)
    copy = _reading_all(dict.copy)
    items = _reading_all(dict.items)
    keys = _reading_all(dict.keys)
    popitem = _reading_all(dict.popitem)
    values = _reading_all(dict.values)
    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)  # a copy is not this trial's any more


@contextlib.contextmanager
def asked_values(trial: Any, all_known: bool) -> Iterator[Any]:
    """A copy of the trial, to train by, that notes which values the model never reads.

    A copy, because the oracle looks at the trial's own values after each epoch.

    Args:
        trial: The trial. In the end it has the unused names under `UNUSED`.
        all_known: Whether all places where values are read are known; else nothing is noted.
    """
    before = trial.hyperparameters.values.pop(UNUSED, None)  # of an execution before
    copied = copy.copy(trial)
    copied.hyperparameters = trial.hyperparameters.copy()
    copied.hyperparameters.values = asked = AskedValues(trial.hyperparameters.values)
    try:
        yield copied
    finally:
        unused, found = asked.unused, copied.hyperparameters.values
        trial.hyperparameters = copied.hyperparameters
        trial.hyperparameters.values = {**asked, **found}
    # A model that has put other values in their place has read those.
    if all_known and found is asked:
        names = {name for name in unused if not name.startswith(RESERVED)}
        if before is not None:
            names &= set(before.split("\n"))
        trial.hyperparameters.values[UNUSED] = "\n".join(sorted(names))


def explore(hypermodel: Any, oracle: Any) -> None:
    """Builds the model until every conditional branch has been entered, each tried once.

    Raises:
        BuildError: If the model cannot be built.
    """
    entered: set[Any] = set()
    waiting: deque[Any] = deque()
    known: set[Any] = set()
    hp = oracle.get_space()
    while True:
        _build(hypermodel, hp)
        oracle.update_space(hp)
        entered.update(map(_key, hp.active_scopes))
        for conditions in hp.inactive_scopes:
            if _key(conditions) not in known:
                known.add(_key(conditions))
                waiting.append(conditions)
        while waiting and _key(waiting[0]) in entered:
            waiting.popleft()
        if not waiting:
            return
        hp = _activating(waiting.popleft(), oracle.get_space())


def explore_configuration(hypermodel: Any, oracle: Any, values: dict[str, Any]) -> None:
    """Builds the model with these values, for the hyperparameters that only they bring up.

    Raises:
        ValueError: If a value is not allowed, or the model does not ask for a name.
        BuildError: If the model cannot be built.
    """
    known = {dimension.name for dimension in oracle.space.dimensions}
    oracle.space.check({name: value for name, value in values.items() if name in known})
    hp = oracle.get_space()
    hp.values.update(values)
    _build(hypermodel, hp)
    oracle.update_space(hp)
    if not oracle.space.admits(oracle.space.check(values)):
        raise ValueError(
            f"initial_configurations has {values}, which the hypermodel's `valid` does not allow. "
            "Expected configurations that it allows: change this one, or raise the bound."
        )


def warn_of_changes(hypermodel: Any, oracle: Any, given: Any) -> None:
    """Warns if the model asks for other hyperparameters than those its project was begun with.

    Keras Tuner goes on with the old ones, so that a model gets values that it no longer allows.

    Args:
        hypermodel: What builds the model now.
        oracle: The search, with the space of its project.
        given: The `hyperparameters` that override what the model asks for.
    """
    asked = given.copy()
    try:
        hypermodel.declare_hyperparameters(asked)
        hypermodel.build(asked)
    except Exception:
        return  # the next trial will tell
    known: dict[str, list[str]] = {}
    for entry in oracle.get_space().space:
        known.setdefault(entry.name, []).append(_described(entry))
    now = {entry.name: _described(entry) for entry in asked.space}
    changes = [
        f"{name} was {known[name][0]} and is {description}"
        for name, description in now.items()
        if description not in known.get(name, [description])
    ]
    if oracle.tune_new_entries:
        changes += [f"{name} is new, {now[name]}" for name in now if name not in known]
    if changes:
        warnings.warn(
            f"The hyperparameters have changed since this project was begun: {'; '.join(changes)}. "
            "The search adds what is new, and goes on with the rest as it was. To search what is "
            "asked for now, choose another `project_name`, or pass `overwrite=True`.",
            stacklevel=4,
        )


def _described(entry: Any) -> str:
    """A hyperparameter without its name, its default and what it depends on, as it is saved."""
    config = json.loads(json.dumps(entry.get_config(), default=plain))
    config = {k: v for k, v in config.items() if v is not None}
    for part in ("name", "default", "conditions"):
        config.pop(part, None)
    return f"{type(entry).__name__}({', '.join(f'{k}={v!r}' for k, v in config.items())})"


def _build(hypermodel: Any, hp: Any) -> None:
    try:
        hypermodel.build(hp)
    except (FatalError, FailedTrialError) as error:
        if isinstance(error, FatalError):
            raise  # a FailedTrialError only says that these values are no good
    except Exception as error:
        values = ", ".join(f"{name}={value!r}" for name, value in hp.values.items())
        raise BuildError(
            f"The model could not be built with {values or 'no hyperparameters'}: "
            f"{type(error).__name__}: {error}. A search begins by building it with default "
            "values. Give the hyperparameters defaults that work, or mend the building function."
        ) from error


def _activating(conditions: list[Any], hp: Any) -> Any:
    """`hp` with values under which all conditions hold, and all active hyperparameters have one."""
    for condition in conditions:
        hp.values[condition.name] = condition.values[0]
    active = set()
    for hyperparameter in hp.space:
        if hp.is_active(hyperparameter):
            active.add(hyperparameter.name)
            hp.values.setdefault(hyperparameter.name, hyperparameter.default)
    hp.values = {name: value for name, value in hp.values.items() if name in active}
    return hp


def _key(conditions: list[Any]) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    return tuple((condition.name, tuple(condition.values)) for condition in conditions)
