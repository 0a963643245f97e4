"""Errors that end a search, and tell how to go on."""

from __future__ import annotations

from keras_tuner.errors import FatalError


class StorageError(FatalError, OSError):
    """The project directory cannot be written or read. What was written before is intact."""


class ResumeError(FatalError, RuntimeError):
    """The project directory holds another search than the one that would go on in it."""


class BuildError(FatalError, RuntimeError):
    """The model cannot be built with the default values of its hyperparameters."""


class ResultsError(FatalError, ValueError):
    """There is no project to take results from, or it does not hold what is asked for."""
