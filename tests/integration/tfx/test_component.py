"""What the component and its configuration accept, before anything runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

from tfx import v1 as tfx
from tfx.types import channel, standard_artifacts
from tfx.types import standard_component_specs as specs
from tfx.utils import import_utils

import kt_plus
from kt_plus.performance_estimation.stopping import Divergence, MedianRule, Patience
from tests.integration.tfx.pipelines import MODULE
from tfx_components import SearchConfig, SearchReport, Tuner
from tfx_components.tuner import executor, outputs, report, user_module, working_folder
from tfx_components.tuner.component import TunerSpec
from tfx_components.tuner.search_config import searches

pytestmark = pytest.mark.tfx

RuntimeParameter = tfx.dsl.experimental.RuntimeParameter


def examples() -> channel.Channel:
    return channel.Channel(type=standard_artifacts.Examples)


@dataclasses.dataclass(frozen=True)
class Threshold(kt_plus.stopping.Stopper):
    """A rule of the user's own, in a module that can be imported."""

    least: float = 0.5

    def judge(self, trial: Any, history: Any) -> Any:
        return kt_plus.Verdict(trial.curve[-1] < self.least, "too low")


def test_it_takes_and_makes_all_that_the_stock_component_does() -> None:
    for ours, theirs in (
        (TunerSpec.PARAMETERS, specs.TunerSpec.PARAMETERS),
        (TunerSpec.INPUTS, specs.TunerSpec.INPUTS),
        (TunerSpec.OUTPUTS, specs.TunerSpec.OUTPUTS),
    ):
        assert {name: ours[name] for name in theirs} == theirs
    arguments = {
        "module_file": MODULE,
        "train_args": tfx.proto.TrainArgs(num_steps=3),
        "tune_args": tfx.proto.TuneArgs(num_parallel_trials=2),
        "custom_config": {"a": 1},
    }
    ours = Tuner(examples(), **arguments)
    theirs = tfx.components.Tuner(examples(), **arguments)
    told = theirs.exec_properties
    assert {name: ours.exec_properties[name] for name in told} == told
    assert ours.outputs["best_model"].type is standard_artifacts.Model
    assert ours.outputs["search_report"].type is SearchReport


@pytest.mark.parametrize("algorithm", searches())
def test_every_search_can_be_said(algorithm: str, tmp_path: Path) -> None:
    config = SearchConfig(algorithm, "val_loss", seed=3, stopping="auto")
    again = SearchConfig.from_json(config.to_json())
    assert again == config
    tuner = again.make_tuner(None, str(tmp_path), "project")
    assert type(tuner) is searches()[algorithm]
    assert tuner.oracle.seed == 3
    assert tuner.oracle.stopping == kt_plus.stopping.stopper_of("auto")


@pytest.mark.parametrize(
    "rule",
    [
        MedianRule(min_trials=2),
        MedianRule() & Patience(5) | ~Divergence(factor=3.0),
        Patience(3).dry_run(),
        Threshold(0.25),
    ],
    ids=repr,
)
def test_rules_and_objectives_survive_json(rule: Any) -> None:
    config = SearchConfig(
        "random_search",
        keras_tuner.Objective("val_auc", "max"),
        max_trials=3,
        stopping=rule,
        initial_configurations=[{"units": 3}],
        max_time=60.5,
    )
    again = SearchConfig.from_json(config.to_json())
    assert again.arguments == config.arguments
    assert again.arguments["stopping"] == rule
    assert (again.objective.name, again.objective.direction) == ("val_auc", "max")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "evolution"}, "Expected one of .*evolutionary_search"),
        ({"algorithm": "evolutionary_serch"}, "Did you mean evolutionary_search"),
        ({"populaton_size": 3}, "Did you mean population_size"),
        ({"population_size": 0}, "population_size"),
        ({"max_trials": 0}, "max_trials=0"),
        ({"stopping": "soon"}, "stopping='soon'"),
        ({"stopping": object()}, "stopping="),
        ({"objective": "val_quality"}, "val_quality|objective"),
        ({"hypermodel": print}, "the module defines it"),
        ({"directory": "/tmp"}, "working_dir"),
        ({"crossover": RuntimeParameter("c", ptype=float)}, "runtime parameters may stand for"),
        ({"max_trials": RuntimeParameter("n", ptype=str)}, "Expected ptype=int"),
    ],
)
def test_what_the_tuner_does_not_take_is_refused_at_once(
    arguments: dict[str, Any], message: str
) -> None:
    given = {"algorithm": "evolutionary_search", "objective": "val_accuracy", **arguments}
    with pytest.raises(ValueError, match=message):
        SearchConfig(**given)


