"""How values lie about a shape: noise that is independent, and deviations that last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kt_plus.performance_estimation.learning_curves.forecast import Array

RATIOS = (1e1, 1e3, 1e5)
"""The variance of the lasting deviation in units of the noise's."""

LENGTH_SCALE = 3.0
"""Of the lasting deviation, in the logarithm of the epoch: curves bend on that scale."""


@dataclass(frozen=True)
class Residuals:
    """The covariance I + r K for each ratio r, in units of the noise's variance.

    K is a Matérn kernel with smoothness 3/2 in log(epoch): a deviation lasts the longer the
    later it comes. That no shape is exactly right is thus part of the model; without it a
    few values that fit a shape well would make it far too sure (Rasmussen and Williams,
    "Gaussian Processes for Machine Learning", 2006, eq. 4.17).

    Args:
        cholesky: The lower factor L of each covariance, shape (ratios, horizon, horizon).
            That of the first n epochs is its upper left corner.
        inverse: The inverse of each L.
        half_log_det: Half the log-determinant of the covariance of the first n epochs, at
            index n - 1, shape (ratios, horizon).
    """

    cholesky: Array
    inverse: Array
    half_log_det: Array

    def whiten(self, values: Array) -> Array:
        """What of the values is new at each epoch, as independent units.

        Args:
            values: Of the first n epochs, shape (n,) or (k, n).

        Returns:
            Shape (ratios, n) or (k, ratios, n).
        """
        n = values.shape[-1]
        return np.asarray(
            np.einsum("rts,...s->...rt", self.inverse[:, :n, :n], values, optimize=True)
        )


@lru_cache(maxsize=16)
def residuals(horizon: int) -> Residuals:
    """The covariances over that number of epochs."""
    log_epoch = np.log(np.arange(1.0, horizon + 1))
    distance = np.sqrt(3) * np.abs(log_epoch[:, None] - log_epoch) / LENGTH_SCALE
    kernel = (1 + distance) * np.exp(-distance)
    cholesky = np.array([np.linalg.cholesky(np.eye(horizon) + r * kernel) for r in RATIOS])
    diagonal = np.diagonal(cholesky, axis1=1, axis2=2)
    return Residuals(cholesky, np.linalg.inv(cholesky), np.log(diagonal).cumsum(axis=1))
