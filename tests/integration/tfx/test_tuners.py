"""The component with all kinds of tuners, roots and runners."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

import kt_plus
from tests.integration.tfx import iris_model, penguin_style
from tests.integration.tfx.pipelines import MODULE, Iris, content, newest
from tfx_components import SearchConfig, Tuner
from tfx_components.tuner import working_folder
from tfx_components.tuner.executor import Executor
from tfx_components.tuner.outputs import SearchFailedError

pytestmark = [pytest.mark.tfx, pytest.mark.slow]

SCALED = sorted(f"{name}_scaled" for name in iris_model.FEATURES)


def tuner_of(iris: Iris, name: str, **config: Any) -> Tuner:
    """The component with the module's `tuner_fn`."""
    return Tuner(**iris.begin(), module_file=MODULE, custom_config=config).with_id(name)


def test_the_same_search_as_without_a_pipeline(iris: Iris, tmp_path: Path) -> None:
    arguments = {"max_trials": 4, "seed": 7, "random_trials": 2, "population_size": 2}
    search = SearchConfig("evolutionary_search", "val_accuracy", **arguments)
    component = Tuner(**iris.begin(), module_file=MODULE, search=search).with_id("Same")
    iris.run(component)

    data, graph = (
        newest(iris.root / "Transform" / key) for key in ("transformed_examples", "transform_graph")
    )
    fn_args = SimpleNamespace(
        train_files=[str(data / "Split-train" / "*")],
        eval_files=[str(data / "Split-eval" / "*")],
        transform_graph_path=str(graph),
        data_accessor=accessor(iris),
        custom_config=None,
    )
    direct = kt_plus.EvolutionarySearch(
        iris_model.build_model, "val_accuracy", directory=str(tmp_path), **arguments
    )
    direct.search(**iris_model.fit_kwargs(fn_args))
    expected = [
        (t.trial_id, kt_plus.engine.ledger.without_reserved(t.hyperparameters.values), t.score)
        for t in direct.oracle.trials.values()
    ]
    trials = content(iris, component, "search_report")["trials"]
    assert [(t["trial_id"], t["hyperparameters"], t["score"]) for t in trials] == expected


def accessor(iris: Iris) -> Any:
    """What TFX reads examples with."""
    from tfx.components.util import tfxio_utils

    examples = standard_artifacts.Examples()
    examples.uri = str(newest(iris.root / "Transform" / "transformed_examples"))
    factory = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], ["test"])
    return SimpleNamespace(tf_dataset_factory=factory)


@pytest.mark.parametrize("package", ["kt_plus", "keras_tuner"])
def test_a_search_in_which_all_fails(iris: Iris, package: str) -> None:
    arguments = {"max_trials": 2, "seed": 1}
    name = f"Failing_{package}"
    failing = tuner_of(
        iris, name, package=package, search="RandomSearch", arguments=arguments, fails=True
    )
    with pytest.raises(SearchFailedError, match="None of the 2 trials of the search has") as raised:
        iris.run(failing)
    assert "units are too many for this test" in str(raised.value)
    for key in ("best_hyperparameters", "tuner_results", "best_model", "search_report"):
        assert not list((iris.root / name / key).glob("*/*"))
    assert not iris.searches(failing)


def test_hyperband_has_no_max_trials(iris: Iris) -> None:
    arguments = {"max_epochs": 2, "factor": 2, "seed": 0}
    for package in ("keras_tuner", "kt_plus"):
        component = tuner_of(
            iris, f"Hyperband_{package}", package=package, search="Hyperband", arguments=arguments
        )
        iris.run(component)
        rows = content(iris, component, "tuner_results")
        best = content(iris, component, "best_hyperparameters")
        assert len(rows) == len(content(iris, component, "search_report")["trials"]) >= 3
        assert set(best["values"]) == {"units", "activation", "learning_rate"}
        assert keras_tuner.HyperParameters.from_config(best).get("units") == rows[0]["units"]


