"""The operations that networks are made of: their layers, shapes, parameters and costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class Layer(NamedTuple):
    """One Keras layer of an operation: the end of its name, its kind and its settings."""

    suffix: str
    kind: str
    settings: dict[str, Any]


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
        return gates * units * (_channels(shape) + units + biases)

    return parameters


def _recurrent_multiply_adds(gates: int) -> Callable[[Settings, Shape, Shape], int]:
    def multiply_adds(s: Settings, i: Shape, o: Shape) -> int:
        units = int(s["units"])
        return positions(i) * gates * units * (_channels(i) + units)

    return multiply_adds


def _channels(shape: Shape) -> int:
    return shape[-1] or 0


def _window_size(s: Settings, rank: int) -> int:
    kernel = s["kernel"]
    return math.prod(kernel) if isinstance(kernel, tuple) else int(kernel ** (rank - 1))


def _conv_weights(s: Settings, i: Shape) -> int:
    return _window_size(s, len(i)) * _channels(i) * int(s["filters"])


def _depthwise_weights(s: Settings, i: Shape) -> int:
    return _window_size(s, len(i)) * _channels(i)


def _dense_weights(s: Settings, i: Shape) -> int:
    return _channels(i) * int(s["units"])


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
        parameters=lambda s, i: 2 * _channels(i),
        untrained=lambda s, i: 2 * _channels(i),
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

RELU = Layer("relu", "activation", {"function": "relu"})
BATCH_NORM = Layer("bn", "batch_norm", {})


def _activation(s: Settings) -> list[Layer]:
    function = s.get("activation", "relu")
    return [] if function is None else [Layer(function, "activation", {"function": function})]


def _separable(s: Settings, suffix: str = "", stride: int | None = None) -> list[Layer]:
    stride = s.get("stride", 1) if stride is None else stride
    # Keras has no dilation with a stride: the 1x1 convolution that follows has the stride then.
    later = stride if s.get("dilation", 1) > 1 else 1
    window = {"kernel": s["kernel"], "stride": stride // later, "dilation": s.get("dilation", 1)}
    point = {"filters": s["filters"], "kernel": 1, "stride": later}
    return [
        Layer("depthwise" + suffix, "depthwise_conv", window),
        Layer("pointwise" + suffix, "conv", point),
        Layer("bn" + suffix, "batch_norm", {}),
    ]


def _conv_settings(s: Settings) -> dict[str, Any]:
    return {k: s[k] for k in ("filters", "kernel", "stride", "dilation") if k in s}


def _twice_separable(s: Settings) -> list[Layer]:
    again = RELU._replace(suffix="relu2")
    return [RELU, *_separable(s), again, *_separable(s, "2", stride=1)]


def _factorized(s: Settings) -> list[Layer]:
    filters, kernel = s["filters"], s["kernel"]
    return [
        RELU,
        Layer("conv", "conv", {"filters": filters, "kernel": (1, kernel)}),
        BATCH_NORM,
        RELU._replace(suffix="relu2"),
        Layer("conv2", "conv", {"filters": filters, "kernel": (kernel, 1), "stride": s["stride"]}),
        BATCH_NORM._replace(suffix="bn2"),
    ]


def _dense_layers(s: Settings) -> list[Layer]:
    dense = Layer("dense", "dense", {"units": s["units"], "bias": False})
    return [dense, BATCH_NORM, *_activation(s)]


def _single(kind: str) -> Callable[[Settings], list[Layer]]:
    return lambda s: [Layer("", kind, dict(s))]


OPERATIONS: dict[str, Callable[[Settings], list[Layer]]] = {
    "conv": lambda s: [Layer("conv", "conv", _conv_settings(s)), BATCH_NORM, *_activation(s)],
    "separable_conv": lambda s: [*_separable(s), *_activation(s)],
    "depthwise_conv": lambda s: [
        Layer("depthwise", "depthwise_conv", {k: s[k] for k in ("kernel", "stride")}),
        BATCH_NORM,
        *_activation(s),
    ],
    # In the cells of papers activation comes first.
    "relu_conv": lambda s: [RELU, Layer("conv", "conv", _conv_settings(s)), BATCH_NORM],
    "relu_separable_conv": _twice_separable,  # Zoph et al. 2018 apply it twice
    "relu_dilated_conv": lambda s: [RELU, *_separable({"dilation": 2, **s})],
    "relu_factorized_conv": _factorized,  # 1xk, then kx1
    "bare_conv": lambda s: [Layer("conv", "conv", _conv_settings(s))],
    "bn_relu": lambda s: [BATCH_NORM, RELU],
    "zero": _single("zero"),
    "dense": _dense_layers,
    "max_pool": _single("max_pool"),
    "avg_pool": _single("avg_pool"),
    "global_pool": _single("global_pool"),
    "activation": _single("activation"),
    "dropout": _single("dropout"),
    "gru": _single("gru"),
    "lstm": _single("lstm"),
    "output": lambda s: [Layer("", "dense", {**s, "output": True})],
    "add": _single("add"),
    "concat": _single("concat"),
}
"""Each operation's layers, from its settings."""

SOURCES = ("input", "preprocessing")
"""The operations that have a shape of their own and no layers."""

MERGES = ("add", "concat")
"""The operations that take any number of inputs, in any order."""


def layers(operation: str, settings: Settings) -> list[Layer]:
    """The layers of an operation."""
    return OPERATIONS[operation](settings)


def merged(operation: str, shapes: Sequence[Shape]) -> Shape:
    """The shape of a sum or of a concatenation."""
    if operation == "add":
        return shapes[0]
    return (*shapes[0][:-1], sum(_channels(shape) for shape in shapes))


class Cost(NamedTuple):
    """One layer's output shape, its parameters, those that are not trained, its multiply-adds."""

    shape: Shape
    parameters: int
    untrained: int
    multiply_adds: Callable[[], int]


def costs(operation: str, settings: Settings, shapes: Sequence[Shape]) -> Iterator[Cost]:
    """What each layer of an operation comes to, in order."""
    shape = merged(operation, shapes) if operation in MERGES else shapes[0]
    for _, kind, own in layers(operation, settings):
        rule, before = KINDS[kind], shape
        shape = rule.shape(own, before)
        untrained = rule.untrained(own, before)
        count = rule.parameters(own, before) + untrained

        def multiply_adds(rule: Kind = rule, own: Settings = own, i: Shape = before) -> int:
            return rule.multiply_adds(own, i, rule.shape(own, i))

        yield Cost(shape, count, untrained, multiply_adds)


def apply(operation: str, settings: Settings, name: str, tensors: Sequence[Any]) -> Any:
    """The operation as Keras layers, named after its node, on Keras tensors."""
    value: Any = tensors if operation in MERGES else tensors[0]
    rank = len(tensors[0].shape) - 1
    for suffix, kind, own in layers(operation, settings):
        value = KINDS[kind].layer(own, rank, f"{name}_{suffix}" if suffix else name)(value)
    return value


def label(operation: str, settings: Settings, rank: int) -> str:
    """The operation in a few words, for pictures."""
    if operation in MERGES or "function" in settings:
        return str(settings.get("function", operation))
    words = operation.replace("_", " ").removeprefix("relu ")
    if "kernel" in settings:
        words += " " + "x".join([str(settings["kernel"])] * max(rank - 1, 1))
    size = settings.get("filters") or settings.get("units")
    words += f", {size}" if size else ""
    words += f", {settings['activation']}" if settings.get("activation") else ""
    words += f", stride {settings['stride']}" if settings.get("stride", 1) > 1 else ""
    if "rate" in settings:
        words += f" {settings['rate']:.3g}"
    return words
