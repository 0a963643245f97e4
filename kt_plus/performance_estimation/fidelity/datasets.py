"""Parts of a `tf.data.Dataset`. TensorFlow is imported by those who have one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kt_plus.performance_estimation.fidelity.examples import DataFraction

BITS = {2: "int16", 4: "int32", 8: "int64"}
"""The whole numbers that hold the bits of numbers of so many bytes."""


@dataclass(frozen=True)
class Content:
    """What one reading of a data set has told.

    An example is chosen if the hash of its content is among the lowest of its class: so the
    choice does not depend on the order in which the examples come.

    Args:
        dataset: The data set, batched.
        fidelity: Who chooses.
        batch_size: The number of examples in a batch.
        hashes: The hash of each example.
        classes: The class of each example; one for all if they are not told apart.
        labels: What stands for each class among the targets.
    """

    dataset: Any
    fidelity: DataFraction
    batch_size: int
    hashes: NDArray[np.int64]
    classes: NDArray[np.intp]
    labels: NDArray[Any] | None

    @classmethod
    def of(cls, dataset: Any, fidelity: DataFraction) -> Content:
        """Reads the data set once.

        Raises:
            ValueError: If its length is unknown or infinite, if it is not batched, or if its
                examples are others each time.
        """
        _check_length(dataset, fidelity)
        hashes, targets, sizes = [], [], []
        for batch in dataset:
            found = _hashes(batch, fidelity.seed).numpy()
            hashes.append(found)
            sizes.append(len(found))
            targets.append(_targets(batch))
        if not sum(sizes):
            raise ValueError(f"{fidelity!r} was given a data set without examples.")
        _check_repeatable(dataset, fidelity, np.concatenate(hashes))
        known = [t for t in targets if t is not None] if fidelity.stratify else []
        y: NDArray[Any] | None = np.concatenate(known) if known else None
        classes = fidelity._classes(y, sum(sizes))
        labels = None
        if y is not None and classes.any():
            # one row of the targets for each class: the first that is of it
            labels = y[np.unique(classes, return_index=True)[1]]
        return cls(dataset, fidelity, max(sizes), np.concatenate(hashes), classes, labels)

    def part(self, share: float) -> Any:
        """The examples that are that share, in batches of the same size.

        Raises:
            ValueError: If that is no example of some class.
        """
        import tensorflow as tf

        from kt_plus.performance_estimation.fidelity.examples import check_counts

        counts = check_counts(self.fidelity, share, np.bincount(self.classes))
        limits = np.array(
            [np.sort(self.hashes[self.classes == c])[n - 1] for c, n in enumerate(counts)]
        )
        # More than the counts where examples are equal: they have one hash.
        examples = int((self.hashes <= limits[self.classes]).sum())
        seed, labels = self.fidelity.seed, self.labels

        def chosen(*example: Any) -> Any:
            batch = tf.nest.map_structure(lambda leaf: leaf[tf.newaxis], example)
            place = 0
            if labels is not None:
                same = tf.equal(labels, batch[1])
                place = tf.argmax(tf.reduce_all(tf.reshape(same, [len(labels), -1]), axis=1))
            return _hashes(batch, seed)[0] <= tf.constant(limits)[place]

        part = self.dataset.unbatch().filter(chosen).batch(self.batch_size)
        batches = -(-examples // self.batch_size)
        # Of this length in each epoch, also where a last batch, shuffled anew, has been dropped.
        return part.repeat().take(batches).prefetch(2)


def with_inputs(dataset: Any, change: Callable[[Any], Any]) -> Any:
    """The data set with the inputs of each batch changed."""

    def mapping(*batch: Any) -> Any:
        return (change(batch[0]), *batch[1:]) if len(batch) > 1 else change(batch[0])

    return dataset.map(mapping, num_parallel_calls=2)


def _check_length(dataset: Any, fidelity: DataFraction) -> None:
    import tensorflow as tf

    length = int(dataset.cardinality())
    if length < 0:
        kind = "infinite" if length == tf.data.INFINITE_CARDINALITY else "unknown"
        remedy = (
            "Leave out `repeat()`: `fit` begins again at each epoch."
            if kind == "infinite"
            else "If you know the number of batches, tell it: "
            "dataset.apply(tf.data.experimental.assert_cardinality(batches))."
        )
        raise ValueError(
            f"The training data are a tf.data.Dataset of {kind} length, of which no part can be "
            f"taken, as {fidelity!r} asks for. Expected one whose `cardinality()` is known. "
            + remedy
        )
    leaves = tf.nest.flatten(dataset.element_spec)
    if not all(isinstance(leaf, tf.TensorSpec) and leaf.shape.rank for leaf in leaves):
        raise ValueError(
            f"{fidelity!r} was given a tf.data.Dataset of {dataset.element_spec}. Expected batches "
            "of dense tensors: call `.batch(32)`, or choose kt_plus.fidelity.Epochs instead."
        )


def _check_repeatable(dataset: Any, fidelity: DataFraction, hashes: NDArray[np.int64]) -> None:
    """Raises if most examples of another reading are new, as after random augmentation."""
    for batch in dataset.take(1):
        if np.isin(_hashes(batch, fidelity.seed).numpy(), hashes).mean() < 0.5:
            raise ValueError(
                f"{fidelity!r} was given a tf.data.Dataset whose examples are others each time it "
                "is read, as after random augmentation, so that none can be found again. Expected "
                "the same examples in every epoch, in any order. Move the augmentation into the "
                "model, such as keras.layers.RandomFlip, or choose kt_plus.fidelity.Epochs."
            )


def _hashes(batch: Any, seed: int) -> Any:
    """A hash of each example of a batch, inputs and targets: bits times random numbers, summed."""
    import tensorflow as tf

    total = tf.constant(0, tf.int64)
    for number, leaf in enumerate(tf.nest.flatten(batch)):
        if leaf.dtype == tf.string:
            leaf = tf.strings.to_hash_bucket_strong(leaf, 2**62, key=[seed, 7])
        elif leaf.dtype.size in BITS:
            leaf = tf.bitcast(leaf, BITS[leaf.dtype.size])
        words = tf.reshape(tf.cast(leaf, tf.int64), [tf.shape(leaf)[0], -1])
        factors = tf.random.stateless_uniform(
            [tf.shape(words)[1]], [seed, number], minval=None, maxval=None, dtype=tf.int64
        )
        total += tf.linalg.matvec(words, factors)
    return total


def _targets(batch: Any) -> NDArray[Any] | None:
    if not isinstance(batch, tuple) or len(batch) < 2 or not hasattr(batch[1], "numpy"):
        return None
    return np.asarray(batch[1].numpy())
