"""Samplers of Optuna's as strategies: trials, suggestions, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.history import DONE, History, Record, Verdict
from kt_plus.engine.space import Space
from kt_plus.search_strategies.optuna_sampling import optuna_sampling
from kt_plus.testing import SPACES, simulate
from tests.errors import raises_in_three_parts

optuna = pytest.importorskip("optuna", reason="the extra optuna")
study_module = pytest.importorskip("kt_plus.search_strategies.optuna_study")

LINE = Space([Numeric("x", -1.0, 1.0), Numeric("rate", 1e-4, 1.0, sampling="log")])


def bowl(values: Any) -> float:
    """Best at x = 0.5 and rate = 0.01."""
    return -((values["x"] - 0.5) ** 2) - 0.1 * (np.log10(values["rate"]) + 2) ** 2


@pytest.mark.parametrize("kind", SPACES)
def test_every_value_survives_the_way_to_optuna_and_back(kind: str) -> None:
    for d in SPACES[kind].dimensions:
        distribution = study_module.distribution_of(d)
        for value in [*d.samples(23), d.default, d.from_unit(0.0), d.from_unit(1.0)]:
            told = study_module.parameter_of(d, value)
            assert distribution._contains(distribution.to_internal_repr(told)), (d, value)
            back = study_module.value_of(d, told)
            expected = d.canonical(value)
            assert type(back) is type(expected)
            assert back == expected or back == pytest.approx(expected, rel=1e-9), (d, value)


def test_all_values_that_optuna_may_suggest_are_legal() -> None:
    for d in SPACES["numeric"].dimensions:
        distribution = study_module.distribution_of(d)
        for end in (distribution.low, distribution.high):
            assert d.admits(study_module.value_of(d, end)), (d, end)


def test_a_default_beside_the_steps_is_told_as_the_nearest_step() -> None:
    d = Numeric("units", 16, 100, 16, integer=True, initial=50)
    assert study_module.parameter_of(d, d.default) == 48
    study_module.ToldStudy(Space([d])).tell(History([Record("0", {"units": 50})]))


@pytest.mark.parametrize("space", [LINE, SPACES["nested"]], ids=["line", "nested"])
def test_it_suggests_what_optuna_alone_does(space: Space) -> None:
    """The same trials, the same seed, Optuna's own ask-and-tell: the same suggestion."""
    *_, (history, _) = simulate(optuna_sampling(), space, 30, workers=3, seed=5)
    alone = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=8), direction="maximize")
    told = study_module.ToldStudy(space)
    told.tell(history)
    for record in history:
        alone.add_trial(told._frozen(record))
    trial, values = alone.ask(), {}
    for d in space.by_name:
        if d.is_active(values):
            suggested = trial._suggest(d.name, study_module.distribution_of(d))
            values[d.name] = study_module.value_of(d, suggested)
    assert told.ask(optuna.samplers.TPESampler(seed=8)).values == values
    states = [t.state.name for t in alone.get_trials(deepcopy=False)[:-1]]
    assert states.count("RUNNING") == 2


def test_what_trials_have_become_is_told() -> None:
    stopped = Verdict(True, "why")
    history = History(
        [
            Record("a", {"x": 0.1, "rate": 0.1}, 0.5, "completed"),
            Record("b", {"x": 0.2, "rate": 0.1}),
            Record("c", {"x": 0.3, "rate": 0.1}, None, "failed"),
            Record("d", {"x": 0.4, "rate": 0.1}, 0.2, "completed", verdict=stopped),
            Record("e", {"x": 0.5, "rate": 0.1}, None, "failed", verdict=stopped),  # excluded
        ]
    )
    study = study_module.ToldStudy(LINE)
    study.tell(history)
    trials = study._study.trials
    assert [t.state.name for t in trials] == ["COMPLETE", "RUNNING", "PRUNED", "COMPLETE", "FAIL"]
    assert [t.value for t in trials] == [0.5, None, None, 0.2, None]
    assert [t.params["x"] for t in trials] == [0.1, 0.2, 0.3, 0.4, 0.5]
    history.put(Record("b", {"x": 0.2, "rate": 0.1}, 0.9, "completed"))
    assert study.can_follow(LINE, history)
    study.tell(history)
    assert study._study.trials[1].value == 0.9
    history.put(Record("b", {"x": 0.2, "rate": 0.1}, 0.8, "completed"))
    assert not study.can_follow(LINE, history)


