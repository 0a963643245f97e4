"""The softmaxes of all hyperparameters at once are each one's own."""

from __future__ import annotations

import numpy as np
import pytest

from kt_plus.search_strategies.reinforcement_learning.softmaxes import Softmaxes

COUNTS = [[3], [1], [2, 2], [1, 5, 1, 300, 2]]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_each_is_a_softmax_of_its_own_logits(counts):
    logits = np.random.default_rng(0).normal(scale=5.0, size=(sum(counts), 4))
    told = Softmaxes(counts).of(logits)
    ends = np.cumsum(counts)[:-1]
    for i, own in enumerate(np.split(logits, ends)):
        expected = np.exp(own) / np.exp(own).sum(axis=0)
        np.testing.assert_allclose(np.split(told.probabilities, ends)[i], expected)
        np.testing.assert_allclose(np.split(told.logs, ends)[i], np.log(expected), atol=1e-12)
        entropy = -(expected * np.log(expected)).sum(axis=0)
        np.testing.assert_allclose(told.entropies[i], entropy, atol=1e-12)


def test_a_policy_that_is_all_but_sure_has_finite_entropies_and_slopes():
    softmaxes = Softmaxes([3, 2])
    told = softmaxes.of(np.array([[2000.0, 0.0, -2000.0, 1e5, -1e5]]).T)
    np.testing.assert_array_equal(told.probabilities[:, 0], [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(told.entropies[:, 0], 0.0)
    chosen = np.array([[2], [4]])
    slopes = softmaxes.slopes(told, chosen, np.ones((2, 1)), np.ones((2, 1)))
    np.testing.assert_array_equal(slopes[:, 0], [-1, 0, 1, -1, 1])
