"""The kinds of layers that operations are made of: how Keras makes them, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

Shape = tuple[int | None, ...]
Settings = Mapping[str, Any]


class Kind(NamedTuple):
    """A kind of Keras layer.

    `shape`, `parameters` and `multiply_adds` are told without Keras, from the layer's settings
    and the shapes, without the batch, of what goes in and comes out.
    """

    layer: Callable[[Settings, int, str], Any]
    shape: Callable[[Settings, Shape], Shape] = lambda s, i: i
    parameters: Callable[[Settings, Shape], int] = lambda s, i: 0
    untrained: Callable[[Settings, Shape], int] = lambda s, i: 0
    multiply_adds: Callable[[Settings, Shape, Shape], int] = lambda s, i, o: 0


def positions(shape: Shape) -> int:
    """The number of pixels or time steps of a shape.

    Raises:
        ValueError: If a length is unknown.
    """
    if None in shape:
        raise ValueError(
            f"A layer's output has the shape {shape}, of unknown length, so that its FLOPs cannot "
            "be told. Give input_shape a length, or bound the parameters with max_parameters."
        )
    return math.prod(shape[:-1])  # type: ignore[arg-type]


def _strided(s: Settings, shape: Shape) -> Shape:
    stride = s.get("stride", 1)
    lengths = (None if n is None else -(-n // stride) for n in shape[:-1])
    return (*lengths, s.get("filters", shape[-1]))


def _window(s: Settings, rank: int) -> dict[str, Any]:
    """The arguments that the layers with a window share; `rank` is that of one example."""
    return {"strides": s.get("stride", 1), "padding": "same", "data_format": "channels_last"}


def _of_rank(name: str, rank: int) -> Any:
    return getattr(keras.layers, f"{name}{rank - 1}D")


def _conv(s: Settings, rank: int, name: str) -> Any:
    return _of_rank("Conv", rank)(
        s["filters"],
        s["kernel"],
        dilation_rate=s.get("dilation", 1),
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
        **_window(s, rank),
    )


def _depthwise_conv(s: Settings, rank: int, name: str) -> Any:
    return _of_rank("DepthwiseConv", rank)(
        s["kernel"],
        dilation_rate=s.get("dilation", 1),
        use_bias=False,
        depthwise_initializer="he_normal",
        name=name,
        **_window(s, rank),
    )


def _pool(kind: str) -> Callable[[Settings, int, str], Any]:
    return lambda s, rank, name: _of_rank(kind, rank)(s["kernel"], name=name, **_window(s, rank))


def _dense(s: Settings, rank: int, name: str) -> Any:
    # The output stays in full precision under a mixed policy, as Keras's guide asks.
    precision = {"dtype": "float32"} if s.get("output") else {}
    activation = s.get("activation")
    use_bias = s.get("bias", True)
    return keras.layers.Dense(s["units"], activation, use_bias=use_bias, name=name, **precision)


def _recurrent(gates: int, biases: int) -> Callable[[Settings, Shape], int]:
    def parameters(s: Settings, shape: Shape) -> int:
        units = int(s["units"])
        return gates * units * (channels(shape) + units + biases)

    return parameters


def _recurrent_multiply_adds(gates: int) -> Callable[[Settings, Shape, Shape], int]:
    def multiply_adds(s: Settings, i: Shape, o: Shape) -> int:
        units = int(s["units"])
        return positions(i) * gates * units * (channels(i) + units)

    return multiply_adds


def channels(shape: Shape) -> int:
    """The number of channels, or features, of a shape."""
    return shape[-1] or 0


def _window_size(s: Settings, rank: int) -> int:
    kernel = s["kernel"]
    return math.prod(kernel) if isinstance(kernel, tuple) else int(kernel ** (rank - 1))


def _conv_weights(s: Settings, i: Shape) -> int:
    return _window_size(s, len(i)) * channels(i) * int(s["filters"])


def _depthwise_weights(s: Settings, i: Shape) -> int:
    return _window_size(s, len(i)) * channels(i)


def _dense_weights(s: Settings, i: Shape) -> int:
    return channels(i) * int(s["units"])


KINDS: dict[str, Kind] = {
    "conv": Kind(
        _conv,
        _strided,
        _conv_weights,
        multiply_adds=lambda s, i, o: positions(o) * _conv_weights(s, i),
    ),
    "depthwise_conv": Kind(
        _depthwise_conv,
        _strided,
        _depthwise_weights,
        multiply_adds=lambda s, i, o: positions(o) * _depthwise_weights(s, i),
    ),
    "batch_norm": Kind(
        # Keras's own momentum, 0.99, needs some 500 steps before validation means anything.
        lambda s, rank, name: keras.layers.BatchNormalization(momentum=0.9, name=name),
        parameters=lambda s, i: 2 * channels(i),
        untrained=lambda s, i: 2 * channels(i),
    ),
    "activation": Kind(
        lambda s, rank, name: keras.layers.Activation(s["function"], name=name),
    ),
    "max_pool": Kind(_pool("MaxPooling"), _strided),
    "avg_pool": Kind(_pool("AveragePooling"), _strided),
    "global_pool": Kind(
        lambda s, rank, name: _of_rank("GlobalAveragePooling", rank)(
            data_format="channels_last", name=name
        ),
        lambda s, i: (i[-1],),
    ),
    "dense": Kind(
        _dense,
        lambda s, i: (*i[:-1], s["units"]),
        lambda s, i: _dense_weights(s, i) + (s["units"] if s.get("bias", True) else 0),
        multiply_adds=lambda s, i, o: positions(o) * _dense_weights(s, i),
    ),
    "dropout": Kind(lambda s, rank, name: keras.layers.Dropout(s["rate"], name=name)),
    "gru": Kind(
        lambda s, rank, name: keras.layers.GRU(s["units"], return_sequences=True, name=name),
        lambda s, i: (*i[:-1], s["units"]),
        _recurrent(gates=3, biases=2),
        multiply_adds=_recurrent_multiply_adds(3),
    ),
    "lstm": Kind(
        lambda s, rank, name: keras.layers.LSTM(s["units"], return_sequences=True, name=name),
        lambda s, i: (*i[:-1], s["units"]),
        _recurrent(gates=4, biases=1),
        multiply_adds=_recurrent_multiply_adds(4),
    ),
    "zero": Kind(lambda s, rank, name: keras.layers.Rescaling(0.0, name=name)),
    "add": Kind(lambda s, rank, name: keras.layers.Add(name=name)),
    "concat": Kind(lambda s, rank, name: keras.layers.Concatenate(name=name)),
}
"""The kinds of layers. Parameters and multiply-adds of what is not told here are none."""