def test_a_rule_that_no_other_process_can_import_is_refused() -> None:
    @dataclasses.dataclass(frozen=True)
    class Local(Threshold):
        pass

    with pytest.raises(ValueError, match="cannot be written into a pipeline"):
        SearchConfig("random_search", "val_loss", stopping=Local())


def test_runtime_parameters_become_execution_parameters() -> None:
    trials = RuntimeParameter("trials", ptype=int, default=5)
    config = SearchConfig("random_search", "val_loss", max_trials=trials, seed=1)
    component = Tuner(examples(), module_file=MODULE, search=config)
    assert component.exec_properties["search_max_trials"] is trials
    assert "max_trials" not in json.loads(component.exec_properties["search"])
    properties = {**component.exec_properties, "search_max_trials": 9}
    assert user_module.search_config(properties).arguments == {"max_trials": 9, "seed": 1}


@pytest.mark.parametrize(
    ("source", "search", "message"),
    [
        ("def run_fn(fn_args): ...", False, "defines no tuner_fn"),
        ("def fit_kwargs(fn_args): ...", True, "defines no model"),
        ("def build_model(hp): ...", True, "defines no fit_kwargs"),
        ("from a import build_model, hypermodel, fit_kwargs", True, "build_model and hypermodel"),
    ],
)
def test_a_module_that_lacks_something_is_refused_at_once(
    tmp_path: Path, source: str, search: bool, message: str
) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    config = SearchConfig("random_search", "val_loss") if search else None
    with pytest.raises(ValueError, match=message):
        Tuner(examples(), module_file=str(path), search=config)


