"""Every line of code in the README's table of tools runs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import kt_plus
import tfx_components

README = Path(__file__).parents[1] / "README.md"
CHEAPER = {
    r"max_trials=\d+": "max_trials=1",
    r"max_epochs=\d+": "max_epochs=2",
    r"configurations=\d+": "configurations=2",
    r"minutes=\d+": "max_epochs=4, ensemble=1",
    r'preset="darts"': 'preset="darts", cells=1, width=4',
    r"executions_per_trial=\d+": "executions_per_trial=2",
    r"ChainSpace\(\(28, 28, 1\), 10": "ChainSpace((8, 8, 1), 10, slots=2",
    r"BranchingSpace\(\(28, 28, 1\), 10": "BranchingSpace((8, 8, 1), 10, blocks=2",
    r"CellSpace\(\(28, 28, 1\)": "CellSpace((8, 8, 1)",
}
"""What is replaced so that a line takes a second or two."""


def lines() -> dict[str, str]:
    """The code of each row of the table."""
    if not README.exists():
        return {}
    section = README.read_text().partition("## Every tool of the field\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| ([^|`]+) \| `([^`]+)` \|$", section, flags=re.MULTILINE))


LINES = lines()
pytestmark = pytest.mark.skipif(not LINES, reason="README.md is not where these tests are")

IMAGES = np.random.default_rng(0).random((40, 8, 8, 1)).astype("float32")
ROWS = IMAGES.reshape(40, -1)
LABELS = np.arange(40) % 10


def build_model(hp):
    layers = [keras.layers.Flatten(), keras.layers.Dense(hp.Int("units", 2, 8), "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build_sklearn_model(hp):
    return LogisticRegression(C=hp.Float("C", 0.01, 10, sampling="log"))


def names() -> dict:
    return {
        "build_model": build_model,
        "build_sklearn_model": build_sklearn_model,
        "keras_tuner": keras_tuner,
        "kt_plus": kt_plus,
        "tfx_components": tfx_components,
        "x_train": ROWS,
        "y_train": LABELS,
    }


def evaluated(line: str, more: dict | None = None):
    for pattern, replacement in CHEAPER.items():
        line = re.sub(pattern, replacement, line)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The model is no")
        return eval(line, {**names(), **(more or {})})


def test_the_table_has_every_tool():
    assert len(LINES) == 16
    for name in ("grid", "random", "Bayesian", "Hyperband", "scikit-learn", "TFX", "chain"):
        assert any(name in row for row in LINES)
    for name in ("branching", "cell", "evolution", "reinforcement", "full", "lower", "inherit"):
        assert any(name in row for row in LINES)


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in LINES if row != "TFX"])
def test_the_line_runs(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tuner = evaluated(LINES[row])
    if isinstance(tuner, kt_plus.AutoModel):
        assert tuner.predict(ROWS).shape == LABELS.shape
    elif isinstance(tuner, keras_tuner.SklearnTuner):
        tuner.search(ROWS, LABELS)
        assert tuner.get_best_models()[0].predict(ROWS).shape == LABELS.shape
    else:
        tuner.search(IMAGES, LABELS, epochs=1, validation_split=0.5, verbose=0)
        assert tuner.oracle.get_best_trials(1)[0].score is not None


@pytest.mark.tfx
def test_the_line_of_tfx_makes_the_component(tmp_path, monkeypatch):
    pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")
    from tfx.types import channel, standard_artifacts

    monkeypatch.chdir(tmp_path)
    module = "def build_model(hp):\n    ...\n\n\ndef fit_kwargs(fn_args):\n    ...\n"
    (tmp_path / "model.py").write_text(module)
    monkeypatch.setenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES", "1")
    component = evaluated(
        LINES["TFX"], {"examples": channel.Channel(type=standard_artifacts.Examples)}
    )
    assert set(component.outputs) >= {"best_hyperparameters", "best_model"}
