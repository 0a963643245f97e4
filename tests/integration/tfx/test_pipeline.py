"""Whole pipelines under LocalDagRunner: in parallel, again, killed, packaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tfx", reason="TFX is not installed here: `make test-tfx` has it")

import keras_tuner
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_serving.apis import prediction_log_pb2
from tfx import v1 as tfx

import kt_plus
from tests.integration.signatures import answers_of_tf2
from tests.integration.tfx import killed_pipeline
from tests.integration.tfx.pipelines import MODULE, Iris, content
from tfx_components import SearchConfig, Tuner

pytestmark = [pytest.mark.tfx, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[3]


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


def whole(iris: Iris, log: Path, pushed: Path) -> list[Any]:
    """A search, and all that takes its outputs."""
    data = iris.begin()
    stopping = kt_plus.stopping.MedianRule(min_trials=1, min_epochs=1)
    tuner = Tuner(
        **data,
        module_file=MODULE,
        search=SearchConfig(
            "evolutionary_search", "val_accuracy", max_trials=5, seed=0, stopping=stopping
        ),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=2),
        custom_config={"log": str(log), "epochs": 4},
    )
    trainer = tfx.components.Trainer(
        module_file=MODULE,
        **data,
        hyperparameters=tuner.outputs["best_hyperparameters"],
        base_model=tuner.outputs["best_model"],
        train_args=tfx.proto.TrainArgs(),
        eval_args=tfx.proto.EvalArgs(),
        custom_config={"epochs": 1},
    )
    destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(pushed))
    )
    pusher = tfx.components.Pusher(model=tuner.outputs["best_model"], push_destination=destination)
    evaluator = evaluator_of(iris, trainer, tuner)
    inferrer = tfx.components.BulkInferrer(examples=iris.raw, model=tuner.outputs["best_model"])
    return [tuner, trainer, evaluator, pusher, inferrer]


def test_a_whole_pipeline_and_the_same_again(iris: Iris, tmp_path: Path) -> None:
    log, pushed = tmp_path / "log", tmp_path / "pushed"
    tuner, _, evaluator, _, inferrer = components = whole(iris, log, pushed)
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

    evaluation = tfma.load_eval_result(str(iris.output(evaluator, "evaluation")))
    ((_, metrics),) = evaluation.slicing_metrics
    accuracy = metrics[""][""]["sparse_categorical_accuracy"]["doubleValue"]
    assert accuracy == pytest.approx(rows[0]["score"]), "trained on from the best model's weights"
    assert list(pushed.glob("*/saved_model.pb"))
    examples, answers = inferred(iris.output(inferrer, "inference_result"))
    assert len(answers) == 150
    folder = str(iris.output(tuner, "best_model") / "Format-Serving")
    expected = answers_of_tf2(folder, {"examples": examples})["outputs"]
    np.testing.assert_allclose(answers, expected, rtol=1e-4)

    trained, made = log.read_text(), iris.output(tuner, "best_model")
    iris.run(*whole(iris, log, pushed))
    assert log.read_text() == trained, "cached"
    assert iris.output(tuner, "best_model") == made


def inferred(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The serialized examples that BulkInferrer has asked about, and the model's answers."""
    files = [str(file) for file in folder.glob("prediction_logs*")]
    records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record).predict_log for record in records]
    examples = [tf.make_ndarray(log.request.inputs["examples"]) for log in logs]
    answers = [tf.make_ndarray(log.response.outputs["outputs"]) for log in logs]
    return np.concatenate(examples), np.concatenate(answers)


def test_a_killed_pipeline_goes_on(iris: Iris, tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = [sys.executable, "-m", killed_pipeline.__name__, str(iris.folder), str(log)]
    # As a user's shell has it: here tensorflow_transform has set the variable for Keras 2.
    environment = {n: value for n, value in os.environ.items() if n != "TF_USE_LEGACY_KERAS"}
    with open(tmp_path / "output", "w") as output:
        process = subprocess.Popen(
            program,
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
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
        **iris.begin(), module_file=MODULE, search=undisturbed, custom_config={"epochs": 2}
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


def test_a_packaged_module_in_parallel(iris: Iris, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip", reason="TFX packages modules with pip, which is not installed here")
    data = iris.begin()
    monkeypatch.delenv("UNSUPPORTED_DO_NOT_PACKAGE_USER_MODULES")
    component = Tuner(
        **data,
        module_file=MODULE,
        search=SearchConfig("random_search", "val_accuracy", max_trials=2, seed=0),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=2),
    ).with_id("Packaged")
    iris.run(component)
    assert list(iris.root.glob("_wheels/*.whl"))
    assert len(content(iris, component, "tuner_results")) == 2
