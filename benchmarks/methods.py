"""Names of the compared methods, as written on the command line, and what they stand for."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import sys
import types
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from benchmarks.searches import OBJECTIVE, OptunaSearch, OracleSearch, Search, SMACSearch
from benchmarks.tables import Table

# What stands before the dot -> (module, what is added to the name to give the class)
PACKAGES = {
    "kt": ("keras_tuner.oracles", "Oracle"),
    "kt_plus": ("kt_plus.oracles", "Oracle"),
    "optuna": ("optuna.samplers", "Sampler"),
    "smac": ("smac", "Facade"),
}
PROTOTYPE = "prototype"
PROTOTYPE_SETTINGS = {"init": 6, "design": "random", "yt": "sq", "cap": 100}
# Those that take a tenth of a second or more a proposal.
_SLOW = ("kt.BayesianOptimization", "optuna.GP", "smac.")


class Unavailable(Exception):
    """The method is not on this machine, or does not fit the table."""


@dataclass(frozen=True)
class Method:
    """A named method and the settings in which it differs from its defaults.

    Attributes:
        label: As written, for instance `"kt_plus.EvolutionarySearch(population_size=20)"`.
        package: One of `PACKAGES`, or `PROTOTYPE`.
        name: The rest of the name.
        settings: Arguments of its constructor.
    """

    label: str
    package: str
    name: str
    settings: dict[str, Any]

    @property
    def slow(self) -> bool:
        """True for methods that are compared by fewer and shorter runs."""
        return self.label.startswith(_SLOW)

    def implementation(self) -> Any:
        """The class of the oracle, sampler or facade.

        Raises:
            Unavailable: If its package is not installed or has no such class.
        """
        if self.package == PROTOTYPE:
            return _prototype()
        module, suffix = PACKAGES[self.package]
        try:
            if (self.package, self.name) == ("optuna", "GP"):
                importlib.import_module("torch")  # which Optuna imports at the first proposal only
            return getattr(importlib.import_module(module), self.name + suffix)
        except (ImportError, AttributeError) as error:
            raise Unavailable(str(error)) from error

    def start(self, table: Table, trials: int, seed: int, directory: Path) -> Search:
        """A new search on the table.

        Args:
            table: Gives the space.
            trials: The budget that the search is told of, where it asks for one.
            seed: Number of the run.
            directory: An empty folder.

        Raises:
            Unavailable: If the class is missing, lacks an argument or cannot search this table.
        """
        make, space = self.implementation(), table.hyperparameters()
        seeded = {"seed": spread(seed)} | self.settings
        try:
            if self.package == "optuna":
                return OptunaSearch(make(**seeded), space)
            if self.package == "smac":
                return SMACSearch(make, space, trials, spread(seed), directory, self.settings)
            if self.package == PROTOTYPE:
                strategy = make(**PROTOTYPE_SETTINGS | self.settings)
                return OracleSearch(_oracle(strategy, trials, seed, space), directory)
            settings = _budget(make, table, trials) | seeded
            oracle = make(objective=OBJECTIVE, hyperparameters=space, **settings)
        except (ImportError, TypeError) as error:
            raise Unavailable(str(error)) from error
        return OracleSearch(oracle, directory)


def parse(text: str) -> Method:
    """Reads a method as it is written on the command line.

    Args:
        text: A name, `"kt.RandomSearch"`, or a name with settings,
            `"optuna.TPE(multivariate=True)"`. `"prototype"` is the research prototype.

    Raises:
        ArgumentTypeError: If it is neither.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        package, _, name = ast.unparse(call.func).partition(".")
        settings = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        known = name.isidentifier() if package in PACKAGES else ast.unparse(call.func) == PROTOTYPE
        if not known or call.args:
            raise ValueError(package)
    except (SyntaxError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"The method {text!r} was not understood. Expected one of "
            f"{', '.join(PACKAGES)}, a dot and a name, and settings by keyword if any. "
            "Write it, for instance, as 'kt_plus.EvolutionarySearch(population_size=20)'."
        ) from error
    return Method(text.strip(), package, name, settings)


def spread(seed: int) -> int:
    """A seed far from its neighbours'.

    Keras Tuner draws value number n with the seed `seed + n` and drops seed 0: its runs
    with seeds 1 to 20 would be one stream of values, shifted, not 20 searches.
    """
    return int(np.random.SeedSequence([seed, 2]).generate_state(1)[0] >> 1)


def _budget(make: type, table: Table, trials: int) -> dict[str, int]:
    """`max_trials` and `max_epochs`, where the constructor asks for them."""
    accepted = inspect.signature(make).parameters
    if "max_epochs" in accepted and table.epochs == 1:
        raise Unavailable(f"{table.name} holds final results only, and it asks for epochs")
    budget = {"max_trials": trials, "max_epochs": table.epochs}
    return {name: value for name, value in budget.items() if name in accepted}


def prototype_file() -> Path:
    """The research prototype: in `$KT_PLUS_PROTOTYPES`, or in `../shared/prototypes`."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "prototypes"
    return Path(os.environ.get("KT_PLUS_PROTOTYPES", beside)) / "screened_evolution.py"


def _prototype() -> Any:
    path = prototype_file()
    if not path.is_file():
        raise Unavailable(f"no {path.name} in {path.parent}; set KT_PLUS_PROTOTYPES to its folder")
    module = types.ModuleType(f"benchmarks_{path.stem}")
    sys.modules[module.__name__] = module  # its dataclasses look themselves up there
    SourceFileLoader(module.__name__, str(path)).exec_module(module)
    return module.Screened


def _oracle(strategy: Any, trials: int, seed: int, space: keras_tuner.HyperParameters) -> Any:
    from kt_plus.oracles import Oracle

    return Oracle(OBJECTIVE, trials, space, seed=spread(seed), strategy=strategy)
