"""Smaller networks: narrower layers and fewer cells, for any model that asks."""

from __future__ import annotations

from typing import Any

from kt_plus.engine.history import Value
from kt_plus.performance_estimation.fidelity.base import Share

RESERVED = "tuner/"


class Width(Share):
    """The width of the layers, in filters or units, as a share of their full width.

    When to use it: where other things than the width are searched. It is for models that
    ask for it, by calling `kt_plus.fidelity.width` where they set a number of filters or
    units; any other model is the same at each rung. A promoted trial begins anew, since its
    network is another one.

    Source: the C of NASNet's and DARTS's proxy networks; Zoph et al., CVPR 2018
    (arXiv:1707.07012).

    Args:
        *levels: The share at each rung, above 0; the last is 1.

    Raises:
        ValueError: If the levels do not increase, or do not end with 1.

    Example:

    ```python
    def build_model(hp):
        units = kt_plus.fidelity.width(hp, hp.Int("units", 32, 512, sampling="log"))
        ...

    kt_plus.SuccessiveHalving(build_model, "val_loss", ladder=kt_plus.fidelity.Width(1/4, 1/2, 1))
    ```
    """

    name = "width"

    def cost(self, level: Value) -> float:
        return float(level) ** 2  # of most layers both input and output are narrower

    def describe(self, level: Value) -> str:
        return "full width" if level == 1 else f"{self.show(level)} of the width"


class Cells(Share):
    """The number of cells, or of other blocks that are repeated, as a share of the full number.

    When to use it: in search spaces of cells, where a network of few of them is a proxy of
    one of many. It is for models that call `kt_plus.fidelity.cells` where they repeat
    something; any other model is the same at each rung. A promoted trial begins anew.

    Source: Zoph et al., CVPR 2018 (arXiv:1707.07012), section 3: N of the proxy networks.

    Args:
        *levels: The share at each rung, above 0; the last is 1.

    Raises:
        ValueError: If the levels do not increase, or do not end with 1.

    Example:

    ```python
    def build_model(hp):
        for i in range(kt_plus.fidelity.cells(hp, 6)):
            ...

    kt_plus.SuccessiveHalving(build_model, "val_loss", ladder=kt_plus.fidelity.Cells(1/3, 2/3, 1))
    ```
    """

    name = "cells"

    def describe(self, level: Value) -> str:
        return "all cells" if level == 1 else f"{self.show(level)} of the cells"


def width(hp: Any, full: int) -> int:
    """The number of filters or units at the fidelity of the trial that the model is built for.

    When to use it: in a model that is to be searched with `kt_plus.fidelity.Width`, around each
    number of filters or units. Without that it changes nothing.

    Args:
        hp: The `keras_tuner.HyperParameters` that the model is built from.
        full: The number in the full network.

    Returns:
        The nearest whole number to the share of `full`, at least 1.

    Example:

    ```python
    layer = keras.layers.Conv2D(kt_plus.fidelity.width(hp, 64), 3)
    ```
    """
    return _scaled(hp, "width", full)


def cells(hp: Any, full: int) -> int:
    """The number of cells at the fidelity of the trial that the model is built for.

    When to use it: in a model that is to be searched with `kt_plus.fidelity.Cells`, where
    blocks are repeated. Without that it changes nothing.

    Args:
        hp: The `keras_tuner.HyperParameters` that the model is built from.
        full: The number in the full network.

    Returns:
        The nearest whole number to the share of `full`, at least 1.

    Example:

    ```python
    for i in range(kt_plus.fidelity.cells(hp, 6)):
        x = cell(x)
    ```
    """
    return _scaled(hp, "cells", full)


def resolution(hp: Any, full: int) -> int:
    """The height or width in pixels of the images that the model will be trained on.

    When to use it: in a model that fixes the size of its input and is to be searched with
    `kt_plus.fidelity.Resolution`. Without that it changes nothing.

    Args:
        hp: The `keras_tuner.HyperParameters` that the model is built from.
        full: The height, or width, of the images themselves.

    Returns:
        The nearest whole number to the share of `full`, at least 1.

    Example:

    ```python
    size = kt_plus.fidelity.resolution(hp, 32)
    model = keras.Sequential([keras.Input((size, size, 3)), ...])
    ```
    """
    return _scaled(hp, "resolution", full)


def _scaled(hp: Any, name: str, full: int) -> int:
    return scaled(full, float(hp.values.get(RESERVED + name, 1.0)))


def scaled(full: int, share: float) -> int:
    """The nearest whole number to a share of `full`, at least 1."""
    return max(int(full * share + 0.5), 1)
