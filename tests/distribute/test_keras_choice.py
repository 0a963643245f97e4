"""Child processes use the Keras of their parent, on every way to start them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras
import pytest

import kt_plus
from kt_plus.distribute import keras_choice, processes
from kt_plus.distribute.template import Template, shared_template
from tests.distribute.searches import sums

LEGACY = keras_choice.LEGACY


@pytest.fixture
def late_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks for Keras 2 after TensorFlow has chosen, as `import tensorflow_transform` does."""
    import tensorflow as tf

    monkeypatch.delenv(LEGACY, raising=False)
    assert tf.keras.Model is keras.Model
    monkeypatch.setenv(LEGACY, "1")


def seen() -> dict[str, Any]:
    """What a user's module gets by its imports."""
    import keras as itself
    from tensorflow import keras as alias
    from tensorflow.keras import layers

    return {
        "tf.keras": alias.Model is itself.Model,
        "tensorflow.keras": layers.Dense is itself.layers.Dense,
        "variable": os.environ.get(LEGACY),
        "own variable": os.environ.get(keras_choice.CHOICE),
    }


def search(directory: Path, **distribution: Any) -> dict[str, Any]:
    """Returns what each process of a search has got."""

    def make_tuner() -> Any:
        name = os.environ.get("KERASTUNER_TUNER_ID", "caller")
        (directory / f"{name}.seen").write_text(json.dumps(seen()))
        return sums(directory, max_trials=2)()

    tuner = kt_plus.distribute.search(make_tuner, workers=1, **distribution)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["COMPLETED"] * 2
    return {path.stem: json.loads(path.read_text()) for path in directory.glob("*.seen")}


def check(found: dict[str, Any]) -> None:
    same = {"tf.keras": True, "tensorflow.keras": True, "variable": "1", "own variable": None}
    assert found == {"caller": same, "chief": same, "worker0": same}


@pytest.mark.usefixtures("late_variable")
def test_forked_for_each_trial(tmp_path: Path) -> None:
    check(search(tmp_path, isolate=True))
    template = shared_template(processes.inherited_environment())
    assert isinstance(template, Template)
    assert template.served, "the processes were forked"


@pytest.mark.slow
@pytest.mark.usefixtures("late_variable")
def test_started_without_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "shared_template", lambda environment: None)
    check(search(tmp_path))


@pytest.mark.full
@pytest.mark.usefixtures("late_variable")
def test_on_a_ray_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    check(search(tmp_path, backend="ray"))
