"""What all architecture search spaces share: the task, training settings, bounds, the model."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import keras
import keras_tuner
import numpy as np
from keras_tuner.errors import FailedTrialError

from kt_plus.engine.history import Value
from kt_plus.engine.space import Space
from kt_plus.performance_estimation import fidelity
from kt_plus.performance_estimation.fidelity.size import scaled
from kt_plus.search_spaces.arguments import (
    SEARCH,
    check_one_of,
    check_rank,
    checked_bound,
    checked_number,
    checked_optimizer,
    checked_outputs,
    checked_shape,
)
from kt_plus.search_spaces.graph import Graph, Sketch
from kt_plus.search_spaces.layer_kinds import Shape
from kt_plus.search_spaces.preprocessing import measured
from kt_plus.search_spaces.training import TASKS, make_optimizer

Values = dict[str, Value]
Move = Callable[[Values, np.random.Generator], Values]
"""A way to change an architecture; it may give back the one that it was given."""

ATTEMPTS = 100
"""How many moves are tried at most to find another network within the bounds."""

SHARES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
"""The widths at which a network above the bound is tried, as shares of the one asked for."""


class ArchitectureSpace(keras_tuner.HyperModel, abc.ABC):  # type: ignore[misc]
    """The base of the search spaces: a `keras_tuner.HyperModel` whose models are graphs.

    When to use it: for a search space of your own, by its one abstract method, `body`. It
    receives training settings, task heads, bounds, fidelities and pictures from here.

    Args:
        input_shape: The shape of one example: (height, width, channels) of an image, (features,)
            of a table's row, (steps, features) of a sequence. Lengths may be `None`.
        num_outputs: The number of classes, of labels or of regressed values; 1 for "binary".
        task: "classification" (softmax, integer labels), "binary" (one sigmoid unit),
            "multi_label" (a sigmoid for each label) or "regression" (linear, mean squared error).
        data: "image", "table" or "sequence".
        preprocessing: A function from the input tensor to the tensor that the network gets, made
            of Keras layers and operations: adapted `Normalization`, embeddings, augmentation.
            It is part of the model, and is called for each one.
        optimizer: "search", between Adam and SGD with momentum, or the name of one of Keras's.
        learning_rate: "search", or a number.
        dropout: "search", from 0 to 0.5, or a rate; 0 for none.
        weight_decay: "search", or a number: the optimizer's decoupled decay; 0 for none.
        max_parameters: No network has more parameters (Keras's `count_params`).
        max_flops: No network takes more multiply-adds for an example.

    Raises:
        ValueError: If an argument has an impossible value, or a bound lies below the smallest
            network.
    """

    data_kinds: ClassVar[tuple[str, ...]] = ("image", "table")

    def __init__(
        self,
        input_shape: tuple[int | None, ...],
        num_outputs: int = 1,
        task: str = "classification",
        data: str = "image",
        *,
        preprocessing: Callable[[Any], Any] | None = None,
        optimizer: str = SEARCH,
        learning_rate: float | str = SEARCH,
        dropout: float | str = SEARCH,
        weight_decay: float | str = SEARCH,
        max_parameters: int | None = None,
        max_flops: int | None = None,
    ) -> None:
        super().__init__()
        check_one_of("task", task, TASKS)
        check_one_of("data", data, self.data_kinds)
        self.input_shape = checked_shape(input_shape)
        self.num_outputs = checked_outputs(num_outputs, task)
        self.task, self.data = task, data
        self.preprocessing = preprocessing
        self.optimizer = checked_optimizer(optimizer)
        self.learning_rate = checked_number("learning_rate", learning_rate)
        self.dropout = checked_number("dropout", dropout, below=1.0)
        self.weight_decay = checked_number("weight_decay", weight_decay)
        self.max_parameters = checked_bound("max_parameters", max_parameters)
        self.max_flops = checked_bound("max_flops", max_flops)
        self._measured: dict[Shape, dict[str, Any]] = {}
        check_rank(self.features_shape, data, preprocessed=preprocessing is not None)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.input_shape}, {self.num_outputs}, task={self.task!r}, "
            f"data={self.data!r})"
        )

    @abc.abstractmethod
    def body(self, hp: Any, sketch: Sketch, source: str, share: float) -> str:
        """Adds the network's layers, but for input and head, to a sketch.

        Args:
            hp: The `keras_tuner.HyperParameters` to ask.
            sketch: The graph in the making.
            source: The name of the node that holds the data.
            share: The share of its full width that the network should have.

        Returns:
            The name of the last node.
        """

    @property
    def moves(self) -> tuple[Move, ...]:
        """The ways to change an architecture; one of its choices by default."""
        return (self._change_choice,)

    @property
    def features_shape(self) -> Shape:
        """The shape of what the network gets, after preprocessing."""
        if self.preprocessing is None:
            return self.input_shape
        shape: Shape = self._measured_preprocessing(self.input_shape)["shape"]
        return shape

    def graph(self, hp: Any) -> Graph:
        """The architecture of a configuration.

        A network above the bound is made narrower, by halves, until it is within. The searches of
        kt_plus propose none such, as `valid` tells them; Keras Tuner's own cannot be told.

        Args:
            hp: The `keras_tuner.HyperParameters`, at whose fidelity the network is, or a mapping
                from names to values; what it leaves out has its default.

        Raises:
            keras_tuner.errors.FailedTrialError: If no width brings it within the bound.
        """
        hp = hyperparameters(hp) if isinstance(hp, Mapping) else hp
        for share in SHARES:
            graph = self._network(hp, share)
            if self._is_within_bounds(graph):
                return graph
        raise FailedTrialError(
            f"A network of {graph.parameters:,} parameters is above the bound "
            f"({self._bounds()}), and no narrower one of its layers is within. Raise the bound, "
            "or search with a tuner of kt_plus, which leaves such configurations out."
        )

    def build(self, hp: Any) -> keras.Model:
        """The compiled model of a configuration."""
        model = self.graph(hp).build(self.preprocessing)
        self.compile(hp, model)
        return model

    def compile(self, hp: Any, model: keras.Model) -> None:
        """Compiles the model; override it for another loss or other metrics."""
        task = TASKS[self.task]
        optimizer = make_optimizer(hp, self.optimizer, self.learning_rate, self.weight_decay)
        model.compile(optimizer, loss=task.loss, metrics=[task.metric()])

    def valid(self, values: Mapping[str, Value]) -> bool:
        """Whether the network of these values is within the bounds."""
        if self.max_parameters is None and self.max_flops is None:
            return True
        return self._is_within_bounds(self._network(hyperparameters(values), 1.0))

    def mutate(self, values: Mapping[str, Value], rng: np.random.Generator) -> Values:
        """The values of a network that one of the space's moves has made another one.

        Training settings stay as they are. The searches of kt_plus use it to vary architectures.

        Args:
            values: The configuration to start from.
            rng: The source of randomness.
        """
        parent = self.architecture.complete(values)
        before = self._hash(parent)
        for _ in range(ATTEMPTS):
            child = self.moves[rng.integers(len(self.moves))](dict(parent), rng)
            if child != parent and self.valid(child) and self._hash(child) != before:
                return {**values, **child}
        return {**values, **parent}  # nothing else is within reach

    def fingerprint(self, values: Mapping[str, Value]) -> str:
        """What configurations share whose networks are isomorphic and equally trained."""
        training = {n: v for n, v in values.items() if n not in self._choices}
        return f"{self._hash(values)} {sorted(training.items())}"

    @cached_property
    def architecture(self) -> Space:
        """The choices that make the architecture, training settings left out."""
        hp = keras_tuner.HyperParameters()
        self._network(hp, 1.0)
        return Space.from_hyperparameters(hp.space)

    def smallest(self) -> Values:
        """Values of the smallest network of the space, one choice minimised after another."""
        best = self.architecture.defaults()
        for choice in self.architecture.dimensions:
            best = min((best | {choice.name: v} for v in choice.samples(2)), key=self._size)
        return best

    def _change_choice(self, values: Values, rng: np.random.Generator) -> Values:
        return self._other_value(values, sorted(self._choices - {"dropout", "width"}), rng)

    def _other_value(
        self, values: Values, names: Sequence[str], rng: np.random.Generator, without: Any = None
    ) -> Values:
        """`values` with one of the choices named changed."""
        if not names:
            return values
        name = names[int(rng.integers(len(names)))]
        choice = next(d for d in self.architecture.dimensions if d.name == name)
        others = [v for v in choice.samples() if v not in (values[name], without)]
        return values | {name: others[rng.integers(len(others))]} if others else values

    @cached_property
    def _choices(self) -> frozenset[str]:
        return frozenset(choice.name for choice in self.architecture.dimensions)

    def _hash(self, values: Mapping[str, Value]) -> str:
        return self._network(hyperparameters(values), 1.0).hash()

    def _size(self, values: Values) -> int:
        graph = self._network(hyperparameters(values), 1.0)
        by_flops = self.max_parameters is None and self.max_flops is not None
        return graph.flops if by_flops else graph.parameters

    def _network(self, hp: Any, share: float) -> Graph:
        sketch = Sketch(self._shape_at_fidelity(hp))
        source = sketch.input
        if self.preprocessing is not None:
            sizes = self._measured_preprocessing(sketch.shapes[source])
            source = sketch.add("preprocessing", "preprocessing", source, **sizes)
        last = self.body(hp, sketch, source, share)
        if self.data != "table":
            last = sketch.add("head_pool", "global_pool", last)
        if rate := self._dropout_rate(hp):
            last = sketch.add("head_dropout", "dropout", last, rate=rate)
        activation = TASKS[self.task].activation
        sketch.add("head", "output", last, units=self.num_outputs, activation=activation)
        return sketch.graph()

    def _shape_at_fidelity(self, hp: Any) -> Shape:
        if self.data != "image":
            return self.input_shape
        *lengths, channels = self.input_shape
        return (*(n and fidelity.resolution(hp, n) for n in lengths), channels)

    def _dropout_rate(self, hp: Any) -> float:
        if self.dropout != SEARCH:
            return float(self.dropout)
        return float(hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2))

    def _ask_width(self, hp: Any, widths: tuple[int, ...]) -> int:
        if len(widths) == 1:
            return widths[0]
        middle = widths[(len(widths) - 1) // 2]
        return int(hp.Choice("width", list(widths), ordered=True, default=middle))

    def _width(self, hp: Any, full: int, share: float) -> int:
        return scaled(fidelity.width(hp, full), share)

    def _is_within_bounds(self, graph: Graph) -> bool:
        if self.max_parameters is not None and graph.parameters > self.max_parameters:
            return False
        return self.max_flops is None or graph.flops <= self.max_flops

    def _bounds(self) -> str:
        bounds = (("max_parameters", self.max_parameters), ("max_flops", self.max_flops))
        return ", ".join(f"{name}={bound:,}" for name, bound in bounds if bound is not None)

    def _check_bounds(self) -> None:
        """Raises if no network of the space is within the bounds. For subclasses to call last."""
        if self.max_parameters is None and self.max_flops is None:
            return
        graph = self._network(hyperparameters(self.smallest()), 1.0)
        if not self._is_within_bounds(graph):
            flops = "" if self.max_flops is None else f" and {graph.flops:,} multiply-adds"
            raise ValueError(
                f"{self._bounds()} was given. The smallest network of the space has "
                f"{graph.parameters:,} parameters{flops}: raise the bound, or give the space "
                "smaller widths."
            )

    def _measured_preprocessing(self, shape: Shape) -> dict[str, Any]:
        if shape not in self._measured:
            self._measured[shape] = measured(self.preprocessing, shape)
        return self._measured[shape]


def hyperparameters(values: Mapping[str, Value]) -> Any:
    """A `keras_tuner.HyperParameters` that answers with these values, or with defaults."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    return hp
