"""The objective of a configuration has the direction of Keras's metric, or is an error at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

from tests.errors import raises_in_three_parts
from tfx_components import SearchConfig

pytestmark = pytest.mark.tfx


def build(hp: Any) -> Any:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(hp.Int("units", 1, 3))])
    model.compile(loss="mse")
    return model


def test_the_direction_of_a_name(tmp_path: Path) -> None:
    config = SearchConfig("random_search", ["val_f1_score", "val_loss"], max_trials=1)
    again = SearchConfig.from_json(config.to_json())
    objective = again.make_tuner(build, str(tmp_path), "search").oracle.objective
    found = {each.name: each.direction for each in objective.objectives}
    assert found == {"val_f1_score": "max", "val_loss": "min"}


def test_a_name_without_a_direction() -> None:
    with raises_in_three_parts(
        ValueError, happened="got 'val_usefulness'", expected="`objective` must be the name"
    ):
        SearchConfig("random_search", "val_usefulness", max_trials=1)
