"""Errors that end a search, and tell how to go on; Keras Tuner's own, as they are, beside them."""

from __future__ import annotations

from keras_tuner.errors import (
    FailedTrialError,
    FatalError,
    FatalRuntimeError,
    FatalTypeError,
    FatalValueError,
)

__all__ = [
    "BudgetError",
    "BuildError",
    "ChiefLostError",
    "FailedTrialError",
    "FatalError",
    "FatalRuntimeError",
    "FatalTypeError",
    "FatalValueError",
    "ParallelSearchError",
    "ProjectInUseError",
    "ResultsError",
    "ResumeError",
    "SearchEndedError",
    "StorageError",
]


class StorageError(FatalError, OSError):
    """The project directory cannot be written or read. What was written before is intact."""


class ResumeError(FatalError, RuntimeError):
    """The project directory holds another search than the one that would go on in it."""


class BuildError(FatalError, RuntimeError):
    """The model cannot be built with the default values of its hyperparameters."""


class ChiefLostError(FatalError, RuntimeError):
    """A worker's chief has gone. The search goes on when both are started again."""


class SearchEndedError(FatalError, RuntimeError):
    """The chief has ended the search because of an error, which this one tells."""


class ParallelSearchError(FatalError, RuntimeError):
    """A parallel search cannot go on: its processes die, or cannot be started."""


class ProjectInUseError(FatalError, RuntimeError):
    """Another process, or a newer tuner of this one, searches in the project directory."""


class ResultsError(FatalError, ValueError):
    """There is no project to take results from, or it does not hold what is asked for."""


class BudgetError(FatalError, ValueError):
    """The budget of an `AutoModel` does not suffice for one trial. It says what would."""
