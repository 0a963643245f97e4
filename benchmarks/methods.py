"""Names of the compared methods, as written on the command line, and what they stand for."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.searches import OBJECTIVE, OptunaSearch, OracleSearch, Search
from benchmarks.tables import Table

# What stands before the dot -> (module, what is added to the name to give the class)
PACKAGES = {
    "kt": ("keras_tuner.oracles", "Oracle"),
    "kt_plus": ("kt_plus.oracles", "Oracle"),
    "optuna": ("optuna.samplers", "Sampler"),
}
QUICK = (
    "kt.RandomSearch",
    "kt_plus.RandomSearch",
    "kt_plus.EvolutionarySearch",
    "kt_plus.ReinforcementLearning",
    "optuna.Random",
    "optuna.TPE",
    "optuna.NSGAII",
)
SLOW = ("kt.BayesianOptimization", "kt_plus.BayesianOptimization")


class Unavailable(Exception):
    """The method is not on this machine, or does not fit the table."""


@dataclass(frozen=True)
class Method:
    """A named method and the settings in which it differs from its defaults.

    Attributes:
        label: As written, for instance `"kt_plus.EvolutionarySearch(population_size=20)"`.
        package: One of `PACKAGES`.
        name: The rest of the name.
        settings: Arguments of its constructor.
    """

    label: str
    package: str
    name: str
    settings: dict[str, Any]

    def implementation(self) -> type:
        """The oracle or sampler class.

        Raises:
            Unavailable: If its package is not installed or has no such class.
        """
        module, suffix = PACKAGES[self.package]
        try:
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
            Unavailable: If the class is missing or cannot search this table.
        """
        make, space = self.implementation(), table.hyperparameters()
        settings = {"seed": spread(seed)} | self.settings
        try:
            if self.package == "optuna":
                return OptunaSearch(make(**settings), space)
            settings = _budget(make, table, trials) | settings
            oracle = make(objective=OBJECTIVE, hyperparameters=space, **settings)
        except ImportError as error:
            raise Unavailable(str(error)) from error
        return OracleSearch(oracle, directory)


def parse(text: str) -> Method:
    """Reads a method as it is written on the command line.

    Args:
        text: A name, `"kt.RandomSearch"`, or a name with settings,
            `"optuna.TPE(multivariate=True)"`.

    Raises:
        ArgumentTypeError: If it is neither.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        package, name = ast.unparse(call.func).split(".")
        settings = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        if package not in PACKAGES or call.args:
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
