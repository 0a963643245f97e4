"""A TFX pipeline whose Tuner runs a search of kt_plus: `python examples/tfx_pipeline.py`.

It needs `pip install "kt_plus[tfx]"`. Everything is written to `tfx_pipeline/`: press Ctrl-C, or
kill it, while it searches, and start it again; the search goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from tfx import v1 as tfx

from kt_plus import stopping
from tfx_components import SearchConfig, Tuner

MODULE = str(Path(__file__).with_name("tfx_model.py"))


def write_csv(folder: Path) -> None:
    """Writes scikit-learn's breast cancer data, once: rewritten, it would be another input."""
    if (folder / "tumours.csv").exists():
        return
    frame = load_breast_cancer(as_frame=True).frame
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "tumours.csv", index=False)


def make_pipeline(folder: Path, trials: int, parallel: int) -> tfx.dsl.Pipeline:
    """From a CSV file to the model of the best trial, trained again on its configuration."""
    example_gen = tfx.components.CsvExampleGen(input_base=str(folder / "csv"))
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"])
    schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
    transform = tfx.components.Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        module_file=MODULE,
    )
    data = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
    }
    tuner = Tuner(
        **data,
        module_file=MODULE,
        search=SearchConfig(
            "evolutionary_search",
            objective="val_accuracy",
            max_trials=trials,
            seed=0,
            stopping=stopping.MedianRule(min_trials=3, min_epochs=3) | stopping.Divergence(),
        ),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=parallel),
    )
    trainer = tfx.components.Trainer(
        **data,
        module_file=MODULE,
        hyperparameters=tuner.outputs["best_hyperparameters"],
        train_args=tfx.proto.TrainArgs(),
        eval_args=tfx.proto.EvalArgs(),
    )
    return tfx.dsl.Pipeline(
        pipeline_name="tumours",
        pipeline_root=str(folder / "root"),
        components=[example_gen, statistics_gen, schema_gen, transform, tuner, trainer],
        enable_cache=True,  # what comes before the Tuner must be cached for the search to go on
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(folder / "metadata.sqlite")
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("tfx_pipeline"))
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--parallel", type=int, default=2)
    arguments = parser.parse_args()
    del sys.argv[1:]  # which TFX's components read as their own
    folder = arguments.folder.resolve()
    write_csv(folder / "csv")
    pipeline = make_pipeline(folder, arguments.trials, arguments.parallel)
    tfx.orchestration.LocalDagRunner().run(pipeline)
    print("The best trials:")
    for row in json.loads(newest(folder, "tuner_results/*/tuner_results.json").read_text())[:5]:
        print(row)
    print("All of them:", newest(folder, "search_report/*/search_report.html"))


def newest(folder: Path, pattern: str) -> Path:
    """The file that the Tuner has written last."""
    return max((folder / "root" / "Tuner").glob(pattern), key=lambda path: path.stat().st_mtime)


if __name__ == "__main__":
    main()
