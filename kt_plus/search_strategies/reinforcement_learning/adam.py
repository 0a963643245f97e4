"""Adam, the optimiser of the policy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

Array = np.ndarray

MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Adam:
    """Adam for one vector of parameters, climbing; a step returns a new one.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015
    (arXiv:1412.6980), algorithm 1.

    Args:
        rates: The learning rate of each parameter.
        mean: The moving average of the gradients.
        square: The moving average of their squares.
        steps: How many steps were taken.
    """

    rates: Array
    mean: Array
    square: Array
    steps: int = 0

    @classmethod
    def begin(cls, rates: Array) -> Adam:
        """Before the first step."""
        return cls(rates, np.zeros_like(rates), np.zeros_like(rates))

    def climb(self, parameters: Array, gradient: Array) -> tuple[Array, Adam]:
        """The parameters one step up the gradient, and the optimiser after it."""
        steps = self.steps + 1
        # In place where it can be: the vector is long, and this is done at each step.
        mean = MEAN_DECAY * self.mean
        mean += (1 - MEAN_DECAY) * gradient
        square = SQUARE_DECAY * self.square
        square += (1 - SQUARE_DECAY) * gradient**2
        scale = square / (1 - SQUARE_DECAY**steps)
        np.sqrt(scale, out=scale)
        scale += EPSILON
        moved = mean / (1 - MEAN_DECAY**steps)
        moved *= self.rates
        moved /= scale
        moved += parameters
        return moved, replace(self, mean=mean, square=square, steps=steps)
