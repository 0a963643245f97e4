"""Searches with Keras on JAX, where there is no TensorFlow at all."""

from __future__ import annotations

import pytest

from tests import on_jax

PROGRAM = '''
import importlib.abc
import sys


class NoTensorFlow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoTensorFlow())

import os
import tempfile

import keras

import kt_plus
from tests.integration.small_networks import VALIDATION, X, Y, accuracy, build_model

FIT = {"x": X, "y": Y, "validation_data": VALIDATION, "epochs": 3, "verbose": 0}


class Breaking(keras.callbacks.Callback):
    """Ends the search at the beginning of a trial's second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and tuner._trial_id == "0":
            raise KeyboardInterrupt


assert keras.backend.backend() == "jax"
folder = tempfile.mkdtemp()
place = {"objective": "val_accuracy", "seed": 3, "directory": folder}


def random_search(name):
    rule = kt_plus.stopping.MedianRule(min_trials=1, min_epochs=1)
    return kt_plus.RandomSearch(
        build_model, max_trials=2, stopping=rule, project_name=name, checkpoint_interval=1, **place
    )


whole = random_search("whole")
whole.search(**FIT)
assert abs(accuracy(whole.get_best_models()[0]) - whole.oracle.history.best.score) < 1e-6

tuner = random_search("broken")
try:
    tuner.search(**FIT, callbacks=[Breaking()])
except KeyboardInterrupt:
    print("interrupted")
resumed = random_search("broken")
resumed.search(**FIT)
curves = [[r.curve for r in search.oracle.history] for search in (whole, resumed)]
assert curves[0] == curves[1], curves

evolution = kt_plus.EvolutionarySearch(
    build_model,
    max_trials=3,
    random_trials=2,
    population_size=2,
    inherit_weights=True,
    project_name="line",
    **place,
)
evolution.search(**FIT)
assert kt_plus.results.to_dataframe(evolution)["inherited"].max() > 0

halving = kt_plus.SuccessiveHalving(
    build_model, configurations=2, max_epochs=2, project_name="halving", **place
)
halving.search(**FIT)
assert sorted(record.rung for record in halving.oracle.history) == [0, 0, 1]
assert "tensorflow" not in sys.modules
print("searched")
'''


@pytest.mark.slow
def test_searches_stop_resume_inherit_and_halve_on_jax_without_tensorflow():
    told = on_jax.printed("-c", PROGRAM)
    assert told.startswith("interrupted\n")
    assert told.endswith("searched\n")
