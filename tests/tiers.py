"""Parameters of a test, most of which run in `make test-full` only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_full(parameters: Iterable[Any], kept: Collection[Any]) -> list[Any]:
    """Returns the parameters; those that are not in `kept` are marked `full`.

    When to use it: for a test that takes the same path with each parameter.

    Args:
        parameters: The parameters, each a value or a tuple of values.
        kept: Those that `make test` runs too.

    Raises:
        ValueError: If one of `kept` is not among the parameters.
    """
    parameters = list(parameters)
    unknown = [each for each in kept if each not in parameters]
    if unknown:
        raise ValueError(f"`kept` must hold some of {parameters}, got also {unknown}.")
    return [each if each in kept else _full(each) for each in parameters]


def _full(parameter: Any) -> Any:
    values = parameter if isinstance(parameter, tuple) else (parameter,)
    return pytest.param(*values, marks=pytest.mark.full)
