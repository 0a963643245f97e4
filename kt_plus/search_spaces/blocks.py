"""Blocks: what fills a place of an architecture, as one or more nodes of its graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kt_plus.search_spaces.graph import Sketch

IDENTITY = "identity"

Block = Callable[[Sketch, str, str, int, int], str]
"""Adds nodes to a sketch, given a name, what feeds the block, its width and its stride."""


def conv(operation: str, kernel: int) -> Block:
    """A convolution of some kind."""

    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        return sketch.add(name, operation, source, filters=width, kernel=kernel, stride=stride)

    return add


def residual_conv(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """The basic block of He et al., CVPR 2016 (arXiv:1512.03385)."""
    settings: dict[str, Any] = {"filters": width, "kernel": 3}
    first = sketch.add(f"{name}_first", "conv", source, stride=stride, **settings)
    second = sketch.add(f"{name}_second", "conv", first, activation=None, stride=1, **settings)
    added = sketch.add(f"{name}_add", "add", shortcut(sketch, name, source, width, stride), second)
    return sketch.add(f"{name}_relu", "activation", added, function="relu")


def inverted_residual(expansion: int, kernel: int) -> Block:
    """The block of Sandler et al., CVPR 2018 (arXiv:1801.04381): "MB" with its expansion."""

    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        inside = expansion * sketch.channels(source)
        wide = sketch.add(
            f"{name}_expand", "conv", source, filters=inside, kernel=1, activation="relu6"
        )
        deep = sketch.add(
            f"{name}_depthwise",
            "depthwise_conv",
            wide,
            kernel=kernel,
            stride=stride,
            activation="relu6",
        )
        narrow = sketch.add(
            f"{name}_project", "conv", deep, filters=width, kernel=1, activation=None
        )
        if stride > 1 or sketch.channels(source) != width:
            return narrow
        return sketch.add(f"{name}_add", "add", source, narrow)

    return add


def pool(operation: str) -> Block:
    """Pooling, and a projection where the width must change."""

    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        pooled = sketch.add(name, operation, source, kernel=3, stride=stride)
        return shortcut(sketch, name, pooled, width, 1)

    return add


def recurrent(operation: str) -> Block:
    """A recurrent layer, behind pooling where the sequence must become shorter."""

    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        if stride > 1:
            source = sketch.add(f"{name}_pool", "max_pool", source, kernel=stride, stride=stride)
        return sketch.add(name, operation, source, units=width)

    return add


def identity(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """Nothing, where the shape may stay; tables take any number of features."""
    if len(sketch.shapes[source]) == 1:
        return source
    return shortcut(sketch, name, source, width, stride)


def shortcut(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """`source` itself, or what a linear layer makes of it if its shape must change."""
    if stride == 1 and sketch.channels(source) == width:
        return source
    projection = f"{name}_projection"
    if len(sketch.shapes[source]) == 1:
        return sketch.add(projection, "dense", source, units=width, activation=None)
    settings: dict[str, Any] = {"filters": width, "kernel": 1, "stride": stride}
    return sketch.add(projection, "conv", source, activation=None, **settings)


def dense(activation: str) -> Block:
    """A dense layer with batch normalization."""

    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        return sketch.add(name, "dense", source, units=width, activation=activation)

    return add


def residual_dense(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """The block of Gorishniy et al., NeurIPS 2021 (arXiv:2106.11959), with its norm last."""
    first = sketch.add(f"{name}_first", "dense", source, units=width, activation="relu")
    second = sketch.add(f"{name}_second", "dense", first, units=width, activation=None)
    return sketch.add(f"{name}_add", "add", shortcut(sketch, name, source, width, 1), second)


CONVOLUTIONS: dict[str, Block] = {
    "conv_3": conv("conv", 3),
    "conv_5": conv("conv", 5),
    "sep_conv_3": conv("separable_conv", 3),
    "sep_conv_5": conv("separable_conv", 5),
    "residual_3": residual_conv,
    "mb3_k3": inverted_residual(3, 3),
    "mb6_k5": inverted_residual(6, 5),
    "max_pool": pool("max_pool"),
    "avg_pool": pool("avg_pool"),
}
BLOCKS: dict[str, dict[str, Block]] = {
    "image": CONVOLUTIONS,
    "table": {
        "dense_relu": dense("relu"),
        "dense_gelu": dense("gelu"),
        "dense_tanh": dense("tanh"),
        "residual_relu": residual_dense,
    },
    "sequence": CONVOLUTIONS | {"gru": recurrent("gru"), "lstm": recurrent("lstm")},
}
"""What a place may hold besides "identity", for each kind of data."""
