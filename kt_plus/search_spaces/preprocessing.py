"""What a user's preprocessing makes of a network's input, measured once for each shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from kt_plus.search_spaces.layer_kinds import Shape


def measured(preprocessing: Callable[[Any], Any] | None, shape: Shape) -> dict[str, Any]:
    """The shape that the network gets for inputs of this one, and the parameters before it.

    Raises:
        ValueError: If it does not give back a tensor.
    """
    given = keras.Input(shape)
    made = preprocessing(given)  # type: ignore[misc]
    if not isinstance(made, keras.KerasTensor):
        raise ValueError(
            f"preprocessing returned {made!r}. Expected a tensor made from the one it was "
            "given by Keras layers or keras.ops."
        )
    model = keras.Model(given, made)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    count = model.count_params()
    return {"shape": tuple(made.shape[1:]), "parameters": count, "untrained": count - trained}
