"""Rules that end hopeless trials early."""

from kt_plus.performance_estimation.stopping.base import Stopper
from kt_plus.performance_estimation.stopping.rank import MedianRule
from kt_plus.performance_estimation.stopping.replay import Replay, replay

__all__ = ["MedianRule", "Replay", "Stopper", "replay"]
