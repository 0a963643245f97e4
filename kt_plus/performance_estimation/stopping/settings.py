"""What the settings of rules may be, told in words."""

from __future__ import annotations

import math
import numbers


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raises unless `value` is a whole number of at least `least`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise ValueError(
            f"{name}={value!r} was given. Expected at least {least}, a whole number. "
            f"Choose {least} to stop as early as can be."
        )


def check_number(
    name: str, value: object, remedy: str, above: float = -math.inf, below: float = math.inf
) -> None:
    """Raises unless `value` is a number between the limits, which it may not be itself."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not above < value < below:  # type: ignore[operator]
        ends = [f"above {above:g}"] if above > -math.inf else []
        ends += [f"below {below:g}"] if below < math.inf else []
        raise ValueError(
            f"{name}={value!r} was given. Expected a number {' and '.join(ends)}. {remedy}"
        )
