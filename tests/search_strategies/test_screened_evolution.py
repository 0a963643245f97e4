"""Evolution screened by a surrogate, and Bayesian optimization with the same surrogate."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

import kt_plus
from kt_plus.engine.history import History, Proposal, Record
from kt_plus.engine.seeds import proposal_rng
from kt_plus.engine.space import Hooks, Space
from kt_plus.search_strategies.bayesian_optimization import bayesian_optimization
from kt_plus.search_strategies.evolution import Evolution
from kt_plus.search_strategies.screened_evolution import ScreenedEvolution, evolutionary_search
from kt_plus.testing import SPACES, StrategySuite, simulate

from .test_gaussian_process import SPACE, history_of, score


class TestScreenedEvolution(StrategySuite):
    def make_strategy(self):
        return evolutionary_search(30)


@pytest.mark.full
class TestScreenedPopulation(StrategySuite):
    spaces = MappingProxyType({kind: SPACES[kind] for kind in ("flat", "nested", "empty")})

    def make_strategy(self):
        return evolutionary_search(30, population_size=8, removal="worst")


@pytest.mark.full
class TestBayesianOptimization(StrategySuite):
    spaces = MappingProxyType(
        {kind: SPACES[kind] for kind in ("flat", "numeric", "one name, several conditions")}
    )

    def make_strategy(self):
        return bayesian_optimization(5)


def best_after(strategy, trials: int, seed: int) -> float:
    search = simulate(strategy, SPACE, trials, seed=seed, score=score)
    return max(score(proposal.values) for _, proposal in search)


@pytest.mark.parametrize("make", [lambda: evolutionary_search(25), bayesian_optimization])
def test_it_is_better_than_evolution_without_a_model(make):
    difference = [
        best_after(make(), 25, seed) - best_after(evolutionary_search(25, surrogate=None), 25, seed)
        for seed in range(8)
    ]
    assert np.mean(difference) > 2 * np.std(difference, ddof=1) / 8**0.5


def test_without_a_surrogate_it_is_regularized_evolution():
    strategy = evolutionary_search(40, surrogate=None, population_size=12, tournament_size=4)
    assert isinstance(strategy, Evolution)
    assert strategy.survive.size == 12
    assert strategy.select.size == 4


def test_children_of_a_given_population_descend_from_it():
    strategy = evolutionary_search(40, population_size=5, removal="oldest")
    history = history_of(20)
    youngest = {r.trial_id for r in history.completed[-5:]}
    for number in range(10):
        proposal = strategy.propose(SPACE, history, proposal_rng(0, number))
        assert proposal.parent in youngest
    assert strategy.keep(history) == youngest


def test_values_that_the_model_never_asks_for_are_not_what_a_child_changes():
    history = History(replace(r, unused=frozenset({"layers", "norm"})) for r in history_of(15))
    strategy = evolutionary_search(30)
    for number in range(10):
        proposal = strategy.propose(SPACE, history, proposal_rng(1, number))
        if proposal.parent is not None:
            assert not set(proposal.changed) <= {"layers", "norm"}


def test_the_mutations_of_the_hypermodel_are_screened_too():
    asked = []

    def mutate(values, rng):
        asked.append(1)
        return {**values, "layers": int(rng.integers(1, 6))}

    space = Space(SPACE.dimensions, Hooks(mutate=mutate))
    evolutionary_search(30).propose(space, history_of(15), proposal_rng(0, 15))
    assert asked


def test_few_valid_configurations_are_found():
    space = Space(SPACE.dimensions, Hooks(valid=lambda v: v["layers"] == 5 and v["op"] != "pool"))
    search = simulate(evolutionary_search(20), space, 20, score=score)
    assert all(space.admits(p.values) for _, p in search)


class TestPriors:
    def test_the_first_trial_is_near_the_belief(self):
        beliefs = {"rate": kt_plus.Prior(0.03, "high"), "op": kt_plus.Prior("dense")}
        for strategy in (
            evolutionary_search(20, prior=beliefs),
            bayesian_optimization(prior=beliefs),
        ):
            first = strategy.propose(SPACE, History(), proposal_rng(0, 0))
            assert first.values["op"] == "dense"
            assert abs(np.log10(first.values["rate"] / 0.03)) < 0.2

    @staticmethod
    def mean_best(prior, trials):
        strategy = evolutionary_search(30, prior=prior)
        return np.mean([best_after(strategy, trials, seed) for seed in range(6)])

    def test_a_good_belief_helps_and_a_wrong_one_fades(self):
        good = {"rate": kt_plus.Prior(1e-3), "op": kt_plus.Prior("conv")}
        wrong = {"rate": kt_plus.Prior(1e-1), "op": kt_plus.Prior("pool")}
        assert self.mean_best(good, 4) > self.mean_best(None, 4)
        assert self.mean_best(wrong, 30) > self.mean_best(None, 15)

    @pytest.mark.parametrize(
        ("prior", "error", "message"),
        [
            ([1], TypeError, "`prior` must be a mapping"),
            ({"rate": 1e-3}, TypeError, "kt_plus.Prior"),
        ],
    )
    def test_bad_input_is_named(self, prior, error, message):
        with pytest.raises(error, match=message):
            evolutionary_search(10, prior=prior)

    def test_a_belief_needs_a_model(self):
        with pytest.raises(ValueError, match="`prior` must be left out"):
            evolutionary_search(10, surrogate=None, prior={"rate": kt_plus.Prior(1e-3)})

    def test_an_unknown_confidence_is_named(self):
        with pytest.raises(ValueError, match="`confidence` must be one of"):
            kt_plus.Prior(1e-3, "very")


class TestEarlierProjects:
    @staticmethod
    def earlier(sign: float) -> list[Record]:
        return [
            replace(
                r, trial_id=f"old/{r.trial_id}", score=sign * r.score, earlier="old", ended=None
            )
            for r in history_of(40, seed=9)
        ]

    def search(self, earlier: list[Record], trials: int, seed: int) -> float:
        strategy, history, best = evolutionary_search(trials), History(earlier), -np.inf
        for number in range(trials):
            proposal = strategy.propose(SPACE, history, proposal_rng(seed, number))
            assert isinstance(proposal, Proposal)
            parent = history.get(proposal.parent) if proposal.parent else None
            assert parent is None or parent.earlier is None
            found = score(proposal.values)
            best = max(best, found)
            history.put(
                Record(
                    str(number),
                    proposal.values,
                    found,
                    "completed",
                    ended=number,
                    unused=frozenset(),
                )
            )
        return best

    def test_a_project_that_ranks_alike_helps_and_a_misleading_one_does_not_hurt_for_long(self):
        def mean(earlier, trials):
            return np.mean([self.search(earlier, trials, seed) for seed in range(5)])

        assert mean(self.earlier(1.0), 6) > mean([], 6)
        assert mean(self.earlier(-1.0), 24) > mean([], 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"surrogate": "forest"}, "`surrogate` must be"),
        ({"random_trials": 0}, "random_trials"),
        ({"population_size": 5, "tournament_size": 9}, "tournament_size"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        evolutionary_search(20, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_initial_points": 0}, "`num_initial_points` must be"),
        ({"alpha": 0}, "`alpha` must be"),
        ({"beta": float("nan")}, "`beta` must be"),
    ],
)
def test_bad_arguments_of_bayesian_optimization_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bayesian_optimization(**arguments)


def test_alpha_fixes_the_noise_and_beta_selects_the_confidence_bound():
    strategy = bayesian_optimization(alpha=0.05, beta=2.0)
    assert isinstance(strategy.propose(SPACE, history_of(10), proposal_rng(0, 10)), Proposal)
    from kt_plus.search_strategies.surrogate import Surrogate

    rng = np.random.default_rng(0)
    surrogate = Surrogate.fit(SPACE, history_of(10), rng, strategy._kernel(), beta=2.0)
    assert surrogate.process.noise == pytest.approx(0.05)
    mean, deviation = surrogate.process.predict(surrogate.features(surrogate.rows))
    np.testing.assert_allclose(surrogate.promise(surrogate.rows), mean + 2 * deviation)


def test_the_parents_are_the_trials_that_keep_their_weights():
    strategy, history = ScreenedEvolution(), history_of(60)
    kept = strategy.keep(history)
    assert len(kept) == 24
    for number in range(10):
        proposal = strategy.propose(SPACE, history, proposal_rng(0, number))
        assert proposal.parent is None or proposal.parent in kept
