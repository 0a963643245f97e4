"""The component in real pipelines, under LocalDagRunner and InteractiveContext."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

import kt_plus
from tests.integration.tfx import iris_model, killed_pipeline, penguin_style
from tests.integration.tfx.pipelines import MODULE, Iris
from tfx_components import SearchConfig, Tuner
from tfx_components.tuner import working_folder
from tfx_components.tuner.executor import Executor
from tfx_components.tuner.outputs import SearchFailedError

pytestmark = [pytest.mark.tfx, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[3]
SCALED = sorted(f"{name}_scaled" for name in iris_model.FEATURES)


def content(iris: Iris, component: Any, key: str) -> Any:
    """The JSON that the component has written last."""
    (file,) = (p for p in iris.output(component, key).iterdir() if p.suffix in (".txt", ".json"))
    return json.loads(file.read_text())


def tuner_of(iris: Iris, name: str, **config: Any) -> Tuner:
    """The component with the module's `tuner_fn`."""
    return Tuner(**iris.data, module_file=MODULE, custom_config=config).with_id(name)


def evaluator_of(iris: Iris, trainer: Any, tuner: Tuner) -> Any:
    """Evaluates the trained model beside the search's best one, on raw examples."""
    accuracy = tfma.MetricConfig(class_name="SparseCategoricalAccuracy")
    spec = {"label_key": "species", "signature_name": "serving_default"}
    specs = [
        tfma.ModelSpec(name=tfma.CANDIDATE_KEY, **spec),
        tfma.ModelSpec(name=tfma.BASELINE_KEY, is_baseline=True, **spec),
    ]
    return tfx.components.Evaluator(
        examples=iris.raw,
        model=trainer.outputs["model"],
        baseline_model=tuner.outputs["best_model"],
        eval_config=tfma.EvalConfig(
            model_specs=specs,
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[tfma.MetricsSpec(metrics=[accuracy])],
        ),
    )


def test_a_whole_pipeline_and_the_same_again(iris: Iris, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stopping = kt_plus.stopping.MedianRule(min_trials=1, min_epochs=1)
    tuner = Tuner(
        **iris.data,
        module_file=MODULE,
        search=SearchConfig(
            "evolutionary_search", "val_accuracy", max_trials=5, seed=0, stopping=stopping
        ),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=2),
        custom_config={"log": str(log), "epochs": 4},
    )
    trainer = tfx.components.Trainer(
        module_file=MODULE,
        **iris.data,
        hyperparameters=tuner.outputs["best_hyperparameters"],
        base_model=tuner.outputs["best_model"],
        train_args=tfx.proto.TrainArgs(),
        eval_args=tfx.proto.EvalArgs(),
        custom_config={"epochs": 1},
    )
    pushed = tmp_path / "pushed"
    destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(pushed))
    )
    pusher = tfx.components.Pusher(model=tuner.outputs["best_model"], push_destination=destination)
    components = [tuner, trainer, evaluator_of(iris, trainer, tuner), pusher]
    iris.run(*components)

    report = content(iris, tuner, "search_report")
    trials = report["trials"]
    assert [trial["trial_id"] for trial in trials] == list("01234")
    assert {trial["status"] for trial in trials} == {"COMPLETED"}
    stopped = [trial for trial in trials if trial["stop_reason"]]
    for trial in trials:
        (curve,) = trial["curves"]
        assert trial["epochs"] == len(curve["values"]) <= 4
        assert trial["score"] == pytest.approx(max(curve["values"]))
        assert (trial["epochs"] < 4) == (trial in stopped)
    processes = {line.split()[1] for line in log.read_text().splitlines()}
    assert len(processes) == 2, "two processes have run trials"
    assert str(os.getpid()) not in processes

    rows = content(iris, tuner, "tuner_results")
    assert [row["score"] for row in rows] == sorted((t["score"] for t in trials), reverse=True)
    assert set(rows[0]) == {"trial_id", "score", "units", "activation", "learning_rate"}
    config = content(iris, tuner, "best_hyperparameters")
    best = keras_tuner.HyperParameters.from_config(config)
    assert best.values == {n: v for n, v in rows[0].items() if n not in ("trial_id", "score")}
    assert rows[0]["trial_id"] == report["best_trial"]
    page = (iris.output(tuner, "search_report") / "search_report.html").read_text()
    assert page.count("<tr class=") == 5
    assert page.count("<polyline") == 5
    assert not iris.searches(tuner), "nothing is left of a search that has succeeded"

    evaluation = tfma.load_eval_result(str(iris.output(components[2], "evaluation")))
    ((_, metrics),) = evaluation.slicing_metrics
    accuracy = metrics[""][""]["sparse_categorical_accuracy"]["doubleValue"]
    assert accuracy == pytest.approx(rows[0]["score"]), "trained on from the best model's weights"
    assert list(pushed.glob("*/saved_model.pb"))

    trained = log.read_text()
    iris.run(*components)
    assert log.read_text() == trained, "cached"
    assert len(list((iris.root / "Tuner" / "best_model").iterdir())) == 1


