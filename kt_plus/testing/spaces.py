"""Search spaces of every kind, to try a strategy on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kt_plus.engine.dimensions import Condition, Dimension, Discrete, Numeric
from kt_plus.engine.space import Space

_CONV = Condition("op", ("conv", "sepconv"))
_POOL = Condition("op", ("pool",))
_DEEP = Condition("depth", (2, 3))

# As Keras Tuner's nested scopes do, each hyperparameter tells all conditions above it.
_NESTED: tuple[Dimension, ...] = (
    Discrete("op", ("conv", "sepconv", "pool")),
    Discrete("depth", (1, 2, 3), ordered=True, conditions=(_CONV,)),
    Discrete("average", (False, True), conditions=(_POOL,)),
    Discrete("bottleneck", (False, True), conditions=(_CONV, _DEEP)),
    Numeric("a_rate", 0.0, 0.5, conditions=(_CONV, _DEEP, Condition("bottleneck", (True,)))),
)

SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "flat": Space(
            [
                Discrete("activation", ("relu", "tanh", "gelu", "silu")),
                Discrete("norm", (False, True)),
                Discrete("units", (16, 32, 64), ordered=True),
            ]
        ),
        "numeric": Space(
            [
                Numeric("layers", 1, 9, 2, integer=True),
                Numeric("units", 8, 256, 2, "log", integer=True),
                Numeric("batch", 1, 64, None, "log", integer=True, initial=8),
                Numeric("width", 4, 64, None, "reverse_log", integer=True),
                Numeric("dropout", 0.0, 0.5, 0.1),
                Numeric("rate", 1e-5, 1e-1, None, "log", initial=1e-3),
                Numeric("warmup", 0.001, 10.0, 10.0, "log"),
                Numeric("momentum", 0.1, 0.99, None, "reverse_log"),
                Numeric("decay", 1.0, 1000.0, 10.0, "reverse_log"),
                Numeric("noise", 0.0, 1.0),
                Numeric("scale", 2.0, 2.0),
            ]
        ),
        "nested": Space(_NESTED),
        "nested, children first": Space(reversed(_NESTED)),
        "one name, several conditions": Space(
            [
                Discrete("op", ("conv", "pool", "skip")),
                Discrete("size", (3, 5), ordered=True, conditions=(Condition("op", ("conv",)),)),
                Discrete("same", (False, True), conditions=(Condition("size", (3,)),)),
                Numeric("size", 2, 3, 1, integer=True, conditions=(_POOL,)),
            ]
        ),
        "fixed": Space([Discrete("units", (32,)), Discrete("activation", ("relu",))]),
        "empty": Space(),
    }
)
"""A search space of every kind. "flat" has 24 configurations."""


def hyperparameters_of(space: Space) -> Any:
    """The space as a `keras_tuner.HyperParameters`."""
    import keras_tuner

    entries = [_entry(dimension) for dimension in space.dimensions]
    return keras_tuner.HyperParameters.from_config({"space": entries, "values": {}})


def _entry(dimension: Dimension) -> dict[str, Any]:
    """The dimension as Keras Tuner writes it to a file."""
    parents = [{"name": c.name, "values": list(c.values)} for c in dimension.conditions]
    config: dict[str, Any] = {
        "name": dimension.name,
        "conditions": [{"class_name": "Parent", "config": parent} for parent in parents],
    }
    if isinstance(dimension, Discrete) and len(dimension.choices) == 1:
        return {"class_name": "Fixed", "config": {**config, "value": dimension.default}}
    config["default"] = dimension.default
    if isinstance(dimension, Numeric):
        config.update(min_value=dimension.low, max_value=dimension.high)
        config.update(step=dimension.step, sampling=dimension.sampling)
        return {"class_name": "Int" if dimension.integer else "Float", "config": config}
    if not isinstance(dimension, Discrete):
        raise TypeError(f"{dimension} was given. Expected a Discrete or a Numeric: use one.")
    if type(dimension.default) is bool:
        return {"class_name": "Boolean", "config": config}
    config.update(values=list(dimension.choices), ordered=dimension.ordered)
    return {"class_name": "Choice", "config": config}
