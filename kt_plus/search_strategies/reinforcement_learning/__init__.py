"""Reinforcement learning: a controller that learns where good configurations are.

`controller` is the policy, `cells` what it chooses among, `algorithms` how results change
it, `learner` the fold of the history into it, `strategy` the search that samples it, and
`insight` what it thought at any time.
"""

from kt_plus.search_strategies.reinforcement_learning.insight import Policy
from kt_plus.search_strategies.reinforcement_learning.named import reinforcement_learning
from kt_plus.search_strategies.reinforcement_learning.strategy import PolicySampling

__all__ = ["Policy", "PolicySampling", "reinforcement_learning"]
