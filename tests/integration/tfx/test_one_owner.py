"""Two runs of the same search at once: the second is refused, and removes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

from tfx.types import standard_artifacts

from kt_plus.engine import ownership
from kt_plus.errors import ProjectInUseError
from tests.integration.tfx.pipelines import MODULE, Iris, newest
from tests.owners import owned_elsewhere
from tfx_components import SearchConfig, Tuner
from tfx_components.tuner import user_module, working_folder
from tfx_components.tuner.executor import Executor

pytestmark = [pytest.mark.tfx, pytest.mark.slow]


def test_the_second_of_two_runs(
    iris: Iris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "GRACE", 0.2)
    search = SearchConfig("random_search", "val_accuracy", max_trials=1, seed=0)
    component = Tuner(**iris.begin(), module_file=MODULE, search=search, working_dir=str(tmp_path))
    inputs: dict[str, list[Any]] = {
        "examples": [standard_artifacts.Examples()],
        "transform_graph": [standard_artifacts.TransformGraph()],
    }
    for key, name in zip(inputs, ("transformed_examples", "transform_graph"), strict=True):
        inputs[key][0].uri = str(newest(iris.root / "Transform" / name))
    inputs["examples"][0].split_names = '["train", "eval"]'
    made = {key: [output.type()] for key, output in component.outputs.items()}
    for key, (artifact,) in made.items():
        artifact.uri = str(tmp_path / "outputs" / key)
        os.makedirs(artifact.uri)
    properties = component.exec_properties
    version = user_module.version(properties)
    folder = Path(working_folder.folder_of(inputs, made, properties, version))

    def run() -> None:
        context = Executor.Context(tmp_dir=str(tmp_path), unique_id="1")
        Executor(context).Do(inputs, made, properties)

    for owned in (folder, folder / "search"):  # the other run, or another search in its project
        with owned_elsewhere(owned) as pid:
            (owned / "kept").write_text("")
            with pytest.raises(ProjectInUseError, match=f"process {pid} on host"):
                run()
            assert (owned / "kept").exists()
            assert not any(path.is_file() for path in (tmp_path / "outputs").rglob("*"))
    run()  # the other processes were killed
    assert not folder.exists()
    assert [*Path(made["best_hyperparameters"][0].uri).iterdir()]
