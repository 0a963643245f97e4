"""Models that extrapolate learning curves."""

from kt_plus.performance_estimation.learning_curves.forecast import Distribution, Forecast
from kt_plus.performance_estimation.learning_curves.model import LearningCurveModel

__all__ = ["Distribution", "Forecast", "LearningCurveModel"]
