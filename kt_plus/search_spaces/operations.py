"""The operations that networks are made of: their layers, shapes, parameters and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from kt_plus.search_spaces.layer_kinds import KINDS, Kind, Settings, Shape, channels


class Layer(NamedTuple):
    """One Keras layer of an operation: the end of its name, its kind and its settings."""

    suffix: str
    kind: str
    settings: dict[str, Any]


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
    return (*shapes[0][:-1], sum(channels(shape) for shape in shapes))


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
