"""Keras models as networks, and back: the one place that looks into Keras's graphs.

Keras itself is not imported: whoever has a model has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from kt_plus.performance_estimation.inheritance.arrays import Array
from kt_plus.performance_estimation.inheritance.network import (
    ACTIVATION,
    FUNCTION,
    Call,
    Layer,
    Network,
)
from kt_plus.performance_estimation.inheritance.traces import RECTIFIERS

IDLE = re.compile(
    r"(Spatial|Alpha|Gaussian)?Dropout(1D|2D|3D)?|GaussianNoise|ActivityRegularization|Identity"
    r"|Random(Flip|Rotation|Zoom|Translation|Contrast|Brightness|Shear|Erasing)"
)
"""Layers that do nothing outside training."""

ACTIVATED = re.compile(r"Dense|(Depthwise|Separable)?Conv\dD(Transpose)?")
"""Layers whose activation comes last, so that it can be a call of its own."""

SHAPING = re.compile(
    r"name|trainable|dtype|units|filters|rank|kernel_size|depth_multiplier|input_dim|output_dim"
    r"|batch_input_shape|seed|lora_\w+|quantization_config|gptq_\w+"
    r"|\w*(initializer|regularizer|constraint)|use_bias|momentum|synchronized"
    r"|dropout|recurrent_dropout|unroll|optional|use_cudnn"
)
"""Settings that do not say which function a layer computes of its weights, or that these tell."""

OPERATIONS = {"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate"}
"""Operations that do what the layers of these names do."""

FUNCTIONS = {"Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Softplus", "Softsign"}


MERGES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "concat": ("Concatenate", {"axis": -1}),
    "sum": ("Add", {}),
    "mul": ("Multiply", {}),
    "ave": ("Average", {}),
}
"""What the merge modes of Bidirectional do, as layers."""


class UnreadableModel(ValueError):
    """The layers of a model cannot be told, as those of a subclassed model."""


def read(model: Any) -> tuple[Network, Mapping[str, Any]]:
    """The network of a model, and its layers by their names there.

    Args:
        model: A functional or sequential Keras model that is built.

    Raises:
        UnreadableModel: If it is of another kind, or not built.
    """
    check_readable(model)
    try:
        inputs, outputs = list(model.inputs or ()), list(model.outputs or ())
    except (AttributeError, ValueError):
        inputs = outputs = []
    if not outputs:
        raise UnreadableModel(
            f"The model, of the class {type(model).__name__}, has not been built. Begin it with a "
            "keras.Input to let it inherit weights."
        )
    reader = _Reader()
    numbers = {id(tensor): reader.tensor(tensor) for tensor in inputs}
    ends = reader.walk(outputs, numbers, "")
    starts = tuple(numbers[id(tensor)] for tensor in inputs)
    shapes = tuple(reader.shapes)
    return Network(reader.layers, tuple(reader.calls), starts, ends, shapes), reader.handles


def check_readable(model: Any) -> None:
    """Raises if a model is neither functional nor sequential.

    Raises:
        UnreadableModel: If it is not.
    """
    names = {each.__name__ for each in type(model).__mro__}
    if not names & {"Functional", "Sequential"}:
        raise UnreadableModel(
            f"The model, of the class {type(model).__name__}, computes its outputs in a `call` of "
            "its own, which cannot be looked into. Build it as keras.Model(inputs, outputs) to let "
            "it inherit weights."
        )


def write(handles: Mapping[str, Any], weights: Mapping[str, Mapping[str, Array]]) -> None:
    """Gives layers of a model other weights.

    Args:
        handles: The layers by their names in the network.
        weights: The weights of some of them, by their names.
    """
    for name, changed in weights.items():
        layer = handles[name]
        layer.set_weights([changed.get(n, array) for n, array in _weights(layer).items()])


class _Reader:
    """Numbers the tensors of a model, and makes calls of Keras's nodes."""

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.handles: dict[str, Any] = {}
        self.calls: list[Call] = []
        self.shapes: list[tuple[int | None, ...]] = []

    def tensor(self, tensor: Any) -> int:
        """A new number for a tensor."""
        self.shapes.append(tuple(tensor.shape[1:]))
        return len(self.shapes) - 1

    def walk(self, outputs: Sequence[Any], numbers: dict[int, int], within: str) -> tuple[int, ...]:
        """Reads what the outputs are computed by, and returns their numbers.

        The order is that of a walk from the outputs back, in which a new layer moves no other.
        """
        stack = list(reversed(outputs))
        while stack:
            if id(stack[-1]) in numbers:
                stack.pop()
                continue
            history = stack[-1]._keras_history
            node = history.operation._inbound_nodes[history.node_index]
            waiting = [t for t in node.input_tensors if id(t) not in numbers]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            inputs = tuple(numbers[id(tensor)] for tensor in node.input_tensors)
            results = self._read_node(history.operation, node, inputs, within)
            numbers.update({id(t): n for t, n in zip(node.output_tensors, results, strict=True)})
        return tuple(numbers[id(tensor)] for tensor in outputs)

    def _read_node(
        self, layer: Any, node: Any, inputs: tuple[int, ...], within: str
    ) -> tuple[int, ...]:
        name = within + layer.name
        if _is_model(layer, len(inputs)):
            inner = {id(t): n for t, n in zip(layer.inputs, inputs, strict=True)}
            return self.walk(layer.outputs, inner, name + "/")
        if _is_kerass(layer) and IDLE.fullmatch(type(layer).__name__) and len(inputs) == 1:
            return inputs
        if _is_kerass(layer) and type(layer).__name__ == "Bidirectional" and _is_plain(node):
            return self._read_bidirectional(name, layer, node, inputs)
        self.handles[name] = layer
        found, function = _layer(name, layer, node)
        results = self._call(found, inputs, node.output_tensors)
        if function is None:
            return results
        return self._call(_activation(name, function), results, node.output_tensors)

    def _read_bidirectional(
        self, name: str, layer: Any, node: Any, inputs: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Its two layers, each for itself, and what merges them."""
        results: tuple[int, ...] = ()
        for each in (layer.forward_layer, layer.backward_layer):
            found, _ = _layer(f"{name}/{each.name}", each, node)
            config = {**found.config, "way": len(results)}  # sequences are put back in order
            found = replace(found, config=config, named=_is_named(layer))
            self.handles[found.name] = each
            output = SimpleNamespace(shape=each.compute_output_shape(node.input_tensors[0].shape))
            results += self._call(found, inputs, [output])
        if layer.merge_mode is None:
            return results
        merge = Layer(f"{name}/merge", *MERGES[layer.merge_mode])
        return self._call(merge, results, node.output_tensors)

    def _call(
        self, layer: Layer, inputs: tuple[int, ...], outputs: Sequence[Any]
    ) -> tuple[int, ...]:
        if layer.kind == ACTIVATION and layer.config == {FUNCTION: "linear"}:
            return inputs
        self.layers.setdefault(layer.name, layer)
        results = tuple(self.tensor(tensor) for tensor in outputs)
        self.calls.append(Call(layer.name, inputs, results))
        return results


def _is_model(layer: Any, inputs: int) -> bool:
    """Whether it is a model that can be taken apart."""
    try:
        return hasattr(layer, "layers") and len(layer.inputs) == inputs and bool(layer.outputs)
    except (AttributeError, TypeError, ValueError):
        return False


def _is_kerass(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras"


def _layer(name: str, layer: Any, node: Any) -> tuple[Layer, Any]:
    """A layer in normal form, and its activation, if that is to be a call of its own."""
    kind = type(layer).__name__
    if not _is_kerass(layer):
        kind = f"{type(layer).__module__}.{kind}"
    if not hasattr(layer, "get_weights"):  # an operation of keras.ops
        return _operation(name, kind, layer, node), None
    config, function = _config(layer), None
    if "axis" in config:
        config["axis"] = _from_the_end(config["axis"], len(node.input_tensors[0].shape))
    if ACTIVATED.fullmatch(kind):
        function = config.pop(FUNCTION, "linear")
    if kind == "ReLU" and not (config.get("negative_slope") or config.get("threshold")):
        limit = config.get("max_value")
        if limit in (None, 6):
            kind, config = ACTIVATION, {FUNCTION: "relu" if limit is None else "relu6"}
    elif kind == "Softmax" and config.get("axis") == -1:
        kind, config = ACTIVATION, {FUNCTION: "softmax"}
    elif config.get("data_format") == "channels_first":
        kind = f"{kind} with channels first"
    return Layer(name, kind, config, _weights(layer), _is_named(layer)), function


def _is_named(layer: Any) -> bool:
    """Whether its user has named it."""
    own = rf"{re.escape(_snake_case(type(layer).__name__))}(_\d+)?"
    return re.fullmatch(own, layer.name) is None


def _is_plain(node: Any) -> bool:
    """Whether it takes no states and tells none."""
    several = node.operation.merge_mode is None
    return len(node.input_tensors) == 1 and len(node.output_tensors) == 1 + several


def _operation(name: str, kind: str, operation: Any, node: Any) -> Layer:
    """An operation on tensors, such as a sum written with a plus sign."""
    if kind in FUNCTIONS:
        return Layer(name, ACTIVATION, {FUNCTION: kind.lower()})
    if kind in OPERATIONS and (kind == "Concatenate" or len(node.input_tensors) == 2):
        rank = len(node.input_tensors[0].shape)
        config = {"axis": _from_the_end(operation.axis, rank)} if kind == "Concatenate" else {}
        return Layer(name, kind, config)
    settings = {k: v for k, v in vars(operation).items() if not k.startswith("_") and k != "name"}
    arguments = [repr(node.arguments.args), repr(node.arguments.kwargs)]
    without_names = [re.sub(r"name=[^,>]*", "", text) for text in arguments]
    return Layer(name, f"operation {kind}", _plain({**settings, "arguments": without_names}))


def _config(layer: Any) -> dict[str, Any]:
    try:
        config = layer.get_config()
    except Exception:  # a layer of the user's that cannot tell its settings
        return {"settings": id(layer)}
    return _without_shapes(_plain(config))


def _without_shapes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings but for those of shape, also of layers that it wraps."""
    return {n: _without_shapes_within(v) for n, v in config.items() if not SHAPING.fullmatch(n)}


def _without_shapes_within(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_shapes_within(each) for each in value]
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        return {"class": value.get("class_name"), "config": _without_shapes(value["config"])}
    return value


def _activation(name: str, function: Any) -> Layer:
    """An activation that a layer has, as a layer; it may have been given as one."""
    kind = function.get("class") if isinstance(function, dict) else None
    if kind in RECTIFIERS:
        return Layer(f"{name}/activation", kind, function["config"])
    return Layer(f"{name}/activation", ACTIVATION, {FUNCTION: function})


def _from_the_end(axis: Any, rank: int) -> Any:
    """-1 for the last axis, in whichever way it is told."""
    (single,) = axis if isinstance(axis, (list, tuple)) and len(axis) == 1 else (axis,)
    return -1 if single in (-1, rank - 1) else axis


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config, default=repr))  # type: ignore[no-any-return]


def _weights(layer: Any) -> dict[str, Array]:
    """The weights by name; with their numbers before them where names are not unique."""
    names = [variable.name for variable in layer.weights]
    if len(set(names)) < len(names):
        names = [f"{number} {name}" for number, name in enumerate(names)]
    return dict(zip(names, layer.get_weights(), strict=True))


def _snake_case(name: str) -> str:
    """As Keras makes a layer's name of its class."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
