"""Reinforcement learning: a controller that learns where good configurations are.

`controller` is the policy, made of `parameters`, an `lstm` and `softmaxes`; `cells` is what it
chooses among, `choices` what trials have chosen, `rewards` what their results are worth,
`algorithms` and `adam` how these change the policy, `learner` the fold of the history into it,
`strategy` the search that samples it, `named` the arguments of users, and `insight` what it
thought at any time.
"""

from kt_plus.search_strategies.reinforcement_learning.insight import Policy
from kt_plus.search_strategies.reinforcement_learning.named import reinforcement_learning
from kt_plus.search_strategies.reinforcement_learning.strategy import PolicySampling

__all__ = ["Policy", "PolicySampling", "reinforcement_learning"]
