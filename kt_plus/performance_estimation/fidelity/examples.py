"""Fewer examples: subsets of the data that are nested, seeded, and hold every class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.engine.history import Value
from kt_plus.performance_estimation.fidelity.base import Share
from kt_plus.performance_estimation.training_data import TrainingData, classes_of


class DataFraction(Share):
    """The share of the training examples that a trial is trained on.

    When to use it: where an epoch takes long because there are many examples. All trials of a
    rung see the same examples, those of a lower rung are among them, and each class has its
    share. The validation data stay whole, so that scores are measured alike. A promoted trial
    begins anew: what it has learnt of a part is no beginning of a training on the whole.

    It takes arrays, data frames, nests of them, and a `tf.data.Dataset` that is batched and
    whose length is known. Of a data set each example is chosen by a hash of its content, so
    that it may be shuffled and need not fit into memory; it is read once before the search,
    and read as a whole in every epoch. Random augmentation belongs behind: into the model.

    Source: Petrak, "Fast Subsampling Performance Estimates for Classification Algorithm
    Selection", ECML 2000 workshop; Klein et al., AISTATS 2017 (arXiv:1605.07079).

    Args:
        *levels: The share at each rung, above 0; the last is 1.
        seed: Chooses the examples.
        stratify: Whether each class has its share: "auto" where the targets are classes
            (whole numbers, texts, one-hot rows, or nothing but 0 and 1), else `True` or `False`.

    Raises:
        ValueError: If the levels do not increase, or do not end with 1.

    Example:

    ```python
    ladder = kt_plus.fidelity.DataFraction(1 / 8, 1 / 4, 1 / 2, 1)
    tuner = kt_plus.SuccessiveHalving(build_model, "val_accuracy", ladder=ladder)
    ```
    """

    name = "data_fraction"

    def __init__(self, *levels: float, seed: int = 0, stratify: bool | str = "auto") -> None:
        super().__init__(*levels)
        if stratify not in ("auto", True, False):
            raise ValueError(
                f"stratify={stratify!r} was given. Expected 'auto', True or False. Leave it out "
                "for 'auto'."
            )
        self.seed, self.stratify = seed, stratify
        self._counted: tuple[Any, Any] = (None, None)

    def apply(self, level: Value, data: TrainingData) -> TrainingData:
        share = float(level)
        if share == 1:
            return data
        if data.is_dataset:
            return data.replaced(x=self._content(data.x).part(share))
        data = data.split()
        return data.take(self._chosen(share, data))

    def check(self, data: TrainingData) -> None:
        share = float(self.levels[0])
        if data.is_dataset:
            self._content(data.x).part(share)
        elif not data.is_arrays:
            raise ValueError(
                f"{self!r} was given {type(data.x).__name__} as training data. Expected arrays or "
                "a tf.data.Dataset, of which a part can be taken. Convert it, or choose "
                "kt_plus.fidelity.Epochs instead."
            )
        else:
            self._chosen(share, data.split())

    def describe(self, level: Value) -> str:
        return "all data" if level == 1 else f"{self.show(level)} of the data"

    def _chosen(self, share: float, data: TrainingData) -> NDArray[np.intp]:
        classes = self._classes(data.y, len(data))
        counts = check_counts(self, share, np.bincount(classes))
        ranks = ranks_within(classes, np.random.default_rng([self.seed, 3]))
        return np.flatnonzero(ranks < counts[classes])

    def _classes(self, y: Any, examples: int) -> NDArray[np.intp]:
        """The class of each example; one for all, if they are not to be told apart."""
        classes = classes_of(y) if self.stratify else None
        if classes is None and self.stratify is True:
            raise ValueError(
                "stratify=True was given, and the targets are no classes. Expected whole numbers, "
                "texts, or one-hot rows. Give stratify=False."
            )
        return np.zeros(examples, np.intp) if classes is None else classes

    def _content(self, dataset: Any) -> Any:
        """What is known of the data set; it is read at most once."""
        from kt_plus.performance_estimation.fidelity.datasets import Content

        if self._counted[0] is not dataset:
            self._counted = dataset, Content.of(dataset, self)
        return self._counted[1]


def check_counts(
    fidelity: DataFraction, share: float, counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many examples of each class are a share of them.

    Raises:
        ValueError: If that is none of some class.
    """
    chosen = np.floor(share * counts + 0.5).astype(np.int64)
    lacking = np.flatnonzero((chosen == 0) & (counts > 0))
    if len(lacking):
        smallest = counts[lacking].min()
        several = len(counts) > 1
        of = f"class {lacking[0]}" if several else "the training data"
        enough = 0.5 / smallest
        raise ValueError(
            f"{fidelity.show(share)} of {counts.sum()} examples was asked for, by {fidelity!r}: "
            f"of {of} that would be {chosen[lacking[0]]} of {counts[lacking[0]]} examples. "
            "Expected at least one"
            + (f" of each class (now {', '.join(map(str, chosen[:20]))})" if several else "")
            + f". Begin the ladder at {min(enough, 1.0):.3g} or more"
            + (", or give stratify=False." if several else ".")
        )
    return np.asarray(chosen)


def ranks_within(classes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """The place of each example in a random order of its class.

    Taking those below a limit gives subsets that are nested, however the limit is chosen.
    """
    keys = rng.random(len(classes))
    order = np.lexsort((keys, classes))
    first = np.searchsorted(classes[order], np.arange(classes.max(initial=0) + 1))
    ranks = np.empty(len(classes), np.intp)
    ranks[order] = np.arange(len(classes)) - first[classes[order]]
    return ranks
