"""The conformance suite, run over every strategy of the package."""

from __future__ import annotations

import functools

import pytest

from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.exhaustive import Grid, RandomSampling
from kt_plus.search_strategies.optuna_sampling import optuna_sampling
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
from kt_plus.search_strategies.successive_halving import successive_halving
from kt_plus.testing import StrategySuite


class TestAgeingEvolution(StrategySuite):
    def make_strategy(self):
        return evolution(30, population_size=10, random_trials=4)


class TestEvolutionThatRemovesTheWorst(StrategySuite):
    def make_strategy(self):
        return evolution(30, population_size=10, random_trials=4, removal="worst")


class TestEvolutionByMutationAlone(StrategySuite):
    def make_strategy(self):
        return evolution(30, population_size=10, random_trials=4, crossover=0.0)


class TestEvolutionWithDefaults(StrategySuite):
    def make_strategy(self):
        return evolution(None)


class TestRandomSampling(StrategySuite):
    def make_strategy(self):
        return RandomSampling()


class TestGrid(StrategySuite):
    def make_strategy(self):
        return Grid(samples=3)


class TestReinforce(StrategySuite):
    def make_strategy(self):
        return reinforcement_learning(30, algorithm="reinforce", units=4)


class TestPPO(StrategySuite):
    def make_strategy(self):
        return reinforcement_learning(30, algorithm="ppo", batch_size=3, units=4)


class TestIndependentController(StrategySuite):
    def make_strategy(self):
        return reinforcement_learning(30, controller="independent")


class TestSuccessiveHalving(StrategySuite):
    exhaustive = False

    def make_strategy(self):
        return successive_halving(3, configurations=8)


class TestASHA(StrategySuite):
    exhaustive = False

    def make_strategy(self):
        return successive_halving(3, configurations=None, factor=3, asynchronous=True)


class TestEvolutionInASHA(StrategySuite):
    exhaustive = False

    def make_strategy(self):
        source = evolution(30, population_size=10, random_trials=4)
        return successive_halving(3, configurations=40, asynchronous=True, source=source)


class TestControllerInSuccessiveHalving(StrategySuite):
    exhaustive = False

    def make_strategy(self):
        source = reinforcement_learning(30, controller="independent")
        return successive_halving(2, configurations=6, iterations=None, source=source)


class TestTPE(StrategySuite):
    def make_strategy(self):
        optuna = pytest.importorskip("optuna", reason="the extra optuna")
        sampler = functools.partial(
            optuna.samplers.TPESampler, n_startup_trials=4, n_ei_candidates=4, constant_liar=True
        )
        return optuna_sampling(sampler)
