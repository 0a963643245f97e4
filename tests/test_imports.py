"""What is pure stays pure: the core is imported where no deep-learning library can be."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import keras_tuner
import pytest

import kt_plus
import kt_plus.performance_estimation
import kt_plus.search_strategies

BLOCK = """
import importlib.abc, sys

HEAVY = {"keras", "keras_tuner", "tensorflow", "jax", "torch"}

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Block())
"""


def modules_of(package) -> list[str]:
    prefix = package.__name__ + "."
    return [package.__name__, *(m.name for m in pkgutil.walk_packages(package.__path__, prefix))]


PURE = [
    "kt_plus",
    "kt_plus.engine.budget",
    "kt_plus.engine.dimensions",
    "kt_plus.engine.history",
    "kt_plus.engine.ledger",
    "kt_plus.engine.seeds",
    "kt_plus.engine.space",
    "kt_plus.testing",
    *modules_of(kt_plus.search_strategies),
    *modules_of(kt_plus.performance_estimation),
]


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_pure_core_is_imported_without_any_deep_learning_library():
    assert "kt_plus.search_strategies.evolution" in PURE
    assert "kt_plus.performance_estimation.stopping.rank" in PURE
    imports = "\n".join(f"import {name}" for name in PURE)
    assert run(f"{BLOCK}\n{imports}\nprint('imported')") == "imported"


def test_the_block_blocks():
    code = f"{BLOCK}\ntry:\n    import keras_tuner\nexcept ModuleNotFoundError as e:\n    print(e)"
    assert run(code) == "keras_tuner is blocked"


def test_a_search_runs_without_any_deep_learning_library():
    code = f"""{BLOCK}
import kt_plus
from kt_plus.search_strategies.evolution import evolution
from kt_plus.testing import SPACES, simulate
rule = kt_plus.stopping.MedianRule(1, 1)
for history, proposal in simulate(evolution(20), SPACES["nested"], 20):
    trial = kt_plus.Record("new", proposal.values, curve=(0.1, 0.2, 0.3))
    rule.judge(trial, history)
print(len(history), isinstance(proposal, kt_plus.Proposal))
"""
    assert run(code) == "19 True"


def test_importing_kt_plus_imports_nothing_heavy():
    code = """
import sys
import kt_plus
dir(kt_plus)
heavy = {"keras", "keras_tuner", "tensorflow", "jax", "torch", "numpy", "scipy", "tqdm"}
print(sorted(heavy & set(sys.modules)))
"""
    assert run(code) == "[]"


@pytest.mark.parametrize("name", kt_plus.__all__)
def test_every_public_name_is_there(name):
    assert getattr(kt_plus, name) is not None
    assert name in dir(kt_plus)


@pytest.mark.parametrize("module", ["", "errors", "oracles", "tuners"])
def test_kt_plus_has_every_name_of_keras_tuner(module):
    theirs = getattr(keras_tuner, module) if module else keras_tuner
    ours = getattr(kt_plus, module) if module else kt_plus
    inner = {"engine", "src"}  # not documented
    names = {name for name in dir(theirs) if not name.startswith("_")} - inner
    assert len(names) >= 4
    assert names <= set(ours.__all__)
    for name in names - {"errors", "oracles", "tuners"}:
        found = getattr(ours, name)
        bases = (keras_tuner.Tuner, keras_tuner.Oracle)
        assert found is getattr(theirs, name) or issubclass(found, bases)


def test_the_names_of_keras_tuners_engine_are_there_too():
    code = """
import keras_tuner
import kt_plus as kt
assert kt.engine.trial.TrialStatus is keras_tuner.engine.trial.TrialStatus
assert kt.engine.hyperparameters.HyperParameters is kt.HyperParameters
assert kt.engine.hypermodel.HyperModel is kt.HyperModel
assert kt.engine.tuner.Tuner is kt.Tuner
assert kt.engine.oracle.Oracle is kt.Oracle
assert issubclass(kt.Tuner, kt.engine.base_tuner.BaseTuner)
assert not hasattr(kt.engine, "trials")
print("there")
"""
    assert run(code) == "there"


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'kt_plus' has no attribute 'Evolution'"):
        _ = kt_plus.Evolution
    assert not hasattr(kt_plus, "__path_hooks__")


def test_star_imports_every_public_name():
    names: dict = {}
    exec("from kt_plus import *", names)
    assert set(kt_plus.__all__) <= names.keys()
    assert names["EvolutionarySearch"] is kt_plus.tuners.EvolutionarySearch
    assert names["stopping"] is kt_plus.performance_estimation.stopping
