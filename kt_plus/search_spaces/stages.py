"""Stages: places of a network at one resolution, and the checks that macro spaces share."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from kt_plus.search_spaces.operations import Shape

SMALLEST_MAP = 4
"""The height and width in pixels that are left by as many reductions as there are by default."""


class Stage(NamedTuple):
    """Places at one resolution.

    Args:
        places: Their numbers, which count from 1 through all stages.
        widening: How many times as wide as the first stage they are.
        stride: By how much the first of them reduces.
    """

    places: tuple[int, ...]
    widening: int
    stride: int


def checked_reductions(reductions: int | None, data: str, shape: Shape) -> int:
    """How often examples of a shape are halved: as often as asked for, or as sensible."""
    if data == "table":
        if reductions:
            raise ValueError(
                f"reductions={reductions!r} was given for tables, which have no resolution to "
                "reduce. Leave it out."
            )
        return 0
    known = [length for length in shape[:-1] if length is not None]
    most = int(math.log2(min(known))) if known else None
    if reductions is None:
        fitting = 2 if most is None else most - int(math.log2(SMALLEST_MAP))
        return min(max(fitting, 0), 4)
    number = checked_count("reductions", reductions, 0)
    if most is not None and number > most:
        raise ValueError(
            f"{number} reductions were asked for, each of which halves the {data}; one of shape "
            f"{shape} can be halved {most} times. Give fewer reductions, or larger examples."
        )
    return number


def stages(name: str, places: int, reductions: int, reduced_first: bool) -> tuple[Stage, ...]:
    """The places shared out among the stages, the later ones getting what is left over.

    Args:
        name: What the user calls the number of places.
        places: That number.
        reductions: How often the resolution is halved.
        reduced_first: Whether the first stage begins with one of these already.
    """
    number = reductions + (0 if reduced_first else 1)
    if places < number:
        raise ValueError(
            f"{name}={places} was given with {reductions} reductions, which make {number} stages. "
            "Expected one for each stage at least: give more, or fewer reductions."
        )
    ends = [(stage + 1) * places // number for stage in range(number)]
    begins = [0, *ends[:-1]]
    powers = range(1, number + 1) if reduced_first else range(number)
    return tuple(
        Stage(tuple(range(begin + 1, end + 1)), 2**power, 2 if power else 1)
        for begin, end, power in zip(begins, ends, powers, strict=True)
    )


def checked_operations(
    operations: Sequence[str], data: str, known: Collection[str]
) -> tuple[str, ...]:
    """The operations, once each."""
    if isinstance(operations, str) or not operations or not set(operations) <= set(known):
        raise ValueError(
            f"operations={operations!r} was given for data={data!r}. Expected some of "
            f"{', '.join(map(repr, known))}."
        )
    return tuple(dict.fromkeys(operations))


def checked_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """The widths, once each, from the smallest on."""
    whole = not isinstance(widths, (str, int)) and all(
        isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths
    )
    if not whole or not widths:
        raise ValueError(
            f"widths={widths!r} was given. Expected positive whole numbers, such as (16, 32, 64)."
        )
    return tuple(sorted(set(widths)))


def checked_count(name: str, value: Any, least: int) -> int:
    """The number itself."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{name}={value!r} was given. Expected a whole number of at least {least}."
        )
    return value
