"""The posterior of a curve as a mixture of normal processes, and the future that it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from scipy import special

from kt_plus.performance_estimation.learning_curves.analogs import Analogs
from kt_plus.performance_estimation.learning_curves.forecast import Array, Distribution, Mixture
from kt_plus.performance_estimation.learning_curves.regression import Basis, Posterior
from kt_plus.performance_estimation.learning_curves.residuals import Residuals
from kt_plus.performance_estimation.learning_curves.units import Units

KEPT = 120
"""How many components a forecast keeps: the rest have hardly any weight."""

LOOKED_AT = 12
"""At how many of the later epochs the best value is looked for."""


@dataclass(frozen=True)
class Components:
    """Some components of the posterior, each a shape, a correlation, a noise level and ends.

    Args:
        residuals: The covariances about the shapes.
        seen: The values seen in independent units, shape (correlations, n).
        weight: The weight of each component; they sum to 1.
        correlation: The number of its correlation.
        noise: The standard deviation of its noise.
        design: Its shape g and 1 - g, shape (components, 2, horizon).
        whitened: The same in independent units, as far as seen, shape (components, 2, n).
        mean: The mean of its ends, shape (components, 2).
        covariance: Their variances and covariance, aa, ac, cc, shape (components, 3).
    """

    residuals: Residuals
    seen: Array
    weight: Array
    correlation: Array
    noise: Array
    design: Array
    whitened: Array
    mean: Array
    covariance: Array

    @classmethod
    def largest(
        cls,
        groups: Sequence[tuple[Basis, Posterior, Array]],
        noise: Array,
        residuals: Residuals,
        seen: Array,
    ) -> Components:
        """Those with the largest weights.

        Args:
            groups: For each group of shapes its basis, its posterior and the logarithms of
                its components' weights, with the axes of `regress`.
            noise: The noise levels.
            residuals: The correlations.
            seen: The values seen, in independent units.
        """
        log_weights = np.concatenate([logs.ravel() for _, _, logs in groups])
        weights = np.exp(log_weights - log_weights.max())
        kept = np.sort(np.argpartition(weights, -min(KEPT, len(weights)))[-KEPT:])
        parts, start = [], 0
        for basis, found, logs in groups:
            own = kept[(kept >= start) & (kept < start + logs.size)] - start
            shape, correlation, level, _ = np.unravel_index(own, logs.shape)
            white = basis.whitened[shape, :, correlation, : seen.shape[-1]]
            ends = found.mean.reshape(2, -1)[:, own].T, found.covariance.reshape(3, -1)[:, own].T
            parts.append((correlation, noise[level], basis.design[shape], white, *ends))
            start += logs.size
        weight = weights[kept] / weights[kept].sum()
        joined = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(residuals, seen, weight, *joined)

    @property
    def epochs_seen(self) -> int:
        """How many epochs of the curve have been seen."""
        return int(self.seen.shape[-1])

    def predict(self, epochs: Array) -> tuple[Array, Array]:
        """Means and variances at later epochs, each of shape (components, epochs).

        The variances are those without the noise of the epoch itself. What is known of the
        lasting deviation is carried on (Rasmussen and Williams, 2006, eqs. 2.23 and 2.24).

        Args:
            epochs: The epochs' numbers, counted from 0.
        """
        n = self.epochs_seen
        means = np.empty((len(self.weight), len(epochs)))
        variances = np.empty_like(means)
        for number, (factor, seen) in enumerate(
            zip(self.residuals.cholesky, self.seen, strict=True)
        ):
            one = self.correlation == number
            carried = factor[epochs, :n]
            effect = self.design[one][:, :, epochs] - self.whitened[one] @ carried.T
            means[one] = np.einsum("kpe,kp->ke", effect, self.mean[one]) + carried @ seen
            first, last = effect[:, 0], effect[:, 1]
            aa, ac, cc = self.covariance[one].T[..., None]
            lasting = (factor[epochs, n:] ** 2).sum(axis=1) - 1
            variances[one] = first**2 * aa + 2 * first * last * ac + last**2 * cc
            variances[one] += self.noise[one, None] ** 2 * lasting
        return means, variances

    def best(self) -> tuple[Array, Array]:
        """Means and standard deviations of the best later value, one a component.

        Where the mean is highest, the best of the values about it is that of some
        independent normal ones: as many as lie there within the noise. Its mean is
        Blom's approximation (Statistical Estimates and Transformed Beta-Variables, 1958).
        """
        n, horizon = self.epochs_seen, self.design.shape[-1]
        count = min(LOOKED_AT, horizon - n)
        epochs = np.unique(np.linspace(n, horizon - 1, count).round().astype(int))
        means, variances = self.predict(epochs)
        top = means.argmax(axis=1)
        rows = np.arange(len(means))
        highest = means[rows, top]
        below = (highest[:, None] - means) / self.noise[:, None]
        stands_for = np.gradient(np.append(epochs, horizon).astype(float))[:-1]
        rivals = np.maximum(np.exp(-0.5 * below**2) @ stands_for, 1.0)
        excess = self.noise * special.ndtri((rivals - 0.375) / (rivals + 0.25))
        variance = variances[rows, top] + self.noise**2 / (1 + 0.82 * np.log(rivals))
        return highest + excess, np.sqrt(variance)


Normals = tuple[Array, Array]
"""Means and standard deviations of normal distributions."""


@dataclass(frozen=True)
class Future(Sequence[Distribution]):
    """The distribution of the value at each later epoch, made when asked for.

    Args:
        components: The posterior of the curve.
        analogs: The finished curves that it may follow instead, if there are any.
        units: The units of its values.
    """

    components: Components
    analogs: Analogs | None
    units: Units

    def __len__(self) -> int:
        return int(self.components.design.shape[-1]) - self.components.epochs_seen

    @overload
    def __getitem__(self, index: int) -> Distribution: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Distribution]: ...
    def __getitem__(self, index: int | slice) -> Distribution | Sequence[Distribution]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        ahead = range(len(self))[index]
        epoch = self.components.epochs_seen + ahead
        means, variances = self.components.predict(np.array([epoch]))
        noisy = variances[:, 0] + self.components.noise**2
        analogs = self.analogs.at(ahead) if self.analogs else None
        return self._mixture((means[:, 0], np.sqrt(noisy)), analogs)

    def best(self) -> Mixture:
        """The distribution of the best value to come."""
        return self._mixture(self.components.best(), self.analogs.best() if self.analogs else None)

    def _mixture(self, fitted: Normals, analogs: Normals | None) -> Mixture:
        weight, (means, deviations) = self.components.weight, fitted
        if self.analogs and analogs:
            weight = np.append((1 - self.analogs.weight.sum()) * weight, self.analogs.weight)
            means, deviations = map(np.append, fitted, analogs)
        top, span = self.units.top, self.units.span
        return Mixture(weight, top + span * means, span * deviations)
