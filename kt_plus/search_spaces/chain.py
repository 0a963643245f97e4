"""Chains: a sequence of slots, each of which holds a layer or is empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from kt_plus.engine.history import Value
from kt_plus.performance_estimation import fidelity
from kt_plus.search_spaces.arguments import checked_count, checked_operations, checked_widths
from kt_plus.search_spaces.base import ArchitectureSpace, Move, Values
from kt_plus.search_spaces.blocks import BLOCKS, IDENTITY, identity
from kt_plus.search_spaces.graph import Sketch
from kt_plus.search_spaces.stages import Stage, checked_reductions, stages

DEFAULTS: dict[str, tuple[tuple[str, ...], int, tuple[int, ...]]] = {
    "image": (("conv_3", IDENTITY, "conv_5", "sep_conv_3", "residual_3"), 6, (16, 32, 64)),
    "table": (("dense_relu", IDENTITY, "dense_gelu", "residual_relu"), 4, (32, 64, 128, 256)),
    "sequence": (("conv_3", IDENTITY, "conv_5", "gru", "lstm"), 4, (16, 32, 64)),
}
"""For each kind of data the operations, the number of slots and the widths by default."""


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
        self.operations = checked_operations(
            operations or usual[0], data, (IDENTITY, *BLOCKS[data])
        )
        self.widths = checked_widths(widths or usual[2])
        number = checked_count("slots", usual[1] if slots is None else slots, 1)
        halved = checked_reductions(reductions, data, self.features_shape)
        self.stages = stages("slots", number, halved, reduced_first=preset is not None)
        self._check_bounds()

    def body(self, hp: Any, sketch: Sketch, source: str, share: float) -> str:
        width = self._width(hp, self._ask_width(hp, self.widths), share)
        if self.data != "table":
            source = sketch.add("stem", "conv", source, filters=width, kernel=3)
        for stage in self.stages:
            held = [str(hp.Choice(slot, list(self.operations))) for slot in _slots(stage)]
            shown = fidelity.cells(hp, len(held))
            for place, slot, operation in zip(range(shown), _slots(stage), held, strict=False):
                stride = stage.stride if place == 0 else 1
                block = BLOCKS[self.data].get(operation, identity)
                source = block(sketch, slot, source, width * stage.widening, stride)
        if self.preset is not None:
            source = sketch.add("last", "conv", source, filters=40 * width, kernel=1)
        return source

    @property
    def moves(self) -> tuple[Move, ...]:
        insertions = (self._insert, self._remove) if IDENTITY in self.operations else ()
        return (self._change, *insertions)

    def _change(self, values: Values, rng: np.random.Generator) -> Values:
        """Puts another operation in a slot that is not empty."""
        return self._other_value(values, self._filled(values), rng, without=IDENTITY)

    def _remove(self, values: Values, rng: np.random.Generator) -> Values:
        """Empties a slot; the others keep their layers, names and all."""
        filled = self._filled(values)
        return values | {filled[rng.integers(len(filled))]: IDENTITY} if filled else values

    def _insert(self, values: Values, rng: np.random.Generator) -> Values:
        """Puts a layer before or behind another one, shifting those up to the nearest gap."""
        stage = self.stages[rng.integers(len(self.stages))]
        slots = _slots(stage)
        held: list[Value] = [values[slot] for slot in slots]
        gaps = [place for place, each in enumerate(held) if each == IDENTITY]
        operations = [each for each in self.operations if each != IDENTITY]
        if not gaps or not operations:
            return values
        place = int(rng.integers(len(slots)))
        gap = min(gaps, key=lambda g: abs(g - place))
        del held[gap]
        held.insert(place, operations[rng.integers(len(operations))])
        return values | dict(zip(slots, held, strict=True))

    def _filled(self, values: Values) -> list[str]:
        slots = [slot for stage in self.stages for slot in _slots(stage)]
        return [slot for slot in slots if values[slot] != IDENTITY]


def _slots(stage: Stage) -> list[str]:
    """The hyperparameters of a stage, which are the names of its layers too."""
    return [f"slot{place}" for place in stage.places]


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
