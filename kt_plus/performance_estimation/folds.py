"""Cross-validation: which examples each fold is trained and judged on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.performance_estimation.training_data import (
    Indices,
    TrainingData,
    classes_of,
    leaves_of,
)

Division = tuple[Indices, Indices]


class Folds:
    """Divides the data into training and validation examples, once for each fold.

    Args:
        splitter: The number of folds, which are seeded and stratified if the targets are
            classes; or a splitter of scikit-learn's, whose random state is fixed.
        seed: Divides the data, if `splitter` is a number.

    Raises:
        ValueError: If `splitter` is neither, or a number below 2.

    Example:

    ```python
    for fold in Folds(5).of(TrainingData(x, y)):
        fit(fold.x, fold.y, fold.validation_data)
    ```
    """

    def __init__(self, splitter: Any, seed: int = 0) -> None:
        self.splitter, self.seed = splitter, seed
        whole = isinstance(splitter, (int, np.integer)) and not isinstance(splitter, bool)
        if not (splitter >= 2 if whole else hasattr(splitter, "get_n_splits")):
            raise ValueError(
                f"folds={splitter!r} was given. Expected a whole number of at least 2, or a "
                "splitter of scikit-learn's such as StratifiedKFold(5). Leave it out to train once."
            )
        if not whole:
            _check_counted(splitter)
            _check_repeatable(splitter)

    def __len__(self) -> int:
        """The number of folds."""
        whole = isinstance(self.splitter, (int, np.integer))
        return int(self.splitter if whole else self.splitter.get_n_splits())

    def of(self, data: TrainingData) -> Iterator[TrainingData]:
        """The data of each fold.

        Raises:
            ValueError: If the data cannot be divided so.
        """
        self.check(data)
        for train, validation in self._divisions(data):
            yield data.divided(train, validation)

    def nth(self, data: TrainingData, fold: int) -> TrainingData:
        """The data of one fold."""
        self.check(data)
        train, validation = list(self._divisions(data))[fold]
        return data.divided(train, validation)

    def check(self, data: TrainingData) -> None:
        """Raises if the data cannot be divided so."""
        if data.validation_data is not None or data.validation_split:
            given = "validation_split" if data.validation_split else "validation_data"
            raise ValueError(
                f"folds={self.splitter!r} was given together with {given}. With folds each part of "
                f"the training data is the validation data once: leave out {given}."
            )
        if data.is_dataset or not data.is_arrays:
            raise ValueError(
                f"folds={self.splitter!r} was given with training data of the type "
                f"{type(data.x).__name__}. Expected arrays, which can be divided. Convert them, or "
                "leave out folds."
            )
        if len(self) > len(data):
            raise ValueError(
                f"folds={self.splitter!r} was given with {len(data)} examples. Expected at least "
                "one example for each fold. Choose fewer folds."
            )
        try:
            next(self._divisions(data))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"folds={self.splitter!r} cannot divide these data: {error} Expected a splitter "
                "that needs nothing but the targets. Choose another one, or a number of folds."
            ) from error

    def _divisions(self, data: TrainingData) -> Iterator[Division]:
        classes = classes_of(data.y)
        if hasattr(self.splitter, "get_n_splits"):
            leaves = leaves_of(data.y)
            y = np.asarray(leaves[0]) if len(leaves) == 1 else None
            y = y if classes is None else classes  # also of one-hot rows, which it does not know
            yield from self.splitter.split(np.zeros(len(data)), y)
            return
        classes = np.zeros(len(data), np.intp) if classes is None else classes
        fold = fold_of_each(classes, len(self), np.random.default_rng([self.seed, 5]))
        for number in range(len(self)):
            yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def fold_of_each(
    classes: NDArray[np.intp], folds: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Deals the examples out, shuffled, one class after the other."""
    order = np.lexsort((rng.random(len(classes)), classes))
    fold = np.empty(len(classes), np.intp)
    fold[order] = np.arange(len(classes)) % folds
    return fold


def _check_counted(splitter: Any) -> None:
    """Raises if only the data tell how many folds there are."""
    try:
        splitter.get_n_splits()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"folds={splitter!r} was given, whose number of folds depends on the data. Expected a "
            "splitter with a number of its own, such as StratifiedKFold(5). Give one, or a number."
        ) from error


def _check_repeatable(splitter: Any) -> None:
    """Raises if each trial would be judged by folds of its own."""
    drawn = getattr(splitter, "shuffle", not hasattr(splitter, "n_splits"))
    drawn = drawn or "Shuffle" in type(splitter).__name__ or "Repeated" in type(splitter).__name__
    if drawn and getattr(splitter, "random_state", 0) is None:
        raise ValueError(
            f"folds={splitter!r} was given, which divides the data anew at every call, so that no "
            "two trials could be compared. Give it a random_state."
        )
