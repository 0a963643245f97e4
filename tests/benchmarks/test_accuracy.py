"""The benchmark of real training on generated data."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import accuracy


@pytest.mark.parametrize("data", accuracy.DATA)
def test_the_data_are_those_of_their_seed_and_hold_every_class(data):
    x, y = accuracy.DATA[data](200, np.random.default_rng(0))
    again, _ = accuracy.DATA[data](200, np.random.default_rng(0))
    other, _ = accuracy.DATA[data](200, np.random.default_rng(1))
    assert np.array_equal(x, again)
    assert not np.array_equal(x, other)
    assert len(x) == 200
    assert set(y) == set(range(accuracy.CLASSES))
    assert np.isfinite(x).all()


@pytest.mark.full
@pytest.mark.slow
def test_a_search_is_judged_by_the_test_accuracy_of_the_trial_in_hand(capsys):
    arguments = "--data signals --methods kt.RandomSearch kt_plus.EvolutionarySearch"
    accuracy.main([*arguments.split(), *["--seeds", "1", "--trials", "2", "--epochs", "1"]])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| k")]
    assert len(lines) == 2
    assert all(0 < float(line.split("|")[2]) < 1 for line in lines)
