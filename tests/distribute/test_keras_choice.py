"""Child processes use the Keras of their parent, on every way to start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


PARENT = f"""
import json, os
import tensorflow as tf
os.environ["{LEGACY}"] = "1"
tf.keras.layers
from kt_plus.distribute import keras_choice
print(json.dumps(keras_choice.variables()))
"""

CHILD = """
from kt_plus.distribute import keras_choice
keras_choice.adopt()
import tensorflow as tf
alias = tf.keras.layers.Dense  # before the next import, which replaces tf.keras
from tensorflow.keras.layers import Dense
print(alias.__module__, Dense.__module__)
"""


@pytest.mark.full
@pytest.mark.tfx
def test_keras_2_and_keras_3_in_one_process() -> None:
    """TensorFlow is imported before tensorflow_transform, and `tf.keras` is used after it."""
    pytest.importorskip("tf_keras", reason="TFX brings Keras 2")
    chosen = json.loads(printed_by(PARENT, {}))
    assert chosen[LEGACY] == "1"
    alias, package = printed_by(CHILD, chosen).split()
    assert alias.startswith("tf_keras.")
    assert package.startswith("keras.")


def printed_by(program: str, variables: dict[str, str]) -> str:
    """Returns the last line that a new process prints."""
    environment = {name: value for name, value in os.environ.items() if name != LEGACY}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout.splitlines()[-1]
