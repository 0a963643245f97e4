"""Smaller images."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from kt_plus.engine.history import Value
from kt_plus.performance_estimation.fidelity.base import Share
from kt_plus.performance_estimation.fidelity.size import scaled
from kt_plus.performance_estimation.training_data import TrainingData, is_dataset, leaves_of, mapped

BATCH = 1024

KEPT = 2
"""How many arrays of smaller images are kept: those of training and of validation."""


class Resolution(Share):
    """The height and width of the images, training and validation, as a share of the full ones.

    When to use it: with images, and networks that take them in any size, by pooling globally, or
    whose input is as large as `kt_plus.fidelity.resolution` says. All inputs of rank 4 are
    images, in Keras's `image_data_format`; they are resized bilinearly, with antialiasing.
    Targets are left alone, and so must not be images as large. A promoted trial begins anew.

    Source: Chrabaszcz, Loshchilov and Hutter, "A Downsampled Variant of ImageNet as an
    Alternative to the CIFAR datasets", arXiv:1707.08819.

    Args:
        *levels: The share of height and width at each rung, above 0; the last is 1.

    Raises:
        ValueError: If the levels do not increase, or do not end with 1.

    Example:

    ```python
    ladder = kt_plus.fidelity.Resolution(1 / 4, 1 / 2, 1)
    tuner = kt_plus.SuccessiveHalving(build_model, "val_accuracy", ladder=ladder)
    ```
    """

    name = "resolution"

    def __init__(self, *levels: float) -> None:
        super().__init__(*levels)
        self._made: list[tuple[Any, float, Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": []}

    def apply(self, level: Value, data: TrainingData) -> TrainingData:
        share = float(level)
        if share == 1:
            return data
        validation = data.validation_data
        if isinstance(validation, (tuple, list)):
            validation = (self._resized(validation[0], share), *validation[1:])
        elif validation is not None:
            validation = self._resized(validation, share)
        return data.replaced(x=self._resized(data.x, share), validation_data=validation)

    def _resized(self, x: Any, share: float) -> Any:
        if is_dataset(x):
            from kt_plus.performance_estimation.fidelity.datasets import with_inputs

            return with_inputs(x, lambda batch: mapped(lambda leaf: _in_graph(leaf, share), batch))
        return mapped(lambda leaf: self._once(leaf, share) if _is_image(leaf.shape) else leaf, x)

    def _once(self, images: Any, share: float) -> Any:
        """The images resized; those of the last ones, as each trial of a rung has, not again."""
        for made_of, at, found in self._made:
            if made_of() is images and at == share:
                return found
        found = _smaller(images, share)
        if isinstance(images, np.ndarray):
            self._made = [*self._made, (weakref.ref(images), share, found)][-KEPT:]
        return found

    def check(self, data: TrainingData) -> None:
        self._made = []  # the same arrays may have other content
        shapes = _shapes(data.x)
        if not any(map(_is_image, shapes)):
            raise ValueError(
                f"{self!r} was given, and the training data have the shapes {shapes}. Expected "
                "images, of the shape (examples, height, width, channels). Choose another "
                "fidelity, such as kt_plus.fidelity.Epochs."
            )
        targets = _shapes(data.y, data.x)
        for image in filter(_is_image, shapes):
            axis = _axes()[0]
            height, width = image[axis : axis + 2]
            if None in (height, width):
                raise ValueError(
                    f"{self!r} was given, and the images have the shape {image}. Expected a known "
                    "height and width. Call tf.image.resize, or tf.ensure_shape, in the data set."
                )
            if any((height, width) in (t[1:3], t[axis : axis + 2]) for t in targets):
                raise ValueError(
                    f"{self!r} was given, and the targets are as large as the images: {targets}. "
                    "Expected targets that do not grow with them, such as classes, since only the "
                    "inputs are made smaller. Choose another fidelity, such as "
                    "kt_plus.fidelity.DataFraction."
                )

    def cost(self, level: Value) -> float:
        return float(level) ** 2

    def describe(self, level: Value) -> str:
        return "full resolution" if level == 1 else f"{self.show(level)} of the resolution"


def _shapes(x: Any, dataset: Any = None) -> list[tuple[int | None, ...]]:
    """The shapes of inputs; or of targets, which the data set with the inputs may hold."""
    if is_dataset(x):
        spec = x.element_spec
        x = spec[0] if isinstance(spec, tuple) else spec
    elif is_dataset(dataset):
        spec = dataset.element_spec
        x = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    return [tuple(leaf.shape) for leaf in leaves_of(x) if hasattr(leaf, "shape")]


def _is_image(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4


def _axes() -> tuple[int, int]:
    """Those of height and width."""
    import keras

    return (1, 2) if keras.config.image_data_format() == "channels_last" else (2, 3)


def _size(image: Any, share: float) -> tuple[int, int]:
    height, width = (scaled(image.shape[axis], share) for axis in _axes())
    return height, width


def _smaller(images: Any, share: float) -> Any:
    """The images resized by Keras, on any backend, some at a time."""
    import keras

    size = _size(images, share)
    batches = [
        keras.ops.convert_to_numpy(
            keras.ops.image.resize(
                np.asarray(images[start : start + BATCH]).astype("float32"), size, antialias=True
            )
        )
        for start in range(0, images.shape[0], BATCH)
    ]
    return np.concatenate(batches)


def _in_graph(images: Any, share: float) -> Any:
    """The same by TensorFlow, in whose graph a data set is mapped."""
    import keras
    import tensorflow as tf

    if not _is_image(images.shape):
        return images
    first = keras.config.image_data_format() == "channels_first"
    size = _size(images, share)
    images = tf.transpose(images, [0, 2, 3, 1]) if first else images
    smaller = tf.image.resize(images, size, antialias=True)
    return tf.transpose(smaller, [0, 3, 1, 2]) if first else smaller
