"""Chains: a sequence of slots, each of which holds a layer or is empty."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from kt_plus.engine.history import Value
from kt_plus.performance_estimation import fidelity
from kt_plus.search_spaces.base import ArchitectureSpace, hyperparameters
from kt_plus.search_spaces.graph import Sketch

IDENTITY = "identity"

SMALLEST_MAP = 4
"""The height and width in pixels that are left by as many reductions as there are by default."""

Slot = Callable[[Sketch, str, str, int, int], str]
"""Adds a slot's layers: from the sketch, its name, what feeds it, its width and its stride."""


def _conv(operation: str, kernel: int) -> Slot:
    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        return sketch.add(name, operation, source, filters=width, kernel=kernel, stride=stride)

    return add


def _residual_conv(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """The basic block of He et al., CVPR 2016 (arXiv:1512.03385)."""
    settings: dict[str, Any] = {"filters": width, "kernel": 3}
    first = sketch.add(f"{name}_first", "conv", source, stride=stride, **settings)
    second = sketch.add(f"{name}_second", "conv", first, activation=None, stride=1, **settings)
    added = sketch.add(f"{name}_add", "add", _shortcut(sketch, name, source, width, stride), second)
    return sketch.add(f"{name}_relu", "activation", added, function="relu")


def _inverted_residual(expansion: int, kernel: int) -> Slot:
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


def _pool(operation: str) -> Slot:
    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        pooled = sketch.add(name, operation, source, kernel=3, stride=stride)
        return _shortcut(sketch, name, pooled, width, 1)

    return add


def _recurrent(operation: str) -> Slot:
    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        if stride > 1:
            source = sketch.add(f"{name}_pool", "max_pool", source, kernel=stride, stride=stride)
        return sketch.add(name, operation, source, units=width)

    return add


def _shortcut(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """`source` itself, or by a 1x1 convolution if its shape must change."""
    if stride == 1 and sketch.channels(source) == width:
        return source
    return sketch.add(
        f"{name}_projection",
        "conv",
        source,
        filters=width,
        kernel=1,
        stride=stride,
        activation=None,
    )


def _dense(activation: str) -> Slot:
    def add(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
        return sketch.add(name, "dense", source, units=width, activation=activation)

    return add


def _residual_dense(sketch: Sketch, name: str, source: str, width: int, stride: int) -> str:
    """The block of Gorishniy et al., NeurIPS 2021 (arXiv:2106.11959), with its norm last."""
    first = sketch.add(f"{name}_first", "dense", source, units=width, activation="relu")
    second = sketch.add(f"{name}_second", "dense", first, units=width, activation=None)
    if sketch.channels(source) != width:
        source = sketch.add(f"{name}_projection", "dense", source, units=width, activation=None)
    return sketch.add(f"{name}_add", "add", source, second)


CONVOLUTIONS: dict[str, Slot] = {
    "conv_3": _conv("conv", 3),
    "conv_5": _conv("conv", 5),
    "sep_conv_3": _conv("separable_conv", 3),
    "sep_conv_5": _conv("separable_conv", 5),
    "residual_3": _residual_conv,
    "mb3_k3": _inverted_residual(3, 3),
    "mb6_k5": _inverted_residual(6, 5),
    "max_pool": _pool("max_pool"),
    "avg_pool": _pool("avg_pool"),
}
SLOTS: dict[str, dict[str, Slot]] = {
    "image": CONVOLUTIONS,
    "table": {
        "dense_relu": _dense("relu"),
        "dense_gelu": _dense("gelu"),
        "dense_tanh": _dense("tanh"),
        "residual_relu": _residual_dense,
    },
    "sequence": CONVOLUTIONS | {"gru": _recurrent("gru"), "lstm": _recurrent("lstm")},
}
"""What a slot may hold besides "identity", for each kind of data."""

DEFAULTS: dict[str, tuple[tuple[str, ...], int, tuple[int, ...]]] = {
    "image": (("conv_3", IDENTITY, "conv_5", "sep_conv_3", "residual_3"), 6, (16, 32, 64)),
    "table": (("dense_relu", IDENTITY, "dense_gelu", "residual_relu"), 4, (32, 64, 128, 256)),
    "sequence": (("conv_3", IDENTITY, "conv_5", "gru", "lstm"), 4, (16, 32, 64)),
}
"""For each kind of data the operations, the number of slots and the widths by default."""


class Stage(NamedTuple):
    """Slots at one resolution: their numbers, from 1, and what the first of them does."""

    slots: tuple[int, ...]
    widening: int
    stride: int


class ChainSpace(ArchitectureSpace):
    """Chains of layers: each slot holds one of several operations, or nothing ("identity").

    When to use it: as the first space to search, for data of any kind. Depth, kinds of layers and
    width are searched; images and sequences are halved, and widths doubled, from stage to stage.

    Source: the macro search spaces of the survey of Elsken, Metzen and Hutter, JMLR 2019
    (arXiv:1808.05377), section 2. `preset="nas_bench_macro"` is that of Su et al., CVPR 2021
    (arXiv:2103.11922): 8 slots of 3 operations, 6,561 networks.

    Args:
        input_shape: The shape of one example.
        num_outputs: The number of classes, of labels or of regressed values; 1 for "binary".
        task: "classification", "binary", "multi_label" or "regression".
        data: "image", "table" or "sequence".
        operations: What a slot may hold: "identity", and for images and sequences "conv_3",
            "conv_5", "sep_conv_3", "sep_conv_5", "residual_3", "mb3_k3", "mb6_k5", "max_pool" and
            "avg_pool", for sequences "gru" and "lstm" too; for tables "dense_relu", "dense_gelu",
            "dense_tanh" and "residual_relu". The first is the default.
        slots: The number of slots, all stages together: 6, or 4 for tables and sequences, by
            default.
        widths: The numbers of filters or units of the first stage to search.
        reductions: How often an image or a sequence is halved. As often, 4 times at most, as
            leaves 4 pixels, or steps, by default.
        preset: "nas_bench_macro", in place of these four.
        **kwargs: `preprocessing`, `optimizer`, `learning_rate`, `dropout`, `weight_decay`,
            `max_parameters` and `max_flops`: see `kt_plus.search_spaces.ArchitectureSpace`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    space = kt_plus.search_spaces.ChainSpace((28, 28, 1), 10, max_parameters=500_000)
    tuner = kt_plus.EvolutionarySearch(space, "val_accuracy", max_trials=50)
    tuner.search(x, y, epochs=10, validation_split=0.2)
    space.graph(tuner.get_best_hyperparameters()[0]).plot()
    ```
    """

    data_kinds: ClassVar[tuple[str, ...]] = ("image", "table", "sequence")

    def __init__(
        self,
        input_shape: tuple[int | None, ...],
        num_outputs: int = 1,
        task: str = "classification",
        data: str = "image",
        *,
        operations: Sequence[str] | None = None,
        slots: int | None = None,
        widths: Sequence[int] | None = None,
        reductions: int | None = None,
        preset: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_shape, num_outputs, task, data, **kwargs)
        usual = DEFAULTS[self.data]
        self.preset = preset
        if preset is not None:
            _check_preset(preset, data, (operations, slots, widths, reductions))
            usual = ((IDENTITY, "mb3_k3", "mb6_k5"), 8, (32,))
            reductions = 3
        self.operations = _checked_operations(operations or usual[0], data)
        self.widths = _checked_widths(widths or usual[2])
        number = _checked_count("slots", usual[1] if slots is None else slots, 1)
        reductions = self._checked_reductions(reductions)
        self.stages = _stages(number, reductions, self.preset is not None)
        self._check_bounds()

    def body(self, hp: Any, sketch: Sketch, source: str, share: float) -> str:
        width = self._width(hp, self._base_width(hp), share)
        if self.data != "table":
            source = sketch.add("stem", "conv", source, filters=width, kernel=3)
        for stage in self.stages:
            held = [self._held(hp, slot) for slot in stage.slots]
            for place in range(fidelity.cells(hp, len(held))):
                stride = stage.stride if place == 0 else 1
                name = f"slot{stage.slots[place]}"
                here = width * stage.widening
                source = self._fill(sketch, name, held[place], source, here, stride)
        if self.preset is not None:
            source = sketch.add("last", "conv", source, filters=40 * width, kernel=1)
        return source

    def smallest(self) -> dict[str, Value]:
        slots = [f"slot{slot}" for stage in self.stages for slot in stage.slots]
        start = {"width": min(self.widths), "dropout": 0.0}
        uniform = (start | dict.fromkeys(slots, each) for each in self.operations)
        best: dict[str, Value] = min(uniform, key=self._size)
        for slot in slots:
            best = min((best | {slot: each} for each in self.operations), key=self._size)
        return best

    def _size(self, values: dict[str, Value]) -> int:
        graph = self._network(hyperparameters(values), 1.0)
        return graph.flops if self.max_parameters is None else graph.parameters

    def _base_width(self, hp: Any) -> int:
        if len(self.widths) == 1:
            return self.widths[0]
        middle = self.widths[(len(self.widths) - 1) // 2]
        return int(hp.Choice("width", list(self.widths), ordered=True, default=middle))

    def _held(self, hp: Any, slot: int) -> str:
        return str(hp.Choice(f"slot{slot}", list(self.operations)))

    def _fill(
        self, sketch: Sketch, name: str, held: str, source: str, width: int, stride: int
    ) -> str:
        if held != IDENTITY:
            return SLOTS[self.data][held](sketch, name, source, width, stride)
        return source if self.data == "table" else _shortcut(sketch, name, source, width, stride)

    def _checked_reductions(self, reductions: int | None) -> int:
        if self.data == "table":
            if reductions:
                raise ValueError(
                    f"reductions={reductions!r} was given for tables, which have no resolution to "
                    "reduce. Leave it out."
                )
            return 0
        known = [length for length in self.features_shape[:-1] if length is not None]
        most = int(math.log2(min(known))) if known else None
        if reductions is None:
            fitting = 2 if most is None else most - int(math.log2(SMALLEST_MAP))
            return min(max(fitting, 0), 4)
        number = _checked_count("reductions", reductions, 0)
        if most is not None and number > most:
            raise ValueError(
                f"{number} reductions were asked for, each of which halves the "
                f"{self.data}; one of shape {self.features_shape} can be halved {most} times. "
                "Give fewer reductions, or larger examples."
            )
        return number


def _stages(slots: int, reductions: int, reduced_first: bool) -> tuple[Stage, ...]:
    """The slots shared out among the stages, the later ones getting what is left over."""
    number = reductions + (0 if reduced_first else 1)
    if slots < number:
        raise ValueError(
            f"slots={slots} were given with {reductions} reductions, which make {number} stages. "
            "Expected a slot for each stage at least: give more slots, or fewer reductions."
        )
    ends = [(stage + 1) * slots // number for stage in range(number)]
    begins = [0, *ends[:-1]]
    powers = range(1, number + 1) if reduced_first else range(number)
    return tuple(
        Stage(tuple(range(begin + 1, end + 1)), 2**power, 2 if power else 1)
        for begin, end, power in zip(begins, ends, powers, strict=True)
    )


def _check_preset(preset: str, data: str, others: tuple[Any, ...]) -> None:
    if preset != "nas_bench_macro":
        raise ValueError(
            f"preset={preset!r} was given. Expected 'nas_bench_macro', or None for a chain of "
            "your own."
        )
    if data != "image" or any(other is not None for other in others):
        raise ValueError(
            "preset='nas_bench_macro' is for images, and sets operations, slots, widths and "
            "reductions itself. Leave these out."
        )


def _checked_operations(operations: Sequence[str], data: str) -> tuple[str, ...]:
    known = (IDENTITY, *SLOTS[data])
    if isinstance(operations, str) or not operations or not set(operations) <= set(known):
        raise ValueError(
            f"operations={operations!r} was given for data={data!r}. Expected some of "
            f"{', '.join(map(repr, known))}."
        )
    return tuple(dict.fromkeys(operations))


def _checked_widths(widths: Sequence[int]) -> tuple[int, ...]:
    whole = not isinstance(widths, (str, int)) and all(
        isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths
    )
    if not whole or not widths:
        raise ValueError(
            f"widths={widths!r} was given. Expected positive whole numbers, such as (16, 32, 64)."
        )
    return tuple(sorted(set(widths)))


def _checked_count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{name}={value!r} was given. Expected a whole number of at least {least}."
        )
    return value
