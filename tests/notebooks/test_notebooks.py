"""The notebooks are fit to be read as they are kept. Each has a test of its own that runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks.running import FOLDER

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
IN_TFX = "05_tfx_pipeline"

FOLDERS = ("Users", "home", "mnt", "opt", "root", "srv", "tmp", "work")
MACHINE = re.compile(rf"/({'|'.join(FOLDERS)})/|site-packages")
"""What a kept output must not tell of."""


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_all_are_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_swap_random_search",
        "02_learning_curves",
        "03_evolution_and_controller",
        "04_architecture_search",
        "05_tfx_pipeline",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_can_be_read_as_it_is(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
    code = cells(path, "code")
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [o["text"] for o in outputs if o.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert not MACHINE.findall(json.dumps(outputs))
    assert all(cell["execution_count"] for cell in code)
    counts = [cell["execution_count"] for cell in code]
    assert counts == [*range(1, len(code) + 1)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_opens_in_colab(path: Path) -> None:
    head = text(cells(path, "markdown")[0])
    badge = re.search(
        r"\(https://colab\.research\.google\.com/github/(.+?)/blob/main/(.+?)\)", head
    )
    assert badge
    assert badge[2] == f"notebooks/{path.name}"
    install, *others = map(text, cells(path, "code"))
    assert (
        re.search(r"%pip install .*kt_plus\[[a-z,]+\] @ git\+https://github\.com/(\S+)\"", install)[
            1
        ]
        == badge[1]
    )
    assert "find_spec" in install
    assert not any("pip install" in other for other in others if "mlflow" not in other)
    assert any("FASHION_MNIST = False" in other for other in others)


def test_they_can_link_to_another_repository(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="the extra notebooks")
    from tools.notebooks import main

    copied = tmp_path / NOTEBOOKS[0].name
    copied.write_text(NOTEBOOKS[0].read_text())
    assert main(["--repository", "somebody/elsewhere", str(copied)]) == 0
    badge, install = text(cells(copied, "markdown")[0]), text(cells(copied, "code")[0])
    assert "/github/somebody/elsewhere/blob/main/notebooks/01_" in badge
    assert "git+https://github.com/somebody/elsewhere" in install
    assert cells(copied, "code")[1:] == cells(NOTEBOOKS[0], "code")[1:]


def test_each_is_run_by_a_test() -> None:
    tests = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert {f"test_{path.stem}" for path in NOTEBOOKS if path.stem != IN_TFX} <= tests