@pytest.mark.parametrize("at_a_time", [1, pytest.param(2, marks=pytest.mark.full)])
def test_the_penguin_module_with_another_tuner(iris: Iris, at_a_time: int) -> None:
    component = Tuner(
        module_file=penguin_style.__file__,
        **iris.begin(),
        train_args=tfx.proto.TrainArgs(num_steps=5),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=at_a_time),
    ).with_id(f"Penguin{at_a_time}")
    iris.run(component)
    report = content(iris, component, "search_report")
    assert {t["status"] for t in report["trials"]} == {"COMPLETED"}
    folder = iris.output(component, "best_model") / "Format-Serving"
    model = keras.models.load_model(folder / "assets.extra" / "model.keras")
    rows = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)
    columns = [tf.constant(column)[:, None] for column in rows.T]
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    names = served.structured_input_signature[1]
    assert sorted(names) == SCALED
    inputs = dict(zip(penguin_style.FEATURES, columns, strict=True))
    (answer,) = served(**inputs).values()
    np.testing.assert_allclose(answer, model(columns), rtol=1e-5)


def test_a_tuner_with_a_directory_of_its_own(iris: Iris, tmp_path: Path) -> None:
    component = tuner_of(
        iris,
        "Elsewhere",
        package="keras_tuner",
        search="RandomSearch",
        arguments={"max_trials": 2},
        directory=str(tmp_path),
    )
    iris.run(component)
    assert (tmp_path / "iris" / "oracle.json").exists()
    assert len(content(iris, component, "tuner_results")) == 2


def test_a_remote_pipeline_root(
    iris: Iris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's file system in memory stands for a bucket.

    It appends to a file that is written again, which no bucket does: the search itself, whose
    files are, is kept elsewhere.
    """
    search = SearchConfig("random_search", "val_accuracy", max_trials=1, seed=0)
    component = Tuner(**iris.begin(), module_file=MODULE, search=search, working_dir=str(tmp_path))
    inputs = {"examples": [standard_artifacts.Examples()]}
    inputs["transform_graph"] = [standard_artifacts.TransformGraph()]
    for key, name in zip(inputs, ("transformed_examples", "transform_graph"), strict=True):
        inputs[key][0].uri = str(newest(iris.root / "Transform" / name))
    inputs["examples"][0].split_names = '["train", "eval"]'
    made = {key: [output.type()] for key, output in component.outputs.items()}
    for key, (artifact,) in made.items():
        artifact.uri = f"ram://bucket/Tuner/{key}/1"
        fileio.makedirs(artifact.uri)
    kept: list[str] = []
    monkeypatch.setattr(working_folder, "remove", kept.append)
    context = Executor.Context(tmp_dir=str(tmp_path), unique_id="1")
    Executor(context).Do(inputs, made, component.exec_properties)

    (folder,) = kept
    assert Path(folder).parent == tmp_path / "searches"
    assert fileio.exists(f"{folder}/search/trial_0/trial.json")
    best_model = made["best_model"][0].uri + "/Format-Serving"
    for path in (
        "ram://bucket/Tuner/best_hyperparameters/1/best_hyperparameters.txt",
        "ram://bucket/Tuner/tuner_results/1/tuner_results.json",
        "ram://bucket/Tuner/search_report/1/search_report.html",
        f"{best_model}/saved_model.pb",
        f"{best_model}/assets.extra/model.keras",
    ):
        assert fileio.exists(path), path
    assert "serving_default" in tf.saved_model.load(best_model).signatures


@pytest.mark.full
def test_in_a_notebook(iris: Iris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tfx.orchestration.experimental.interactive.interactive_context import InteractiveContext

    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)  # else it does nothing
    context = InteractiveContext("iris", pipeline_root=str(tmp_path))
    imported = {}
    for key, kind in (
        ("examples", standard_artifacts.Examples),
        ("transform_graph", standard_artifacts.TransformGraph),
    ):
        name = "transformed_examples" if key == "examples" else key
        properties = {"split_names": '["train", "eval"]'} if key == "examples" else {}
        importer = tfx.dsl.Importer(
            source_uri=str(newest(iris.root / "Transform" / name)),
            artifact_type=kind,
            properties=properties,
        ).with_id(f"Import_{key}")
        context.run(importer)
        imported[key] = importer.outputs["result"]
    search = SearchConfig("random_search", "val_accuracy", max_trials=2, seed=0)
    component = Tuner(**imported, module_file=MODULE, search=search)
    context.run(component)
    (results,) = component.outputs["tuner_results"].get()
    assert len(json.loads((Path(results.uri) / "tuner_results.json").read_text())) == 2
    (report,) = component.outputs["search_report"].get()
    assert report.get_int_custom_property("completed") == 2
