"""Models that extrapolate learning curves."""

from kt_plus.performance_estimation.learning_curves.forecast import Distribution, Forecast
from kt_plus.performance_estimation.learning_curves.lc_pfn_prior import LCPFNPrior
from kt_plus.performance_estimation.learning_curves.model import LearningCurveModel
from kt_plus.performance_estimation.learning_curves.weighted_families import WeightedFamilies

__all__ = ["Distribution", "Forecast", "LCPFNPrior", "LearningCurveModel", "WeightedFamilies"]
