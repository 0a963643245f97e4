"""Search spaces with Keras on JAX."""

from __future__ import annotations

import pytest

from tests import on_jax

PROGRAM = """
import tempfile

import keras
import numpy as np

import kt_plus
from kt_plus.search_spaces.base import hyperparameters
from tests.search_spaces.networks import SPACES, data_of

assert keras.backend.backend() == "jax"
for name in ("chain-image", "chain-sequence", "branching-table", "nas_bench_201-image"):
    space = SPACES[name]()
    values = space.architecture.draw(np.random.default_rng(0))
    graph, model = space.graph(hyperparameters(values)), space.build(hyperparameters(values))
    assert graph.parameters == model.count_params(), name
    assert model(data_of(space)[0]).shape == (16, 3), name
    print(name)

space = SPACES["chain-table"]()
with tempfile.TemporaryDirectory() as folder:
    tuner = kt_plus.EvolutionarySearch(
        space, "loss", max_trials=2, seed=0, random_trials=1, directory=folder
    )
    tuner.search(*data_of(space), epochs=1, verbose=0)
    model = tuner.get_best_models()[0]
    model.save(f"{folder}/best.keras")
    keras.saving.load_model(f"{folder}/best.keras")
print("searched")
"""


@pytest.mark.full
@pytest.mark.slow
def test_search_spaces_work_on_jax():
    assert on_jax.printed("-c", PROGRAM).split()[-1] == "searched"