@pytest.mark.parametrize(
    "source",
    [
        "from elsewhere import *",
        "try:\n    from a import build_model\nexcept ImportError:\n    build_model = None\n"
        "fit_kwargs = make()",
        "import nowhere\nclass hypermodel: ...\nasync def fit_kwargs(fn_args): ...",
    ],
)
def test_a_module_is_read_without_being_executed(tmp_path: Path, source: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    Tuner(examples(), module_file=str(path), search=SearchConfig("random_search", "val_loss"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of them"),
        ({"module_file": MODULE, "tuner_fn": "a.b"}, "exactly one of them"),
        ({"tuner_fn": "a.b", "search": SearchConfig("random_search", "val_loss")}, "module_file"),
        ({"module_file": MODULE, "search": {"algorithm": "random_search"}}, "a tfx_components.Sea"),
        ({"module_file": MODULE, "resume": "yes"}, "resume='yes'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tuner(examples(), **arguments)


@pytest.fixture
def places(tmp_path: Path) -> tuple[dict[str, list[Any]], dict[str, list[Any]], Path]:
    """Inputs, outputs, and a file of the input."""
    given, made = standard_artifacts.Examples(), standard_artifacts.HyperParameters()
    given.uri = str(tmp_path / "root" / "Transform" / "examples" / "4")
    made.uri = str(tmp_path / "root" / "Tuner" / "best_hyperparameters" / "7")
    file = Path(given.uri) / "Split-train" / "data.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"1234")
    return {"examples": [given]}, {"best_hyperparameters": [made]}, file


def test_the_working_folder_follows_from_inputs_and_configuration(places: Any) -> None:
    inputs, made, file = places
    given = {"search": "{}", "custom_config": "null", "resume": 1, "tune_args": None}

    def folder(module: str = "a", **changed: Any) -> str:
        return working_folder.folder_of(inputs, made, {**given, **changed}, module)

    first = folder()
    root = file.parents[4]
    assert Path(first).parent == root / "Tuner" / "searches"
    assert folder() == first
    assert folder(tune_args='{"num_parallel_trials": 3}') == first
    others = {folder("b"), folder(custom_config="{}"), folder(search='{"seed": 1}')}
    assert folder(working_dir="gs://bucket/x").startswith("gs://bucket/x/searches/")
    file.write_bytes(b"12345")
    others.add(folder())
    inputs["examples"][0].uri += "/Split-train"
    others.add(folder())
    assert len(others - {first}) == 5
    made["best_hyperparameters"][0].uri = "gs://bucket/run-1/Tuner_8/best_hyperparameters"
    assert folder().startswith("gs://bucket/run-1/Tuner_8/searches/")


def test_files_cut_off_by_plain_keras_tuner_are_forgotten(tmp_path: Path) -> None:
    project = tmp_path / "folder" / "project"
    (project / "trial_0").mkdir(parents=True)
    (project / "oracle.json").write_text('{"seed": 1}')
    (project / "trial_0" / "trial.json").write_text('{"trial_id": "0"}')
    working_folder.forget_damaged(str(tmp_path / "folder"))
    assert project.exists()
    assert working_folder.of_keras_tuner(str(tmp_path / "folder"))
    (project / "trial_0" / "trial.json").write_text("")
    working_folder.forget_damaged(str(tmp_path / "folder"))
    assert not project.exists()


def test_the_report_escapes_and_marks() -> None:
    told = {
        "tuner": "RandomSearch",
        "objective": [{"name": "val_loss", "direction": "min"}],
        "seed": None,
        "best_trial": "1",
        "best_score": 0.25,
        "epochs": 3,
        "trials": [
            {"trial_id": "0", "status": "COMPLETED", "score": 0.5, "error": None,
             "hyperparameters": {"kind": "<b>"}, "curves": [{"values": [1.0, "nan", 0.5]}]},
            {"trial_id": "1", "status": "COMPLETED", "score": 0.25, "error": None,
             "hyperparameters": {}, "stop_reason": "stopped at epoch 1", "curves": []},
            {"trial_id": "2", "status": "FAILED", "score": None, "error": "line\nValueError: no",
             "hyperparameters": {}},
        ],
    }  # fmt: skip
    page = report.to_html(told)
    rows = page.split("<tr class=")[1:]
    assert [row.split(">")[2].partition("<")[0] for row in rows] == ["1", "0", "2"]
    assert "best" in rows[0]
    assert "stopped at epoch 1" in rows[0]
    assert "&lt;b&gt;" in rows[1]
    assert rows[1].count("<polyline") == 1
    assert "ValueError: no" in rows[2]
    assert "<b>" not in page


def test_a_search_without_parallel_trials_runs_here() -> None:
    assert executor._workers({}) == 1
    assert executor._workers({"tune_args": "{}"}) == 1
    assert executor._workers({"tune_args": '{"num_parallel_trials": 4}'}) == 4


def test_the_reasons_of_a_failed_search_are_told_once_each() -> None:
    from kt_plus.results.reading import Search, Trial

    trials = [Trial(str(i), {}, "FAILED", None, "Traceback\nOSError: disk") for i in range(3)]
    with pytest.raises(outputs.SearchFailedError) as raised:
        outputs.check_completed(Search("", [*trials, Trial("3", {}, "FAILED", None, "E: other")]))
    assert "- trial 0, 1, 2: OSError: disk\n- trial 3: E: other" in str(raised.value)


def test_it_compiles_for_kubeflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = "kfp.pipeline_spec.pipeline_spec_pb2"
    pytest.importorskip(spec, reason='Not installed here: "tfx[kfp]" has it')
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

    # The pipeline root, to which TFX would copy the module, is not within reach.
    monkeypatch.setenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES", "1")
    example_gen = tfx.components.CsvExampleGen(input_base="gs://bucket/data")
    component = Tuner(
        example_gen.outputs["examples"],
        tuner_fn="package.module.tuner_fn",
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=2),
        working_dir="gs://bucket/searches",
    )
    searched = Tuner(
        example_gen.outputs["examples"],
        module_file=MODULE,
        search=SearchConfig(
            "random_search",
            "val_loss",
            max_trials=RuntimeParameter("trials", ptype=int, default=5),
        ),
    ).with_id("Searched")
    trainer = tfx.components.Trainer(
        run_fn="package.module.run_fn",
        examples=example_gen.outputs["examples"],
        base_model=component.outputs["best_model"],
        hyperparameters=component.outputs["best_hyperparameters"],
    )
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="compiled",
        pipeline_root="gs://bucket/root",
        components=[example_gen, component, searched, trainer],
    )
    path = tmp_path / "pipeline.json"
    config = kubeflow.KubeflowV2DagRunnerConfig(default_image="image")
    kubeflow.KubeflowV2DagRunner(config, str(tmp_path), path.name).run(pipeline)
    text = path.read_text()
    assert "tfx_components.tuner.executor.Executor" in text
    assert import_utils.import_class_by_path(SearchReport.TYPE_NAME) is SearchReport
    assert f"title: {SearchReport.TYPE_NAME}" in text
    assert '"trials"' in text
