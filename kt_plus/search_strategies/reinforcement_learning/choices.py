"""What trials have chosen, as arrays: what a policy judges, and learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Choices:
    """What some trials have chosen, one row a trial, one column a hyperparameter.

    Args:
        cells: The number of the part chosen; 0 where the hyperparameter is inactive.
        active: Whether it was chosen at all, and so was fed to the next step.
        counted: Whether the choice had a part in the result: not so for a hyperparameter
            that the model never asked for.
    """

    cells: Array
    active: Array
    counted: Array

    @property
    def columns(self) -> list[int]:
        """The hyperparameters that any of the trials has."""
        return [int(column) for column in np.flatnonzero(self.active.any(axis=0))]

    @classmethod
    def stack(cls, rows: Sequence[Choices]) -> Choices:
        """The trials of all rows."""
        columns = (np.concatenate([getattr(r, n) for r in rows]) for n in cls.__dataclass_fields__)
        return cls(*columns)
