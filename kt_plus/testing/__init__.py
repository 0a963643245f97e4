"""Conformance suites: what every strategy and every stopping rule has to do, as tests to inherit.

Run by pytest, this checks a strategy of your own:

```python
from kt_plus.testing import StrategySuite

class TestMyStrategy(StrategySuite):
    def make_strategy(self):
        return MyStrategy()
```
"""

from kt_plus.testing.simulation import (
    in_another_process,
    invented_history,
    invented_score,
    simulate,
)
from kt_plus.testing.spaces import SPACES, hyperparameters_of
from kt_plus.testing.stopper_suite import StopperSuite
from kt_plus.testing.strategy_suite import StrategySuite

__all__ = [
    "SPACES",
    "StopperSuite",
    "StrategySuite",
    "hyperparameters_of",
    "in_another_process",
    "invented_history",
    "invented_score",
    "simulate",
]
