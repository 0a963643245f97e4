"""A network as data: its layers, their weights as arrays, and which is called on what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from kt_plus.performance_estimation.inheritance.arrays import Array

ACTIVATION = "Activation"
FUNCTION = "activation"

NOT_NEGATIVE = {"relu", "relu6", "sigmoid", "hard_sigmoid", "softplus", "softmax", "exponential"}
"""Activations whose values are never negative."""

KEEP_SIGN = ("Pooling", "Flatten", "Reshape", "UpSampling", "ZeroPadding", "Cropping", "Permute")
KEEP_SIGN_IF_ALL = ("Concatenate", "Add", "Average", "Multiply", "Minimum", "Maximum")


@dataclass(frozen=True)
class Layer:
    """A layer, in the normal form that `Network` has.

    Args:
        name: Its name; with those of the models that it stands in before it.
        kind: The name of its class, for Keras's own; otherwise with its module.
        config: What says which function of its weights it computes, but for their shapes.
        weights: Its weights by name.
        named: Whether its user has named it: Keras's names tell nothing but an order.
    """

    name: str
    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    named: bool = False

    @cached_property
    def key(self) -> str:
        """What is equal for layers that compute the same function of their weights."""
        return f"{self.kind}:{json.dumps(self.config, sort_keys=True, default=repr)}"

    @property
    def function(self) -> str | None:
        """Which of Keras's activations it is; `None` if it is none, or one of the user's."""
        function = self.config.get(FUNCTION) if self.kind == ACTIVATION else None
        return function if isinstance(function, str) else None

    def is_any_of(self, parts: Iterable[str]) -> bool:
        """Whether the name of its class has one of these parts, and the class is Keras's own."""
        return "." not in self.kind and any(part in self.kind for part in parts)


@dataclass(frozen=True)
class Call:
    """One call of a layer: the numbers of the tensors that go in, and of those that come out."""

    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A network as it computes when it does not train, in a normal form.

    Activations that layers have are calls of their own; what does nothing outside training,
    as dropout, is left out; models within models are taken apart.

    Args:
        layers: The layers by name.
        calls: Their calls, each after those whose tensors it takes.
        inputs: The numbers of the tensors that the network takes.
        outputs: The numbers of those that it computes.
        shapes: The shape of each tensor by its number, without the examples' axis.
    """

    layers: Mapping[str, Layer]
    calls: tuple[Call, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int | None, ...], ...]

    def width(self, tensor: int) -> int | None:
        """The number of a tensor's units: the size of its last axis."""
        shape = self.shapes[tensor]
        return shape[-1] if shape else None

    def of(self, call: Call) -> Layer:
        """The layer that is called."""
        return self.layers[call.layer]

    @cached_property
    def producers(self) -> Mapping[int, Call]:
        """The call that each tensor comes from."""
        return {tensor: call for call in self.calls for tensor in call.outputs}

    @cached_property
    def consumers(self) -> Mapping[int, list[Call]]:
        """The calls that each tensor goes to."""
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                found.setdefault(tensor, []).append(call)
        return found

    @cached_property
    def calls_of(self) -> Mapping[str, list[Call]]:
        """The calls of each layer."""
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.layer, []).append(call)
        return found

    @cached_property
    def _by_function(self) -> Mapping[tuple[str, tuple[int, ...]], Call]:
        calls = reversed(self.calls)
        return {(self.of(call).key, call.inputs): call for call in calls}

    def find(self, layer: Layer, inputs: tuple[int, ...]) -> Call | None:
        """The call of a layer without weights that computes the same of these tensors."""
        return self._by_function.get((layer.key, inputs))

    @cached_property
    def heads(self) -> Mapping[str, int]:
        """The last layer with weights before each output, with the output's number."""
        found: dict[str, int] = {}
        for number, tensor in enumerate(self.outputs):
            call = self.producers.get(tensor)
            while call is not None and not self.of(call).weights and len(call.inputs) == 1:
                call = self.producers.get(call.inputs[0])
            if call is not None and self.of(call).weights:
                found.setdefault(call.layer, number)
        return found

    @cached_property
    def starts(self) -> Mapping[str, int]:
        """The first layers with weights after each input, with the input's number."""
        found: dict[str, int] = {}
        numbers = {tensor: number for number, tensor in enumerate(self.inputs)}
        for call in self.calls:
            number = numbers.get(call.inputs[0]) if call.inputs else None
            if number is not None and self.of(call).weights:
                found.setdefault(call.layer, number)
            elif number is not None and len(call.inputs) == 1:
                numbers.update(dict.fromkeys(call.outputs, number))
        return found

    @cached_property
    def not_negative(self) -> frozenset[int]:
        """The tensors whose values are known never to be negative."""
        found: set[int] = set()
        for call in self.calls:
            layer, known = self.of(call), [tensor in found for tensor in call.inputs]
            if _is_never_negative(layer, known):
                found.update(call.outputs)
        return frozenset(found)


def _is_never_negative(layer: Layer, inputs: list[bool]) -> bool:
    """Whether a layer's values are never negative, if some of its inputs are known not to be."""
    if layer.function is not None:
        return layer.function in NOT_NEGATIVE
    if layer.kind == "ReLU":
        return not layer.config.get("negative_slope")
    if layer.config.get("interpolation") not in (None, "nearest", "bilinear"):
        return False  # cubic ones overshoot
    keeps = layer.kind in KEEP_SIGN_IF_ALL or layer.is_any_of(KEEP_SIGN)
    return keeps and bool(inputs) and all(inputs)


def is_zero(layer: Layer) -> bool:
    """Whether a layer makes everything zero, as an absent edge of a cell does."""
    scale, offset = (layer.config.get(name) for name in ("scale", "offset"))
    return layer.kind == "Rescaling" and not np.any(scale or 0) and not np.any(offset or 0)


def without_idle_calls(network: Network) -> Network:
    """The network without what changes nothing: a tensor has then one number.

    That is rectifying what is never negative, and adding what is zero.
    """
    same: dict[int, int] = {}
    zeros: set[int] = set()
    calls = []
    for call in network.calls:
        layer = network.of(call)
        call = replace(call, inputs=tuple(same.get(tensor, tensor) for tensor in call.inputs))
        if is_zero(layer):
            zeros.update(call.outputs)
        elif layer.kind == "Add":
            call = replace(call, inputs=tuple(t for t in call.inputs if t not in zeros))
            zeros.update(call.outputs if not call.inputs else ())
        idle = layer.function == "relu" and call.inputs[0] in network.not_negative
        if idle or (layer.kind == "Add" and len(call.inputs) == 1):
            same[call.outputs[0]] = call.inputs[0]
        elif call.inputs:
            calls.append(call)
    outputs = tuple(same.get(tensor, tensor) for tensor in network.outputs)
    return Network(network.layers, tuple(calls), network.inputs, outputs, network.shapes)
