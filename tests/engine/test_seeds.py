"""Seeds: reproducible, and unrelated for every seed, position, trial and execution."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from kt_plus.engine.seeds import proposal_rng, search_seed, training_seed


def test_zero_is_a_seed():
    assert search_seed(0) == 0
    assert search_seed(np.int64(7)) == 7  # type: ignore[arg-type]
    assert proposal_rng(0, 0).random() == proposal_rng(0, 0).random()


def test_without_a_seed_the_one_of_python_decides():
    random.seed(5)
    first = search_seed(None)
    random.seed(5)
    assert search_seed(None) == first
    assert search_seed(None) != first


@pytest.mark.parametrize("stranger", [(8, 0), (7, 1), (0, 7), (-7, 0), (7 + 2**31, 0)])
def test_other_seeds_and_places_have_unrelated_streams(stranger):
    mine, other = proposal_rng(7, 0).random(20_000), proposal_rng(*stranger).random(20_000)
    assert not np.isin(mine, other).any()
    assert abs(np.corrcoef(mine, other)[0, 1]) < 0.03
    # Keras Tuner's streams of seeds 7 and 8 are the same one, shifted.
    assert abs(np.corrcoef(mine[1:], other[:-1])[0, 1]) < 0.03


def test_streams_of_neighbouring_seeds_and_places_never_meet():
    firsts = [proposal_rng(seed, place).random() for seed in range(40) for place in range(40)]
    assert len(set(firsts)) == 1600


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 + 5])
def test_any_whole_number_is_a_seed(seed):
    assert 0.0 <= proposal_rng(seed, 3).random() < 1.0
    assert 0 <= training_seed(seed, "0", 0) < 2**31


def test_trials_and_executions_train_with_seeds_of_their_own():
    cases = list(itertools.product((0, 7, 8), ("00", "01", "1", "10"), (0, 1, 2)))
    seeds = [training_seed(*case) for case in cases]
    assert len(set(seeds)) == len(cases)
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    assert [training_seed(*case) for case in cases] == seeds
