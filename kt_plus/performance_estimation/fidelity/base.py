"""What a fidelity is, and the ladder that one or several of them make."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from kt_plus.engine.history import Value
from kt_plus.performance_estimation.training_data import TrainingData


class Fidelity:
    """One way to train more cheaply, with a level for each rung; the last is the full one.

    When to use it: as the base of a fidelity of your own. It tells the levels, and what a
    level changes: the data, in `apply`, or the model, which asks for the level by its name.

    Args:
        *levels: The level of each rung, from the cheapest on.

    Attributes:
        name: The level stands under "tuner/" and this name in the values that the model is
            built from.

    Raises:
        ValueError: If there is no level, or if the levels do not increase.

    Example:

    ```python
    class Noise(kt_plus.fidelity.Fidelity):
        name = "clean_labels"

        def apply(self, level, data):
            return data.replaced(y=with_noise(data.y, 1 - level))
    ```
    """

    name: str

    def __init__(self, *levels: float) -> None:
        self.levels: tuple[Value, ...] = tuple(self._checked(level) for level in levels)
        if not levels:
            raise ValueError(f"{self!r} has no levels. Give one for each rung, such as {self._few}")
        for below, above in pairwise(self.levels):
            if not below < above:  # type: ignore[operator]
                raise ValueError(
                    f"The levels of {self!r} do not increase: {above!r} follows {below!r}. "
                    f"Expected each to be larger than the one before it, such as {self._few}"
                )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(self.show, self.levels))})"

    def apply(self, level: Value, data: TrainingData) -> TrainingData:
        """The data that a trial at this level is trained on."""
        return data

    def check(self, data: TrainingData) -> None:
        """Raises if the data are not such that every level can be applied to them."""

    def goes_on(self, level: Value, next_level: Value) -> bool:
        """Whether training at one level is how training at the next one begins.

        A promoted trial then goes on from where its parent ended; otherwise it begins anew.
        """
        return level == next_level

    def cost(self, level: Value) -> float:
        """What an epoch at this level costs, roughly, as a share of a full one."""
        return 1.0

    def show(self, level: Value) -> str:
        """The level as a person writes it."""
        return f"{level:g}"

    def describe(self, level: Value) -> str:
        """The level in words."""
        return f"{self.name.replace('_', ' ')} {self.show(level)}"

    _few = "Epochs(5, 10, 20)."

    def _checked(self, level: Any) -> Value:
        return float(level)


class Share(Fidelity):
    """A fidelity whose levels are shares of the whole, the last of them 1."""

    _few = "1/4, 1/2, 1."

    def __init__(self, *levels: float) -> None:
        super().__init__(*levels)
        if self.levels[-1] != 1:
            raise ValueError(
                f"The last level of {self!r} is not 1. The candidates of the last rung are trained "
                "at full fidelity: let the last level be 1."
            )

    @classmethod
    def geometric(cls, least: float, factor: float = 2) -> Share:
        """Levels that grow by a factor, from `least` or a little above it to 1.

        Args:
            least: The lowest level that is wanted.
            factor: By how much a level is larger than the one before it.

        Example:

        ```python
        kt_plus.fidelity.DataFraction.geometric(1 / 8)  # DataFraction(1/8, 1/4, 1/2, 1)
        ```
        """
        rungs = math.floor(math.log(1 / least, factor) + 1e-9)
        return cls(*(factor**-rung for rung in reversed(range(rungs + 1))))

    def show(self, level: Value) -> str:
        share = float(level)
        inverse = 1 / share
        whole = abs(inverse - round(inverse)) < 1e-3 and share < 1
        return f"1/{round(inverse)}" if whole else f"{share:.3g}"

    def cost(self, level: Value) -> float:
        return float(level)

    def _checked(self, level: Any) -> Value:
        number = isinstance(level, numbers.Real) and not isinstance(level, bool)
        if not number or not 0 < level <= 1:
            raise ValueError(
                f"{type(self).__name__} was given the level {level!r}. Expected a share above 0 "
                f"and at most 1. Give one for each rung, such as {self._few}"
            )
        return float(level)


class Ladder:
    """What each rung of a search trains at: one fidelity, or several together.

    Args:
        *fidelities: Each with a level for every rung.

    Raises:
        ValueError: If there is none, if one is there twice, or if they differ in the number
            of their levels.

    Example:

    ```python
    ladder = Ladder(Epochs(5, 10, 20), DataFraction(1 / 4, 1 / 2, 1))
    ladder.describe(0)  # "5 epochs, 1/4 of the data"
    ```
    """

    def __init__(self, *fidelities: Fidelity) -> None:
        self.fidelities = fidelities
        if not fidelities or not all(isinstance(f, Fidelity) for f in fidelities):
            raise ValueError(
                f"The ladder {list(fidelities)} was given. Expected fidelities, such as "
                "kt_plus.fidelity.Epochs(5, 10, 20). Give one, or a list of several."
            )
        names = [fidelity.name for fidelity in fidelities]
        counts = {len(fidelity.levels) for fidelity in fidelities}
        if len({*names}) < len(names):
            raise ValueError(f"{self!r} has one fidelity twice. Give each once.")
        if len(counts) > 1:
            raise ValueError(
                f"The fidelities of {self!r} have {sorted(counts)} levels. Expected one for each "
                "rung in all of them: give them equally many."
            )

    @classmethod
    def of(cls, ladder: Any) -> Ladder:
        """The ladder that an argument stands for: one, a fidelity, or a list of fidelities."""
        if isinstance(ladder, Ladder):
            return ladder
        return cls(*ladder) if isinstance(ladder, Iterable) else cls(ladder)

    def __len__(self) -> int:
        return len(self.fidelities[0].levels)

    def __repr__(self) -> str:
        return f"Ladder({', '.join(map(repr, self.fidelities))})"

    def directives(self, rung: int) -> dict[str, Value]:
        """The level of each fidelity by its name."""
        return {fidelity.name: fidelity.levels[rung] for fidelity in self.fidelities}

    def apply(self, rung: int, data: TrainingData) -> TrainingData:
        """The data that a trial of that rung is trained on."""
        for fidelity in self.fidelities:
            data = fidelity.apply(fidelity.levels[rung], data)
        return data

    def check(self, data: TrainingData) -> None:
        """Raises if the data are not such that every rung can be trained on them."""
        for fidelity in self.fidelities:
            fidelity.check(data)

    def goes_on(self, rung: int) -> bool:
        """Whether a trial promoted to that rung goes on from where its parent ended."""
        return rung > 0 and all(
            fidelity.goes_on(fidelity.levels[rung - 1], fidelity.levels[rung])
            for fidelity in self.fidelities
        )

    def cost(self, rung: int) -> float:
        """What an epoch of that rung costs, roughly, as a share of a full one."""
        return math.prod(f.cost(f.levels[rung]) for f in self.fidelities)

    def describe(self, rung: int) -> str:
        """What that rung trains at, in words."""
        return ", ".join(f.describe(f.levels[rung]) for f in self.fidelities)

    def get_config(self) -> list[list[Any]]:
        """Names and levels, by which a project recognises the ladder of its search."""
        return [[fidelity.name, list(fidelity.levels)] for fidelity in self.fidelities]
