"""Reinforcement learning: a controller that learns where good configurations are.

`controller` is the policy, `cells` what it chooses among, `algorithms` how results change
it, `learner` the fold of the history into it, and `strategy` the search that samples it.
"""

from kt_plus.search_strategies.reinforcement_learning.named import reinforcement_learning
from kt_plus.search_strategies.reinforcement_learning.strategy import PolicySampling

__all__ = ["PolicySampling", "reinforcement_learning"]
