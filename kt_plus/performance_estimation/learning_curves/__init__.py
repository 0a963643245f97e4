"""Models that extrapolate learning curves."""

from kt_plus.performance_estimation.learning_curves.forecast import Distribution, Forecast

__all__ = ["Distribution", "Forecast"]
