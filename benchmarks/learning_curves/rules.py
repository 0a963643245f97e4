"""Stopping rules by their text on the command line: ours, and Optuna's pruners.

`MedianRule(min_epochs=3) | Divergence()` is read with the names of `kt_plus.stopping`, and
`optuna.PercentilePruner(25.0)` with those of `optuna.pruners`. `auto` is the default rule.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import kt_plus
from kt_plus.performance_estimation.stopping import stopper_of

AUTO = "auto"
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)

# The settings of each family that the picture joins by a line, from bold to careful.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "LearningCurveExtrapolation": tuple(
        f"LearningCurveExtrapolation(threshold={t})" for t in reversed(THRESHOLDS)
    ),
    "MedianRule": tuple(f"MedianRule(min_epochs={n})" for n in (1, 2, 5, 10, 20)),
    "PercentileRule": tuple(f"PercentileRule({p})" for p in (90, 75, 50, 25, 10)),
    "SuccessiveHalvingRule": tuple(
        f"SuccessiveHalvingRule({settings})"
        for settings in ("4", "3", "2", "4, min_epochs=4", "3, min_epochs=4", "2, min_epochs=4")
    ),
    "optuna.MedianPruner": tuple(
        f"optuna.MedianPruner(n_warmup_steps={n})" for n in (0, 1, 2, 5, 10, 20)
    ),
    "optuna.PercentilePruner": tuple(
        f"optuna.PercentilePruner({p}.0)" for p in (5, 10, 25, 50, 75, 90)
    ),
    "optuna.PercentilePruner, 5 epochs for all": tuple(
        f"optuna.PercentilePruner({p}.0, n_warmup_steps=4)" for p in (5, 10, 25, 50, 75, 90)
    ),
    "optuna.SuccessiveHalvingPruner": tuple(
        f"optuna.SuccessiveHalvingPruner({settings})"
        for settings in (
            "reduction_factor=4",
            "reduction_factor=3",
            "reduction_factor=2",
            "4, 4",
            "4, 3",
            "4, 2",
        )
    ),
    "optuna.WilcoxonPruner": tuple(
        f"optuna.WilcoxonPruner(p_threshold={p}, n_startup_steps=2)"
        for p in (0.4, 0.2, 0.1, 0.05, 0.01)
    ),
}
# One line of the table each, beside "auto".
USUAL = (
    "MedianRule()",
    "optuna.MedianPruner()",
    "optuna.PercentilePruner(25.0)",
    "optuna.SuccessiveHalvingPruner()",
    "optuna.WilcoxonPruner(p_threshold=0.1)",
)


class Unavailable(RuntimeError):
    """The rule needs something that is not installed, or is not there."""


def make(text: str) -> Any:
    """The rule, or Optuna's pruner.

    Raises:
        Unavailable: If Optuna is not installed, or there is no such rule.
        argparse.ArgumentTypeError: If the text cannot be read, or a setting is refused.
    """
    names: dict[str, Any] = {n: getattr(kt_plus.stopping, n) for n in kt_plus.stopping.__all__}
    if "optuna." in text:
        names["optuna"] = _pruners()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's, of a pruner that it calls experimental
            return stopper_of(AUTO) if text == AUTO else eval(text, {"__builtins__": {}}, names)
    except (NameError, AttributeError, NotImplementedError) as error:
        raise Unavailable(str(error)) from error
    except Exception as error:
        raise argparse.ArgumentTypeError(f"{text} was not understood: {error}") from error


def checked(text: str) -> str:
    """Reads a rule from the command line; the text itself can be sent to another process.

    Raises:
        argparse.ArgumentTypeError: If it cannot be read.
    """
    with contextlib.suppress(Unavailable):
        make(text)
    return text


def is_pruner(text: str) -> bool:
    return text.startswith("optuna.")


def family_of(text: str) -> str:
    """The picture's line that the rule belongs to: its class, or itself if it is composed."""
    listed = next((name for name, texts in FAMILIES.items() if text in texts), None)
    alone = re.fullmatch(r"([\w.]+)\([^()]*\)", text)
    return listed or (alone[1] if alone else text)


def _pruners() -> SimpleNamespace:
    try:
        import optuna
    except ImportError as error:
        raise Unavailable("Optuna is not installed") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return SimpleNamespace(**{n: getattr(optuna.pruners, n) for n in optuna.pruners.__all__})
