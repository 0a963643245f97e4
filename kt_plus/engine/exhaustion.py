"""Describes why a search ends when its strategy has nothing left to propose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kt_plus.engine.history import DONE
from kt_plus.engine.seeds import proposal_rng
from kt_plus.search_strategies.base import draw_untried
from kt_plus.search_strategies.exhaustive import Grid

if TYPE_CHECKING:
    from kt_plus.engine.oracle import Oracle


@dataclass(frozen=True)
class End:
    """The end of a search.

    Args:
        text: The reason, with the number of configurations that were tried.
        is_early: Whether the user has asked for more trials, and may not expect the end.
    """

    text: str
    is_early: bool = False


def end_of(oracle: Oracle) -> End | None:
    """Describes the end of a search; `None` if it is the planned end of its strategy.

    A complete grid is never early, even where `max_trials` is larger.

    Args:
        oracle: The search, whose strategy has just answered `DONE`.
    """
    started, asked_for = len(oracle.start_order), oracle.max_trials
    number = f"{started} trial{'' if started == 1 else 's'}"
    after = number if asked_for is None else f"{started} of {asked_for} trials"
    if isinstance(oracle.strategy, Grid):
        return End(f"The search ended after {after}: the grid is complete {_tried(oracle)}.")
    if _nothing_is_left(oracle):
        text = f"The search ended after {after}: no untried configuration is left {_tried(oracle)}."
        advice = f"{_alike(oracle)} To run more trials, add hyperparameters or values."
        return End(text) if asked_for is None else End(text + advice, is_early=True)
    if asked_for is None:
        return None
    return End(f"The search ended after {after}: the strategy proposes no more {_tried(oracle)}.")


def _tried(oracle: Oracle) -> str:
    tried = len({frozenset(record.values.items()) for record in oracle.history})
    earlier = ", with earlier projects" if len(oracle.history) > len(oracle.trials) else ""
    return f"(configurations tried: {tried}{earlier})"


def _nothing_is_left(oracle: Oracle) -> bool:
    """Whether no untried configuration is found: a strategy may end for other reasons."""
    rng = proposal_rng(oracle.seed, len(oracle.start_order))
    try:
        return draw_untried(oracle.space, oracle.history, rng) is DONE
    except ValueError:  # the hypermodel's `valid` allows none of those drawn
        return False


def _alike(oracle: Oracle) -> str:
    """Says which configurations are equal although their values differ, if any are."""
    unused = sorted({name for record in oracle.history for name in record.unused or ()})
    text = ""
    if unused:
        text += f" Hyperparameters that a model did not use do not count: {', '.join(unused)}."
    if oracle.hooks.fingerprint is not None:
        text += " Configurations that build the same network count as one."
    return text
