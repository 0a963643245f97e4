"""kt_plus: what Keras Tuner lacks, by changing one word.

`kt_plus.EvolutionarySearch` stands where `keras_tuner.RandomSearch` stood; every
search of Keras Tuner's is here too, with early stopping, budgets and safe resuming. So
are its other public names, as they are: `import kt_plus as kt` is enough.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_tuner import (
        HyperModel,
        HyperParameters,
        Objective,
        SklearnTuner,
        applications,
        synchronized,
    )

    from kt_plus import distribute, errors, oracles, results, search_spaces, testing, tuners
    from kt_plus.auto_model import AutoModel
    from kt_plus.engine.history import DONE, WAIT, History, Proposal, Record, Verdict
    from kt_plus.engine.oracle import Oracle
    from kt_plus.engine.space import Space
    from kt_plus.performance_estimation import fidelity, stopping
    from kt_plus.performance_estimation.inheritance import WeightInheritance
    from kt_plus.results.html import report
    from kt_plus.search_strategies.base import Strategy
    from kt_plus.search_strategies.beliefs import Prior
    from kt_plus.tuners import (
        BayesianOptimization,
        EvolutionarySearch,
        GridSearch,
        Hyperband,
        OptunaSearch,
        RandomSearch,
        ReinforcementLearning,
        SuccessiveHalving,
        Tuner,
    )

__version__ = "0.1.0"

# Where each public name lives; it is imported when first used.
_HOMES = {
    "kt_plus.tuners": (
        "BayesianOptimization",
        "EvolutionarySearch",
        "GridSearch",
        "Hyperband",
        "OptunaSearch",
        "RandomSearch",
        "ReinforcementLearning",
        "SuccessiveHalving",
        "Tuner",
    ),
    "kt_plus.auto_model": ("AutoModel",),
    "kt_plus.engine.oracle": ("Oracle",),
    "kt_plus.engine.history": ("DONE", "WAIT", "History", "Proposal", "Record", "Verdict"),
    "kt_plus.engine.space": ("Space",),
    "kt_plus.performance_estimation.inheritance": ("WeightInheritance",),
    "kt_plus.results.html": ("report",),
    "kt_plus.search_strategies.base": ("Strategy",),
    "kt_plus.search_strategies.beliefs": ("Prior",),
    "keras_tuner": ("HyperModel", "HyperParameters", "Objective", "SklearnTuner", "synchronized"),
}
_MODULES = {
    "applications": "keras_tuner.applications",
    "distribute": "kt_plus.distribute",
    "engine": "kt_plus.engine",
    "errors": "kt_plus.errors",
    "fidelity": "kt_plus.performance_estimation.fidelity",
    "oracles": "kt_plus.oracles",
    "results": "kt_plus.results",
    "search_spaces": "kt_plus.search_spaces",
    "stopping": "kt_plus.performance_estimation.stopping",
    "testing": "kt_plus.testing",
    "tuners": "kt_plus.tuners",
}

__all__ = [
    "DONE",
    "WAIT",
    "AutoModel",
    "BayesianOptimization",
    "EvolutionarySearch",
    "GridSearch",
    "History",
    "HyperModel",
    "HyperParameters",
    "Hyperband",
    "Objective",
    "OptunaSearch",
    "Oracle",
    "Prior",
    "Proposal",
    "RandomSearch",
    "Record",
    "ReinforcementLearning",
    "SklearnTuner",
    "Space",
    "Strategy",
    "SuccessiveHalving",
    "Tuner",
    "Verdict",
    "WeightInheritance",
    "applications",
    "distribute",
    "errors",
    "fidelity",
    "oracles",
    "report",
    "results",
    "search_spaces",
    "stopping",
    "synchronized",
    "testing",
    "tuners",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'kt_plus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
