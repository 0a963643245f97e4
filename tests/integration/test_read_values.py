"""A value counts as used however a model has read it, and also where that is in doubt."""

from __future__ import annotations

import collections
import copy
import json
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.engine.exploration import AskedValues
from tests.integration.small_networks import VALIDATION, X, Y, compiled

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
]


def matched(values: dict[str, Any]) -> int:
    match values:
        case {"units": units}:
            return int(units)
    return 0


def called(**values: Any) -> int:
    return int(values["units"])


# What a model may do with `hp`, whose values are those of `units` and `depth`.
READ_ALL: dict[str, Callable[[Any], Any]] = {
    "f(**hp.values)": lambda hp: called(**hp.values),
    "dict(hp.values)": lambda hp: dict(hp.values),
    "dict(hp.values, x=1)": lambda hp: dict(hp.values, x=1),
    "{**hp.values}": lambda hp: {**hp.values},
    "{}.update": lambda hp: {}.update(hp.values),
    "items()": lambda hp: list(hp.values.items()),
    "values()": lambda hp: list(hp.values.values()),
    "keys()": lambda hp: list(hp.values.keys()),
    "for name in hp.values": lambda hp: [name + "_" for name in hp.values],
    "list": lambda hp: list(hp.values),
    "set": lambda hp: set(hp.values),
    "sorted": lambda hp: sorted(hp.values),
    "reversed": lambda hp: list(reversed(hp.values)),
    "unpacked names": lambda hp: [*hp.values],
    "fromkeys": lambda hp: dict.fromkeys(hp.values),
    "len": lambda hp: len(hp.values),
    "bool": lambda hp: bool(hp.values),
    "==": lambda hp: hp.values == {"units": 4},
    "== on the right": lambda hp: {"units": 4} == hp.values,  # noqa: SIM300
    "!=": lambda hp: hp.values != {"units": 4},
    "|": lambda hp: hp.values | {"x": 1},
    "| on the right": lambda hp: {"x": 1} | hp.values,
    "str": lambda hp: str(hp.values),
    "format": lambda hp: f"{hp.values}",
    "popitem": lambda hp: (hp.values.popitem(), hp.values.update(depth=1)),
    "dict.copy": lambda hp: hp.values.copy(),
    "copy.copy": lambda hp: copy.copy(hp.values),
    "copy.deepcopy": lambda hp: copy.deepcopy(hp.values),
    "copy.deepcopy(hp)": lambda hp: copy.deepcopy(hp),
    "pickle": lambda hp: pickle.dumps(hp.values),
    "pickle of protocol 0": lambda hp: pickle.dumps(hp.values, 0),
    "pickle of hp": lambda hp: pickle.dumps(hp),
    "json": lambda hp: json.dumps(hp.values),
    "json with indents": lambda hp: json.dumps(hp.values, indent=1),
    "OrderedDict": lambda hp: collections.OrderedDict(hp.values),
    "Counter": lambda hp: collections.Counter(hp.values),
    "ChainMap": lambda hp: dict(collections.ChainMap({}, hp.values)),
    "MappingProxyType": lambda hp: dict(types.MappingProxyType(hp.values)),
    "SimpleNamespace": lambda hp: types.SimpleNamespace(**hp.values),
    "hp.copy()": lambda hp: hp.copy(),
    "hp.get_config()": lambda hp: hp.get_config(),
    "from_config": lambda hp: kt.HyperParameters.from_config(hp.get_config()),
    "to_proto": lambda hp: hp.to_proto(),
    "vars(hp)": lambda hp: dict(vars(hp)["values"]),
    "match": lambda hp: matched(hp.values),
}
READ_UNITS: dict[str, Callable[[Any], Any]] = {
    "[]": lambda hp: hp.values["units"],
    "get": lambda hp: hp.values.get("units"),
    "get with a default": lambda hp: hp.values.get("units", 4),
    "in": lambda hp: "units" in hp.values,
    "setdefault": lambda hp: hp.values.setdefault("units", 4),
    "pop": lambda hp: hp.values.pop("units"),
    "ChainMap[]": lambda hp: collections.ChainMap({}, hp.values)["units"],
    "MappingProxyType[]": lambda hp: types.MappingProxyType(hp.values)["units"],
    "% of strings": lambda hp: "%(units)s" % hp.values,  # noqa: UP031
    "format_map": lambda hp: "{units}".format_map(hp.values),
    "hp.get": lambda hp: hp.get("units"),
    "hp[]": lambda hp: hp["units"],
    "in hp": lambda hp: "units" in hp,
    "hp.Int": lambda hp: hp.Int("units", 4, 32, 4),
}
NOT_OVERRIDDEN = {
    *("__class__", "__class_getitem__", "__contains__", "__delattr__", "__delitem__", "__dir__"),
    *("__doc__", "__format__", "__getattribute__", "__getstate__", "__init_subclass__", "__ior__"),
    *("__new__", "__reduce__", "__setattr__", "__setitem__", "__sizeof__", "__str__"),
    *("__subclasshook__", "clear", "fromkeys", "update"),
    *("__ge__", "__gt__", "__le__", "__lt__"),  # a dict has no order
}
"""Methods of `dict` that read nothing, or only by one of those that are overridden."""


