"""The documentation: its code runs, its reference is whole, and it can be built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import types
import warnings
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn.datasets import load_digits

import kt_plus

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.skipif(not PAGES, reason="docs/ is not where these tests are")


def build_model(hp):
    layers = [keras.Input((64,)), keras.layers.Dense(hp.Int("units", 4, 16), "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    optimizer = keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def names() -> dict:
    """What every page may take for granted."""
    x, y = load_digits(return_X_y=True)
    x = x.astype("float32") / 16
    data = {"x_train": x[:200], "y_train": y[:200], "x_val": x[200:300], "y_val": y[200:300]}
    modules = {"keras": keras, "kt": keras_tuner, "kt_plus": kt_plus, "np": np}
    return {"build_model": build_model, **data, **modules}


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page")  # where dataclasses look for the names of annotations
    module.__dict__.update(names())
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of budgets too small to learn from
        for code in BLOCK.findall(page.read_text()):
            exec(compile(code, page.name, "exec"), module.__dict__)


def test_the_reference_has_every_public_class():
    told = "\n".join(page.read_text() for page in REFERENCE)
    public = {name: getattr(kt_plus, name) for name in kt_plus.__all__}
    ours = {n: found for n, found in public.items() if found is not getattr(keras_tuner, n, None)}
    classes = [name for name, found in ours.items() if isinstance(found, type)]
    protocols = {"Strategy"}
    missing = [n for n in classes if f"::: kt_plus.{n}\n" not in told and n not in protocols]
    assert len(classes) > 15
    assert not missing
    for module in ("stopping", "fidelity", "results", "search_spaces"):
        for name in re.findall(rf"^::: kt_plus\.{module}\.(\w+)$", told, re.MULTILINE):
            assert hasattr(getattr(kt_plus, module), name)


@pytest.mark.full
@pytest.mark.slow
def test_it_can_be_built(tmp_path):
    pytest.importorskip("zensical")
    for name in ("docs", "kt_plus", "tfx_components"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for page, entry in (("tuners", "kt_plus.EvolutionarySearch"), ("results", "kt_plus.report")):
        html = (tmp_path / "site" / "reference" / page / "index.html").read_text()
        assert f'id="{entry}"' in html
