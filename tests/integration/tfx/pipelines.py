"""Real pipelines on the iris data, run one after another in one pipeline root.

What does not change from one to the next is cached, so that each costs its Tuner only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.datasets import load_iris
from tfx import v1 as tfx

NAME = "iris"
MODULE = str(Path(__file__).with_name("iris_model.py"))
BEAM = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


def write_csv(folder: Path) -> None:
    bunch = load_iris()
    names = [name.removesuffix(" (cm)").replace(" ", "_") for name in bunch.feature_names]
    frame = pd.DataFrame(bunch.data, columns=names).assign(species=bunch.target)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "iris.csv", index=False)


class Iris:
    """The pipeline up to Transform, in a folder.

    Args:
        folder: Where everything is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = Path(folder), Path(folder) / "root"
        self.metadata = self.folder / "metadata.sqlite"
        if not (self.folder / "csv").exists():
            write_csv(self.folder / "csv")
        self.begin()

    def begin(self) -> dict[str, Any]:
        """Makes the components anew, since TFX's keep what was attached to them.

        Returns:
            The inputs of a Tuner or Trainer.
        """
        example_gen = tfx.components.CsvExampleGen(input_base=str(self.folder / "csv"))
        self.raw = example_gen.outputs["examples"]
        statistics_gen = tfx.components.StatisticsGen(examples=self.raw)
        schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
        transform = tfx.components.Transform(
            examples=self.raw, schema=schema_gen.outputs["schema"], module_file=MODULE
        )
        self.components = [example_gen, statistics_gen, schema_gen, transform]
        return {
            "examples": transform.outputs["transformed_examples"],
            "transform_graph": transform.outputs["transform_graph"],
        }

    def pipeline(self, *components: Any) -> Any:
        return tfx.dsl.Pipeline(
            pipeline_name=NAME,
            pipeline_root=str(self.root),
            components=[*self.components, *components],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(self.metadata)
            ),
            beam_pipeline_args=BEAM,
        )

    def run(self, *components: Any) -> None:
        tfx.orchestration.LocalDagRunner().run(self.pipeline(*components))

    def output(self, component: Any, key: str) -> Path:
        """The folder of what the component has written last."""
        return newest(self.root / component.id / key)

    def searches(self, component: Any) -> list[Path]:
        """The working folders that there are."""
        folder = self.root / component.id / "searches"
        return sorted(folder.iterdir()) if folder.exists() else []


def content(iris: Iris, component: Any, key: str) -> Any:
    """The JSON that the component has written last."""
    (file,) = (p for p in iris.output(component, key).iterdir() if p.suffix in (".txt", ".json"))
    return json.loads(file.read_text())


def newest(folder: Path) -> Path:
    """Of folders with numbers for names the last one."""
    return max(folder.iterdir(), key=lambda path: int(path.name))