def hyperparameters() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Int("units", 4, 32, 4)
    hp.Int("depth", 1, 2)
    return hp


def unused_after(read: Callable[[Any], Any]) -> set[str]:
    hp = hyperparameters()
    hp.values = values = AskedValues(hp.values)
    read(hp)
    return values.unused


@pytest.mark.parametrize("how", READ_ALL)
def test_reading_the_values_as_a_whole_uses_all(how: str) -> None:
    assert unused_after(READ_ALL[how]) == set()


@pytest.mark.parametrize("how", READ_UNITS)
def test_reading_one_value_uses_that_one(how: str) -> None:
    assert unused_after(READ_UNITS[how]) == {"depth"}


def test_not_reading_uses_nothing() -> None:
    assert unused_after(lambda hp: hp.values) == {"units", "depth"}
    assert unused_after(lambda hp: hp.values.update(x=1)) == {"units", "depth", "x"}


def test_no_method_of_dict_reads_unnoticed() -> None:
    assert set(dir(dict)) - set(vars(AskedValues)) <= NOT_OVERRIDDEN


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_a_copy_is_a_dict(copied: Callable[[Any], Any]) -> None:
    values = AskedValues({"units": 4, "depth": 1})
    assert type(copied(values)) is dict
    assert copied(values) == {"units": 4, "depth": 1}


class Network(kt.HyperModel):
    """Reads the values as it is given to, and trains nothing."""

    def __init__(self, read: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.read = read

    def build(self, hp: Any) -> Any:
        if self.read is not None:
            self.read(hp)
        return keras.Sequential([keras.layers.Dense(1)])

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> float:
        return 1.0


def search_of(hypermodel: Any, directory: Path, **arguments: Any) -> Any:
    hp = kt.HyperParameters()
    hp.Int("units", 4, 32, 4)
    settings = {"max_trials": 6, "seed": 1, "hyperparameters": hp, "directory": directory}
    return kt_plus.RandomSearch(hypermodel, **{**settings, **arguments})


def test_a_network_of_the_values_is_trained_with_each(tmp_path: Path) -> None:
    trained = []

    def net(units: int) -> Any:
        trained.append(units)
        return compiled([keras.layers.Dense(units)])

    tuner = search_of(lambda hp: net(**hp.values), tmp_path, objective="val_accuracy", max_trials=3)
    trained.clear()  # of the constructor
    tuner.search(X, Y, epochs=1, validation_data=VALIDATION, verbose=0)
    assert len(trained) == len(set(trained)) == 3
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["COMPLETED"] * 3


@pytest.mark.parametrize("how", ["dict(hp.values)", "{**hp.values}", "hp.copy()", "[]"])
def test_no_configuration_is_lost(how: str, tmp_path: Path) -> None:
    tuner = search_of(Network((READ_ALL | READ_UNITS)[how]), tmp_path)
    tuner.search(verbose=0)
    assert len({record.values["units"] for record in tuner.oracle.history}) == 6


def test_values_that_are_not_read_are_still_known_to_be_unused(tmp_path: Path) -> None:
    tuner = search_of(Network(), tmp_path)
    with pytest.warns(UserWarning, match="did not use do not count: units"):
        tuner.search(verbose=0)
    assert [record.unused for record in tuner.oracle.history] == [{"units"}]


def test_values_that_a_model_has_replaced_are_used(tmp_path: Path) -> None:
    """Nobody can say what it reads of those."""

    def replace(hp: Any) -> None:
        hp.values = {"units": 8, "rate": 0.5}

    tuner = search_of(Network(replace), tmp_path)
    tuner.search(verbose=0)
    assert [record.unused for record in tuner.oracle.history] == [frozenset()] * 6
    assert {record.values["units"] for record in tuner.oracle.history} == {8}  # as in Keras Tuner


def test_a_value_that_one_execution_has_read_is_used(tmp_path: Path) -> None:
    builds = []

    def read_once_a_trial(hp: Any) -> None:
        builds.append(hp.values["units"] if len(builds) % 2 else 0)

    hypermodel = Network(read_once_a_trial)
    tuner = search_of(hypermodel, tmp_path, executions_per_trial=2)
    assert len(builds) == 1  # the first execution of each trial reads
    tuner.search(verbose=0)
    assert [record.unused for record in tuner.oracle.history] == [frozenset()] * 6
