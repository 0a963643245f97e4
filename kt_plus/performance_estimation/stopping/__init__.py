"""Rules that end hopeless trials early."""

from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.performance_estimation.stopping.rank import MedianRule

__all__ = ["MedianRule", "Stopper"]
