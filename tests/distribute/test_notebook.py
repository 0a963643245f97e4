"""Functions that are defined in the cells of a notebook, or typed at an interpreter's prompt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distribute.searches import processes

pytestmark = pytest.mark.slow

CELLS = (
    "import json, keras, kt_plus, numpy as np\nx = np.random.default_rng(0).normal(size=(48, 4))",
    """
def build(hp):
    model = keras.Sequential([keras.layers.Dense(hp.Int("units", 2, 8)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model
""",
    """
def make_tuner():
    keras.config.disable_traceback_filtering()
    place = {"directory": DIRECTORY, "project_name": "p"}
    tuner = kt_plus.RandomSearch(build, "val_loss", max_trials=4, seed=1, **place)
    fit = {"x": x, "y": x[:, 0], "validation_split": 0.25, "epochs": 2}
    return tuner, {**fit, "verbose": 0}
""",
    """
tuner = kt_plus.distribute.search(make_tuner, workers=2)
best = tuner.get_best_models()[0]
loss = float(best.evaluate(x[36:], x[36:, 0], verbose=0))
print(json.dumps({i: trial.score for i, trial in tuner.oracle.trials.items()} | {"best": loss}))
""",
)
PROMPT = """
import code, json, sys
prompt = code.InteractiveInterpreter(vars(sys.modules["__main__"]))
for number, cell in enumerate(json.loads(sys.argv[1])):
    exec(prompt.compile(cell, f"<cell {number}>", "exec"), prompt.locals)
"""


def check(printed: str, directory: Path) -> None:
    told = json.loads(printed.splitlines()[-1])
    best = told.pop("best")
    assert [*told] == ["0", "1", "2", "3"]
    assert best == pytest.approx(min(told.values()), rel=1e-5)
    assert {name: len(ids) for name, ids in processes(directory).items()} == {
        "chief": 1,
        "worker0": 1,
        "worker1": 1,
    }


def test_at_a_prompt(tmp_path: Path) -> None:
    """What `__main__` defines has no file there, as in a notebook."""
    cells = [f"DIRECTORY = {str(tmp_path)!r}", *CELLS]
    command = [sys.executable, "-c", PROMPT, json.dumps(cells)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    check(done.stdout, tmp_path)


@pytest.mark.full
def test_in_a_notebook(tmp_path: Path) -> None:
    """In a real kernel, where the extra `notebooks` is installed."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    from nbformat import v4

    cells = [v4.new_code_cell(c) for c in (f"DIRECTORY = {str(tmp_path)!r}", *CELLS)]
    notebook = v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=500).execute(cwd=tmp_path)
    streams = [output.text for output in cells[-1].outputs if output.get("name") == "stdout"]
    check("".join(streams), tmp_path)
