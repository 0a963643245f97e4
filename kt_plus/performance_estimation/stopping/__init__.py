"""Rules that end hopeless trials early, and what they would have done."""

from __future__ import annotations

from typing import Any

from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.performance_estimation.stopping.extrapolation import LearningCurveExtrapolation
from kt_plus.performance_estimation.stopping.patience import Divergence, Patience
from kt_plus.performance_estimation.stopping.rank import (
    MedianRule,
    PercentileRule,
    SuccessiveHalvingRule,
)
from kt_plus.performance_estimation.stopping.replay import Replay, replay

__all__ = [
    "Divergence",
    "LearningCurveExtrapolation",
    "MedianRule",
    "Patience",
    "PercentileRule",
    "Replay",
    "Stopper",
    "SuccessiveHalvingRule",
    "replay",
]


def stopper_of(stopping: Any) -> Any:
    """The rule that a `stopping` argument stands for; `None` for none.

    Args:
        stopping: A rule, `None`, or "auto" for the default rule.

    Raises:
        ValueError: If it is none of these.
    """
    if stopping == "auto":
        return LearningCurveExtrapolation() | Divergence()
    if stopping is None or (_is_rule(stopping) and not isinstance(stopping, type)):
        return stopping
    remedy = f"Call it: {stopping.__name__}()." if _is_rule(stopping) else "Leave it out for none."
    raise ValueError(
        f"stopping={stopping!r} was given. Expected 'auto', None, or a rule with a `judge` "
        f"method, such as kt_plus.stopping.MedianRule(). {remedy}"
    )


def _is_rule(thing: Any) -> bool:
    return callable(getattr(thing, "judge", None))
