"""Stages: the places of a network that share a resolution, and how often it is reduced."""

from __future__ import annotations

import math
from typing import NamedTuple

from kt_plus.search_spaces.arguments import checked_count
from kt_plus.search_spaces.layer_kinds import Shape

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
