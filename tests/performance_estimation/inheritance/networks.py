"""Random networks, and random changes of them that can keep their function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from hypothesis import strategies as st

layers = keras.layers

SIZE = 6
"""Height and width of the images."""


@dataclass(frozen=True)
class Block:
    """A part of a network.

    Args:
        slot: What its layers are named after.
        kind: "plain", one layer; "residual", a layer added to its input; "branches", two layers
            side by side, joined; "pool".
        layer: "dense", "conv", "separable" or "depthwise".
        units: The number of units; of "branches", that of the first one.
        more: The number of units of the second branch.
        window: The size of the kernel's window.
        norm: Whether batch normalization comes before the activation.
        bias: Whether the layer has one.
    """

    slot: str
    kind: str
    layer: str
    units: int = 3
    more: int = 2
    window: int = 3
    norm: bool = True
    bias: bool = True


@dataclass(frozen=True)
class Description:
    """A network: blocks, what comes after them, and whether its layers are named."""

    images: bool
    blocks: tuple[Block, ...]
    flat: bool
    named: bool = True


def build(description: Description) -> Any:
    """The network, with ReLU after each layer."""
    x = inputs = keras.Input((SIZE, SIZE, 2) if description.images else (5,))
    for block in description.blocks:
        x = _block(block, x, description)
    if description.images:
        x = layers.Flatten()(x) if description.flat else layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    head = layers.Dense(3, "softmax", **_name(description, "head"))(x)
    return keras.Model(inputs, head)


def _name(description: Description, name: str) -> dict[str, str]:
    return {"name": name} if description.named else {}


def _block(block: Block, x: Any, description: Description) -> Any:
    if block.kind == "pool":
        return layers.MaxPooling2D(2, padding="same")(x) if description.images else x
    if block.kind == "residual":
        y = _layer(block, x, x.shape[-1], description, "a", activation=False)
        return layers.ReLU()(layers.Add()([x, y]))
    if block.kind == "branches":
        parts = [(block.units, "a"), (block.more, "b")]
        joined = [_layer(block, x, units, description, name) for units, name in parts]
        return layers.Concatenate()(joined)
    return _layer(block, x, block.units, description, "a")


def _layer(
    block: Block, x: Any, units: int, description: Description, name: str, activation: bool = True
) -> Any:
    settings = {**_name(description, f"{block.slot}_{name}"), "use_bias": block.bias}
    window = {"kernel_size": block.window, "padding": "same"}
    if block.layer == "dense" or not description.images:
        x = layers.Dense(units, **settings)(x)
    elif block.layer == "conv":
        x = layers.Conv2D(units, **window, **settings)(x)
    elif block.layer == "separable":
        x = layers.SeparableConv2D(units, **window, **settings)(x)
    else:
        x = layers.DepthwiseConv2D(**window, **settings)(x)
    if block.norm:
        x = layers.BatchNormalization(**_name(description, f"{block.slot}_{name}_norm"))(x)
    return layers.Activation("relu")(x) if activation else x


def train(model: Any, seed: int) -> Any:
    """Gives a model weights as training might: none of them is special any more."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights(
            [_trained(rng, v, w) for v, w in zip(layer.weights, layer.get_weights(), strict=True)]
        )
    return model


def _trained(rng: np.random.Generator, variable: Any, array: np.ndarray) -> np.ndarray:
    drawn = rng.normal(size=array.shape)
    if "variance" in variable.name or variable.name == "gamma":
        return np.abs(drawn) + 0.3
    fan = max(int(np.prod(array.shape[:-1])), 1)
    return drawn / np.sqrt(fan) if array.ndim > 1 else 0.3 * drawn


def examples(model: Any, number: int = 4) -> np.ndarray:
    """Inputs for a model."""
    rng = np.random.default_rng(7)
    return rng.normal(size=(number, *model.input_shape[1:])).astype("float32")


def outputs(model: Any) -> np.ndarray:
    """What a model computes for `examples`."""
    return np.asarray(keras.ops.convert_to_numpy(model(examples(model), training=False)))


KINDS = ["plain", "plain", "residual", "branches", "pool"]
LAYERS = ["dense", "conv", "separable", "depthwise"]


@st.composite
def blocks(draw: Any, slot: str, kinds: list[str] = KINDS) -> Block:
    """A random block."""
    kind = draw(st.sampled_from(kinds))
    depthwise = kind == "plain"
    return Block(
        slot,
        kind,
        draw(st.sampled_from(LAYERS if depthwise else LAYERS[:-1])),
        draw(st.integers(1, 5)),
        draw(st.integers(1, 4)),
        draw(st.sampled_from([1, 2, 3])),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@st.composite
def descriptions(draw: Any, named: bool | None = None) -> Description:
    """A random network."""
    number = draw(st.integers(1, 4))
    return Description(
        draw(st.booleans()),
        tuple(draw(blocks(f"slot{i}")) for i in range(number)),
        draw(st.booleans()),
        draw(st.booleans()) if named is None else named,
    )


@st.composite
def morphed(draw: Any, description: Description) -> Description:
    """The network after one to three changes that can keep its function."""
    for number in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from([widened, larger, deepened, normalized]))
        description = change(draw, description, f"new{number}")
    return description


def _changed(description: Description, place: int, block: Block) -> Description:
    blocks = [*description.blocks]
    blocks[place] = block
    return replace(description, blocks=tuple(blocks))


def _place(draw: Any, description: Description) -> int:
    return draw(st.integers(0, len(description.blocks) - 1))  # type: ignore[no-any-return]


def widened(draw: Any, description: Description, slot: str) -> Description:
    """More units somewhere."""
    place = _place(draw, description)
    block = description.blocks[place]
    more = {
        "units": block.units + draw(st.integers(1, 5)),
        "more": block.more + draw(st.integers(0, 4)),
    }
    return _changed(description, place, replace(block, **more))


def larger(draw: Any, description: Description, slot: str) -> Description:
    """A larger window somewhere."""
    place = _place(draw, description)
    block = description.blocks[place]
    return _changed(
        description, place, replace(block, window=block.window + draw(st.integers(1, 2)))
    )


def normalized(draw: Any, description: Description, slot: str) -> Description:
    """Batch normalization somewhere."""
    place = _place(draw, description)
    return _changed(description, place, replace(description.blocks[place], norm=True))


def deepened(draw: Any, description: Description, slot: str) -> Description:
    """A new block: a residual one, or a layer as wide as those before it, after a ReLU."""
    place = draw(st.integers(1, len(description.blocks)))
    kind = draw(st.sampled_from(["plain", "residual"]))
    layer = draw(st.sampled_from(LAYERS[:3] if kind == "residual" else LAYERS))
    widest = sum(block.units + block.more for block in description.blocks) + 2
    window, norm = draw(st.sampled_from([1, 2, 3])), draw(st.booleans())
    block = Block(slot, kind, layer, widest, 1, window, norm, draw(st.booleans()))
    if all(b.kind == "pool" for b in description.blocks[:place]):
        return description  # its input may be negative
    before, after = description.blocks[:place], description.blocks[place:]
    return replace(description, blocks=(*before, block, *after))
