"""What every search strategy has to do, as tests to inherit."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np

from kt_plus.engine.history import History, Proposal
from kt_plus.engine.seeds import proposal_rng
from kt_plus.engine.space import Hooks, Space
from kt_plus.search_strategies.base import Strategy
from kt_plus.testing.simulation import (
    Values,
    in_another_process,
    invented_score,
    searched_values,
    simulate,
    told,
    trace,
)
from kt_plus.testing.spaces import SPACES


class StrategySuite:
    """What every search strategy has to do. Inherit it, and say how yours is made.

    When to use it: for any strategy that `kt_plus.Oracle` is to run.

    Attributes:
        spaces: The search spaces to try, by name.
        exhaustive: Whether the strategy goes on until every configuration was tried.

    Example:
    ```python
    class TestMyStrategy(StrategySuite):
        def make_strategy(self):
            return MyStrategy()
    ```
    """

    spaces: Mapping[str, Space] = SPACES
    exhaustive: bool = True

    def make_strategy(self) -> Strategy:
        """A new strategy, the same at every call, that has learnt something by its 10th trial."""
        raise NotImplementedError("Override `make_strategy` so that it returns your strategy.")

    def test_values_are_legal_complete_and_plain(self) -> None:
        for kind, space in self.spaces.items():
            for _, proposal in simulate(self.make_strategy(), space, 30, workers=2):
                legal = space.check(proposal.values)
                assert proposal.values == legal, f"{kind}: {proposal} lacks some of {legal}."
                for dimension in space.active(legal):
                    value, expected = proposal.values[dimension.name], type(dimension.default)
                    assert type(value) is expected, f"{kind}: {value!r} in {proposal}: {expected}?"
                assert type(proposal.rung) is int, f"{kind}: the rung of {proposal} is no int."

    def test_lineage_is_told(self) -> None:
        for kind, space in self.spaces.items():
            for history, proposal in simulate(self.make_strategy(), space, 30, workers=2):
                if proposal.parent is None:
                    continue
                parent = history.get(proposal.parent)
                assert parent is not None, f"{kind}: no trial is the parent of {proposal}."
                differ = proposal.values.items() - parent.values.items()
                changed = {name for name, _ in differ}
                assert set(proposal.changed) == changed, f"{kind}: {proposal} of {parent}."

    def test_parents_had_been_kept(self) -> None:
        """Of a strategy with a method `keep`: what it gave up once is not gone on from later."""
        for kind, space in self.spaces.items():
            strategy, given_up = self.make_strategy(), set[str]()
            keep = getattr(strategy, "keep", None)
            if keep is None:
                return
            for history, proposal in simulate(strategy, space, 60, workers=3):
                needed = keep(history)
                given_up.update(r.trial_id for r in history.completed if r.trial_id not in needed)
                assert proposal.parent not in given_up, f"{kind}: {proposal} after {given_up}."

    def test_proposals_are_reproducible(self) -> None:
        for kind, space in self.spaces.items():
            _seed_everything(1)
            once = trace(self.make_strategy(), space)
            before = _seed_everything(2)
            again = trace(self.make_strategy(), space)
            assert again == once, f"{kind}: the same search has other proposals."
            assert _state() == before, f"{kind}: randomness came from elsewhere than `rng`."

    def test_proposals_are_the_same_in_another_process(self) -> None:
        spaces = list(self.spaces.values())
        here = _traces(self.make_strategy(), spaces)
        there = in_another_process(_traces, self.make_strategy(), spaces)
        for kind, expected, found in zip(self.spaces, here, there, strict=True):
            assert found == expected, f"{kind}: another process has other proposals."

    def test_inputs_are_left_as_they_are(self) -> None:
        for kind, space in self.spaces.items():
            dimensions, strategy = space.dimensions, self.make_strategy()
            for history, _ in simulate(strategy, space, 15):
                frozen = [replace(r, values=MappingProxyType(dict(r.values))) for r in history]
                given = History(frozen)
                strategy.propose(space, given, proposal_rng(0, len(history)))
                assert list(given) == list(history), f"{kind}: the history was changed."
                assert space.dimensions == dimensions, f"{kind}: the space was changed."

    def test_order_of_dictionaries_is_irrelevant(self) -> None:
        for kind, space in self.spaces.items():
            strategy = self.make_strategy()
            for history, proposal in simulate(strategy, space, 20):
                turned = [replace(r, values=_reversed(r.values)) for r in history]
                answer = strategy.propose(space, History(turned), proposal_rng(0, len(history)))
                assert told(answer) == told(proposal), f"{kind}: the order changes the proposal."

    def test_minimise_and_maximise_are_mirrored(self) -> None:
        for kind, space in self.spaces.items():
            most = searched_values(self.make_strategy(), space, "max")
            least = searched_values(self.make_strategy(), space, "min")
            assert most == least, f"{kind}: the negated objective is searched differently."

    def test_a_resumed_search_goes_on_as_the_uninterrupted_one(self) -> None:
        for kind, space in self.spaces.items():
            for history, proposal in simulate(self.make_strategy(), space, 30, workers=2):
                rng = proposal_rng(0, len(history))
                answer = self.make_strategy().propose(space, History(history), rng)
                assert told(answer) == told(proposal), f"{kind}: resumed, it proposes {answer}."

    def test_nothing_is_tried_twice(self) -> None:
        for kind, space in self.spaces.items():
            _assert_distinct(kind, simulate(self.make_strategy(), space, 60, workers=3))

    def test_everything_is_tried_once_and_then_it_is_done(self) -> None:
        finite = {kind: space for kind, space in self.spaces.items() if space.is_finite}
        for kind, space in finite.items() if self.exhaustive else ():
            everything = list(islice(space.enumerate(samples=None), 51))
            for workers in (1, 4) if len(everything) <= 50 else ():
                search = simulate(self.make_strategy(), space, 100, workers=workers)
                tried = [proposal.values for _, proposal in search]
                assert _sorted(tried) == _sorted(everything), f"{kind}: tried {tried}."

    def test_values_that_build_the_same_model_count_as_one(self) -> None:
        if self.exhaustive:
            search = simulate(self.make_strategy(), SPACES["flat"], 100, unused={"norm"})
            models = [_sorted([{**proposal.values, "norm": False}]) for _, proposal in search]
            assert len(models) == 12, f"{len(models)} trials for 12 models."
            assert len({str(model) for model in models}) == 12, "A model was tried twice."

    def test_what_the_hypermodel_calls_invalid_is_never_proposed(self) -> None:
        space = Space(SPACES["flat"].dimensions, Hooks(valid=_is_within_bounds))
        for _, proposal in simulate(self.make_strategy(), space, 30, workers=2):
            assert space.admits(proposal.values), f"{proposal} is not valid: see `space.admits`."

    def test_failed_trials_are_never_parents(self) -> None:
        for kind, space in self.spaces.items():
            search = simulate(self.make_strategy(), space, 40, workers=2, score=_half_fail)
            for history, proposal in search:
                parent = history.get(proposal.parent) if proposal.parent is not None else None
                failed = parent is not None and parent.status == "failed"
                assert not failed, f"{kind}: the parent of {proposal} has failed."

    def test_failures_alone_do_not_end_a_search(self) -> None:
        for kind, space in self.spaces.items():
            search = simulate(self.make_strategy(), space, 20, workers=2, score=lambda _: None)
            _assert_distinct(kind, search)

    def test_trials_that_run_at_once_are_distinct(self) -> None:
        for kind, space in self.spaces.items():
            _assert_distinct(kind, simulate(self.make_strategy(), space, 48, workers=16))


def _is_within_bounds(values: Values) -> bool:
    return not (values["norm"] and values["units"] == 64)


def _traces(strategy: Strategy, spaces: Sequence[Space]) -> list[list[tuple[Any, ...]]]:
    return [trace(strategy, space) for space in spaces]


def _half_fail(values: Values) -> float | None:
    score = invented_score(values)
    return score if score < 0.5 else None


def _assert_distinct(kind: str, search: Iterator[tuple[History, Proposal]]) -> None:
    """Checks that something is proposed, and nothing twice at one rung."""
    seen = set()
    for _, proposal in search:
        key = proposal.rung, frozenset(proposal.values.items())
        assert key not in seen, f"{kind}: {proposal} was proposed before."
        seen.add(key)
    assert seen, f"{kind}: nothing was proposed."


def _sorted(configurations: Sequence[Values]) -> list[Any]:
    return sorted(
        sorted((name, repr(v)) for name, v in values.items()) for values in configurations
    )


def _reversed(values: Values) -> Values:
    return dict(reversed(list(values.items())))


def _seed_everything(seed: int) -> Any:
    random.seed(seed)
    np.random.seed(seed)
    return _state()


def _state() -> Any:
    numpy_state = np.random.get_state(legacy=False)["state"]
    return random.getstate(), numpy_state["key"].tobytes(), numpy_state["pos"]