def test_failed_regions_are_left() -> None:
    """Half of the line fails: as failures are worse than all else, few more trials fail."""
    failed = 0
    for seed in range(5):
        fails = lambda values: None if values["x"] < 0 else bowl(values)  # noqa: E731
        search = simulate(optuna_sampling(), LINE, 40, seed=seed, score=fails)
        failed += sum(p.values["x"] < 0 for h, p in search if len(h) >= 20)
    assert failed < 20


def test_it_finds_what_random_search_does_not() -> None:
    best: dict[str, list[float]] = {}
    for name in ("TPESampler", "RandomSampler"):
        for seed in range(5):
            strategy = optuna_sampling(getattr(optuna.samplers, name))
            search = simulate(strategy, LINE, 50, seed=seed, score=bowl)
            best.setdefault(name, []).append(max(bowl(p.values) for _, p in search))
    assert np.mean(best["TPESampler"]) > 0.3 * np.mean(best["RandomSampler"])


def test_a_sampler_that_counts_configurations_tries_all() -> None:
    strategy = optuna_sampling(optuna.samplers.BruteForceSampler)
    search = [p.values for _, p in simulate(strategy, SPACES["flat"], 100, workers=2)]
    assert len({str(v) for v in search}) == 24 == len(search)
    history = History(
        Record(str(i), v, 0.1, "completed", unused=frozenset()) for i, v in enumerate(search)
    )
    assert strategy.propose(SPACES["flat"], history, np.random.default_rng(0)) is DONE


def test_one_name_under_several_conditions_has_several_parameters() -> None:
    conditions = [(Condition("op", (kind,)),) for kind in ("a", "b")]
    space = Space(
        [
            Discrete("op", ("a", "b")),
            Numeric("size", 1, 9, integer=True, conditions=conditions[0]),
            Discrete("size", ("s", "m"), conditions=conditions[1]),
        ]
    )
    names = sorted(study_module.parameter_names(space).values())
    assert names == ["op", "size", "size (2)"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_grid_sampler_is_refused(wrapped: bool) -> None:
    def make(seed: int) -> Any:
        grid = optuna.samplers.GridSampler({"x": [0.0], "rate": [0.1]}, seed=seed)
        return optuna.samplers.PartialFixedSampler({"x": 0.5}, grid) if wrapped else grid

    with raises_in_three_parts(ValueError, happened="GridSampler", expected="must make a sampler"):
        optuna_sampling(make)
    with raises_in_three_parts(ValueError, happened="GridSampler", expected="must make a sampler"):
        optuna_sampling(optuna.samplers.GridSampler)


def test_settings_are_given_by_a_function() -> None:
    def fixed(seed: int) -> Any:
        inner = optuna.samplers.TPESampler(seed=seed)
        return optuna.samplers.PartialFixedSampler({"x": 0.5}, inner)

    search = [p for _, p in simulate(optuna_sampling(fixed), LINE, 15)]
    assert {p.values["x"] for p in search} == {0.5}


@pytest.mark.parametrize("sampler", [optuna.samplers.TPESampler(), "TPE", 3])
def test_anything_else_is_refused(sampler: Any) -> None:
    with raises_in_three_parts(TypeError, happened="sampler=", expected="a class of samplers"):
        optuna_sampling(sampler)


def test_a_function_that_makes_no_sampler_is_refused() -> None:
    with raises_in_three_parts(
        TypeError, happened="has returned 0", expected="a sampler of Optuna"
    ):
        optuna_sampling(lambda seed: seed)


def test_a_sampler_of_illegal_values_is_told() -> None:
    class Wrong(optuna.samplers.RandomSampler):
        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return 7.0

    with raises_in_three_parts(ValueError, happened="7.0", expected="FloatDistribution"):
        optuna_sampling(Wrong).propose(LINE, History(), np.random.default_rng(0))


def test_it_says_what_it_is_and_nothing_else(capsys: Any) -> None:
    assert repr(optuna_sampling()) == "OptunaSampling(make_sampler=TPESampler)"
    assert "RandomSampler" in repr(optuna_sampling(optuna.samplers.RandomSampler))
    list(simulate(optuna_sampling(), LINE, 3))
    told = capsys.readouterr()
    assert told.out == told.err == ""
