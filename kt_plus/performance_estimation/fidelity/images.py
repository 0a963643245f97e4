"""Smaller images."""

from __future__ import annotations

from typing import Any

from kt_plus.engine.history import Value
from kt_plus.performance_estimation.fidelity.base import Share
from kt_plus.performance_estimation.fidelity.size import scaled
from kt_plus.performance_estimation.training_data import TrainingData, is_dataset, leaves_of, mapped

BATCH = 1024


class Resolution(Share):
    """The height and width of the images, training and validation, as a share of the full ones.

    When to use it: with images, and networks that take them in any size, by pooling globally, or
    whose input is as large as `kt_plus.fidelity.resolution` says. All inputs of rank 4 are
    images, in Keras's `image_data_format`; they are resized bilinearly, with antialiasing. A
    promoted trial begins anew.

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

    def apply(self, level: Value, data: TrainingData) -> TrainingData:
        share = float(level)
        if share == 1:
            return data
        validation = data.validation_data
        if isinstance(validation, (tuple, list)):
            validation = (_resized(validation[0], share), *validation[1:])
        elif validation is not None:
            validation = _resized(validation, share)
        return data.replaced(x=_resized(data.x, share), validation_data=validation)

    def check(self, data: TrainingData) -> None:
        shapes = _shapes(data.x)
        if not any(map(_is_image, shapes)):
            raise ValueError(
                f"{self!r} was given, and the training data have the shapes {shapes}. Expected "
                "images, of the shape (examples, height, width, channels). Choose another "
                "fidelity, such as kt_plus.fidelity.Epochs."
            )

    def cost(self, level: Value) -> float:
        return float(level) ** 2

    def describe(self, level: Value) -> str:
        return "full resolution" if level == 1 else f"{self.show(level)} of the resolution"


def _shapes(x: Any) -> list[tuple[int | None, ...]]:
    if is_dataset(x):
        spec = x.element_spec
        x = spec[0] if isinstance(spec, tuple) else spec
    return [tuple(leaf.shape) for leaf in leaves_of(x) if hasattr(leaf, "shape")]


def _is_image(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 4


def _resized(x: Any, share: float) -> Any:
    if is_dataset(x):
        from kt_plus.performance_estimation.fidelity.datasets import with_inputs

        return with_inputs(x, lambda inputs: mapped(lambda leaf: _in_graph(leaf, share), inputs))
    return mapped(lambda leaf: _smaller(leaf, share) if _is_image(leaf.shape) else leaf, x)


def _size(image: Any, share: float) -> tuple[int, int]:
    import keras

    first = 1 if keras.config.image_data_format() == "channels_last" else 2
    height, width = image.shape[first], image.shape[first + 1]
    return scaled(height, share), scaled(width, share)


def _smaller(images: Any, share: float) -> Any:
    """The images resized by Keras, on any backend, some at a time."""
    import keras
    import numpy as np

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