def test_the_same_search_as_without_a_pipeline(iris: Iris, tmp_path: Path) -> None:
    arguments = {"max_trials": 4, "seed": 7, "random_trials": 2, "population_size": 2}
    search = SearchConfig("evolutionary_search", "val_accuracy", **arguments)
    component = Tuner(**iris.data, module_file=MODULE, search=search).with_id("Same")
    iris.run(component)

    data, graph = (iris.root / "Transform" / key for key in iris_paths())
    fn_args = SimpleNamespace(
        train_files=[str(newest(data) / "Split-train" / "*")],
        eval_files=[str(newest(data) / "Split-eval" / "*")],
        transform_graph_path=str(newest(graph)),
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


def iris_paths() -> tuple[str, str]:
    return "transformed_examples", "transform_graph"


def newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: int(path.name))


def accessor(iris: Iris) -> Any:
    """What TFX reads examples with."""
    from tfx.components.util import tfxio_utils

    examples = standard_artifacts.Examples()
    examples.uri = str(newest(iris.root / "Transform" / "transformed_examples"))
    factory = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], ["test"])
    return SimpleNamespace(tf_dataset_factory=factory)


def test_a_killed_pipeline_goes_on(iris: Iris, tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = [sys.executable, "-m", killed_pipeline.__name__, str(iris.folder), str(log)]
    output = open(tmp_path / "output", "w")  # noqa: SIM115
    process = subprocess.Popen(
        program, cwd=REPOSITORY, stdout=output, stderr=output, start_new_session=True
    )
    try:
        ended = wait_for_trials(process, log, 3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    component = killed_pipeline.interrupted(iris, log)
    (folder,) = iris.searches(component)
    before = completed(folder)
    assert len(before) >= 3, ended

    iris.run(component)
    trials = content(iris, component, "search_report")["trials"]
    assert {t["trial_id"]: t["score"] for t in trials}.items() >= before.items()
    assert len(trials) == 6
    again = [line for line in log.read_text().splitlines() if line.split()[1] == str(os.getpid())]
    assert len(again) == 2 * (6 - len(before)), "only what had not completed was trained"
    assert not iris.searches(component)

    undisturbed = SearchConfig("evolutionary_search", "val_accuracy", max_trials=6, seed=3)
    whole = Tuner(
        **iris.data, module_file=MODULE, search=undisturbed, custom_config={"epochs": 2}
    ).with_id("Undisturbed")
    iris.run(whole)
    expected = content(iris, whole, "tuner_results")
    assert content(iris, component, "tuner_results") == expected


def wait_for_trials(process: subprocess.Popen, log: Path, count: int) -> str:
    """Waits until so many trials have been trained."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text() if log.exists() else ""
        if text.count("begin") > count:
            return text
        time.sleep(0.1)
    pytest.fail(f"The pipeline has not come so far (it returned {process.poll()}).")


def completed(folder: Path) -> dict[str, float]:
    trials = [json.loads(p.read_text()) for p in folder.glob("*/trial_*/trial.json")]
    return {t["trial_id"]: t["score"] for t in trials if t["status"] == "COMPLETED"}


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


def test_the_penguin_module_with_another_tuner(iris: Iris) -> None:
    component = Tuner(
        module_file=penguin_style.__file__,
        **iris.data,
        train_args=tfx.proto.TrainArgs(num_steps=5),
        eval_args=tfx.proto.EvalArgs(num_steps=5),
    ).with_id("Penguin")
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
    """TensorFlow's file system in memory stands for a bucket."""
    search = SearchConfig("random_search", "val_accuracy", max_trials=1, seed=0)
    component = Tuner(**iris.data, module_file=MODULE, search=search)
    inputs = {"examples": [standard_artifacts.Examples()]}
    inputs["transform_graph"] = [standard_artifacts.TransformGraph()]
    for key, name in zip(inputs, iris_paths(), strict=True):
        inputs[key][0].uri = str(newest(iris.root / "Transform" / name))
    made = {key: [output.type()] for key, output in component.outputs.items()}
    for key, (artifact,) in made.items():
        artifact.uri = f"ram://root/Tuner/{key}/1"
        fileio.makedirs(artifact.uri)
    kept: list[str] = []
    monkeypatch.setattr(working_folder, "remove", kept.append)
    context = Executor.Context(tmp_dir=str(tmp_path), unique_id="1")
    Executor(context).Do(inputs, made, component.exec_properties)

    (folder,) = kept
    assert folder.startswith("ram://root/Tuner/searches/")
    assert fileio.exists(f"{folder}/search/trial_0/trial.json")
    best_model = made["best_model"][0].uri + "/Format-Serving"
    for path in (
        "ram://root/Tuner/best_hyperparameters/1/best_hyperparameters.txt",
        "ram://root/Tuner/tuner_results/1/tuner_results.json",
        "ram://root/Tuner/search_report/1/search_report.html",
        f"{best_model}/saved_model.pb",
        f"{best_model}/assets.extra/model.keras",
    ):
        assert fileio.exists(path), path
    assert "serving_default" in tf.saved_model.load(best_model).signatures


def test_in_a_notebook(iris: Iris, tmp_path: Path) -> None:
    from tfx.orchestration.experimental.interactive.interactive_context import InteractiveContext

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


def test_a_packaged_module_in_parallel(iris: Iris, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip", reason="TFX packages modules with pip, which is not installed here")
    monkeypatch.delenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES")
    component = Tuner(
        **iris.data,
        module_file=MODULE,
        search=SearchConfig("random_search", "val_accuracy", max_trials=2, seed=0),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=2),
    ).with_id("Packaged")
    iris.run(component)
    assert list(iris.root.glob("_wheels/*.whl"))
    assert len(content(iris, component, "tuner_results")) == 2
