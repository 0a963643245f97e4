"""Stopping rules, configurations and other values as JSON, in which a pipeline keeps them."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

RULE, ARGUMENTS = "rule", "arguments"


def encode(value: Any) -> Any:
    """The value in terms of JSON.

    Args:
        value: Numbers, strings, `None`, lists and mappings of them, timedeltas, and
            stopping rules, which are dataclasses.

    Raises:
        ValueError: If it is something else, or a rule that another process cannot import.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()  # a scalar of NumPy's
    if callable(getattr(value, "judge", None)):
        return _encode_rule(value)
    raise ValueError(
        f"{value!r} was given. Expected what can be written as JSON: a number, string, list or "
        "mapping, or a stopping rule. Give anything else in a `tuner_fn` instead."
    )


def decode(value: Any) -> Any:
    """What `encode` was given; tuples become lists."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {RULE, ARGUMENTS}:
            return _find(value[RULE])(**decode(value[ARGUMENTS]))
        return {name: decode(item) for name, item in value.items()}
    return value


def _encode_rule(rule: Any) -> dict[str, Any]:
    kind = type(rule)
    name = f"{kind.__module__}:{kind.__qualname__}"
    try:
        found = kind.__module__ != "__main__" and _find(name) is kind
    except (ImportError, AttributeError):
        found = False
    if not found or not dataclasses.is_dataclass(rule):
        raise ValueError(
            f"The stopping rule {rule!r} cannot be written into a pipeline. Expected a rule of "
            "kt_plus.stopping, or a dataclass defined in a module that the component can import "
            f"(this one is {name}). Otherwise make the search in a `tuner_fn`."
        )
    fields = (field.name for field in dataclasses.fields(rule) if field.init)
    return {RULE: name, ARGUMENTS: {f: encode(getattr(rule, f)) for f in fields}}


def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found
