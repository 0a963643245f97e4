"""The options of inheriting weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kt_plus.performance_estimation.inheritance.keras_models import read, write
from kt_plus.performance_estimation.inheritance.network import Network
from kt_plus.performance_estimation.inheritance.plan import Report, inherited


@dataclass(frozen=True)
class WeightInheritance:
    """How a trial inherits the weights of the trial that it was derived from.

    When to use it: where training is what a search costs, and children differ little from their
    parents. A child whose layers are only wider, or more, begins where its parent has ended.

    Source: Chen, Goodfellow and Shlens, "Net2Net", ICLR 2016 (arXiv:1511.05641); Wei et al.,
    "Network Morphism", ICML 2016 (arXiv:1603.01670); in evolution: Elsken, Metzen and Hutter,
    LEMONADE, ICLR 2019 (arXiv:1804.09081).

    Args:
        noise: How much of the weights that were drawn for the child is added to those of
            repeated units and of new layers, as a share of them: without any, units that repeat
            each other would learn the same for ever. With 0 the child of a morphism computes
            exactly what its parent does.

    Raises:
        ValueError: If `noise` is negative or not a number.

    Example:

    ```python
    kt_plus.EvolutionarySearch(
        build_model, "val_accuracy", 100, inherit_weights=kt_plus.WeightInheritance(noise=0.05)
    )
    print(kt_plus.WeightInheritance(noise=0).transfer(small_model, large_model))
    ```
    """

    noise: float = 0.01

    def __post_init__(self) -> None:
        number = isinstance(self.noise, (int, float)) and not isinstance(self.noise, bool)
        if not (number and 0 <= self.noise < math.inf):
            raise ValueError(
                f"noise={self.noise!r} was given. Expected a share of the drawn weights, from 0 "
                "on. Leave it out for the default, 0.01."
            )

    def transfer(self, parent: Any, child: Any) -> Report:
        """Gives a model the weights of another one, as far as they fit.

        Args:
            parent: The trained one: a functional or sequential Keras model, or its `Network`.
            child: The other one, built.

        Returns:
            What each layer has inherited, and whether the function is the same.

        Raises:
            UnreadableModel: If one of them is neither functional nor sequential, or not built.
        """
        network = parent if isinstance(parent, Network) else read(parent)[0]
        own, handles = read(child)
        weights, report = inherited(own, network, self.noise)
        write(handles, weights)
        return report


def inheritance_of(option: Any) -> WeightInheritance | None:
    """The options that an `inherit_weights` argument stands for; `None` if it inherits nothing.

    Raises:
        ValueError: If it stands for none.
    """
    if option is None or option is False:
        return None
    if option is True:
        return WeightInheritance()
    if isinstance(option, WeightInheritance):
        return option
    raise ValueError(
        f"inherit_weights={option!r} was given. Expected True, False, or a "
        "kt_plus.WeightInheritance. Leave it out to train each trial from scratch."
    )
