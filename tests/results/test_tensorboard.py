"""Event files, read back by TensorBoard's own reader and its HParams plugin."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import (
    api_pb2,
    backend_context,
    get_experiment,
    list_session_groups,
)

import kt_plus
from kt_plus.errors import ResultsError
from kt_plus.results import to_dataframe, to_tensorboard
from tests.errors import raises_in_three_parts
from tests.invented_search import plain_search

ALL = (*api_pb2.Status.values(),)


class Board:
    """What TensorBoard shows of a folder."""

    def __init__(self, folder: Path) -> None:
        self.events = plugin_event_multiplexer.EventMultiplexer()
        self.events.AddRunsFromDirectory(str(folder))
        self.events.Reload()
        provider = data_provider.MultiplexerDataProvider(self.events, str(folder))
        self.context = backend_context.Context(base_plugin.TBContext(data_provider=provider))

    @property
    def experiment(self) -> Any:
        request = api_pb2.GetExperimentRequest()
        handler = get_experiment.Handler(RequestContext(), self.context, "", request)
        return handler.run()

    @property
    def trials(self) -> dict[str, Any]:
        """The session groups by the ids of the trials."""
        metrics = [api_pb2.ColParams(metric=info.name) for info in self.experiment.metric_infos]
        request = api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=1000, allowed_statuses=ALL, col_params=metrics
        )
        handler = list_session_groups.Handler(RequestContext(), self.context, "", request)
        return {group.name: group for group in handler.run().session_groups}

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        provider = self.context._tb_context.data_provider
        filters = {"run_tag_filter": None, "plugin_name": "scalars", "downsample": 1000}
        read = provider.read_scalars(RequestContext(), experiment_id="", **filters)
        return [(point.step, point.value) for point in read[run][tag]]


def hparams(group: Any) -> dict[str, Any]:
    kinds = ("string_value", "number_value", "bool_value")
    return {n: getattr(v, v.WhichOneof("kind") or kinds[0]) for n, v in group.hparams.items()}


@pytest.fixture(scope="module")
def board(found: Any, tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("logs") / "new"
    assert to_tensorboard(found, folder) == str(folder)
    return Board(folder)


def test_inactive_hyperparameters_have_no_value(found: Any, board: Board) -> None:
    frame, trials = to_dataframe(found), board.trials
    assert sorted(trials) == sorted(frame.index)
    for trial_id, row in frame.iterrows():
        told = {
            n: row[n]
            for n in ("limit", "pace", "kind", "noise")
            if row["kind"] == "noisy" or n != "noise"
        }
        assert hparams(trials[trial_id]) == told
    infos = {info.name: info for info in board.experiment.hparam_infos}
    assert infos.keys() == {"limit", "pace", "kind", "noise"}
    kinds = {value.string_value for value in infos["kind"].domain_discrete.values}
    assert kinds == {"plain", "noisy"}
    interval = infos["noise"].domain_interval
    assert (interval.min_value, interval.max_value) == (1, 9)


def test_scores_curves_and_failures_are_told(found: Any, board: Board) -> None:
    trials = board.trials
    for trial_id, trial in found.oracle.trials.items():
        (session,) = trials[trial_id].sessions
        failed = trial.status == "FAILED"
        assert session.status == (api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS)
        values = found.oracle.notes[trial_id].curves[0].values
        expected = {"score": values[-1]} | ({} if failed else {"trial/score": trial.score})
        metrics = {value.name.tag: value.value for value in session.metric_values}
        assert metrics == pytest.approx(expected, rel=1e-6)
        points = board.scalars(f"{trial_id}/execution0", "score")
        assert [step for step, _ in points] == [*range(1, len(values) + 1)]
        assert [value for _, value in points] == pytest.approx(values, rel=1e-6)
    assert sum(t.status == "FAILED" for t in found.oracle.trials.values()) == 2


def test_a_folder_is_not_written_twice(found: Any, tmp_path: Path) -> None:
    to_tensorboard(found.project_dir, tmp_path)
    with raises_in_three_parts(
        ResultsError, happened="holds event files already", expected="Expected none"
    ):
        to_tensorboard(found, tmp_path)


def test_running_damaged_and_plain_trials(tmp_path: Path) -> None:
    plain_search(tmp_path, "flag", max_trials=4)
    (tmp_path / "p" / "trial_1" / "trial.json").write_text("{")
    running = tmp_path / "p" / "trial_2" / "trial.json"
    running.write_text(running.read_text().replace("COMPLETED", "RUNNING"))
    with pytest.warns(UserWarning, match=r"trial_1.*damaged"):
        to_tensorboard(tmp_path / "p", tmp_path / "logs")
    trials = Board(tmp_path / "logs").trials
    assert sorted(trials) == ["0", "2", "3"]
    assert {name: group.sessions[0].status for name, group in trials.items()} == {
        "0": api_pb2.STATUS_SUCCESS,
        "2": api_pb2.STATUS_UNKNOWN,
        "3": api_pb2.STATUS_SUCCESS,
    }
    assert isinstance(hparams(trials["0"])["flag"], bool)
    score = trials["0"].metric_values[0].value
    assert hparams(trials["0"])["x"] == pytest.approx(score)


@pytest.mark.slow
def test_it_needs_no_tensorflow(found: Any, tmp_path: Path) -> None:
    """Keras may run on another backend: TensorBoard's own switch takes TensorFlow away."""
    code = f"""
import sys, types
import kt_plus.results
sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")
from tensorboard.compat import tf
assert tf.__version__ == "stub"
kt_plus.results.to_tensorboard({found.project_dir!r}, {str(tmp_path)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(Board(tmp_path).trials) == len(found.oracle.trials)


def build(hp: kt.HyperParameters) -> keras.Model:
    """Each kind of network has units and a rate of its own, under the same names."""
    kind = hp.Choice("kind", ["wide", "narrow"])
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            units = hp.Int("units", 8, 16)
    with hp.conditional_scope("kind", ["narrow"]):
        if kind == "narrow":
            units = hp.Int("units", 2, 4)
            hp.Boolean("bias")
    model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


class Dies(keras.callbacks.Callback):
    """Ends the process's search in the third trial, after its second epoch."""

    begun = 0

    def on_train_begin(self, logs: Any = None) -> None:
        Dies.begun += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if Dies.begun == 3 and epoch == 1:
            raise KeyboardInterrupt


def test_the_callback_tells_hyperparameters_and_resumes(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(32, 3))
    fit = {"x": x, "y": x[:, 0], "validation_split": 0.25, "epochs": 4, "verbose": 0}
    board = keras.callbacks.TensorBoard(tmp_path / "logs", write_graph=False)

    def search(*callbacks: Any) -> Any:
        tuner = kt_plus.RandomSearch(
            build,
            "val_loss",
            max_trials=4,
            seed=3,
            directory=tmp_path,
            project_name="p",
            checkpoint_interval=0,
        )
        tuner.search(callbacks=[board, *callbacks], **fit)
        return tuner

    with pytest.raises(KeyboardInterrupt):
        search(Dies())
    tuner = search()
    shown = Board(tmp_path / "logs")
    trials = shown.trials
    assert sorted(trials) == sorted(tuner.oracle.trials)
    for trial_id, trial in tuner.oracle.trials.items():
        values = trial.hyperparameters.values
        names = {"kind", "units"} if values["kind"] == "wide" else {"kind", "units", "bias"}
        assert hparams(trials[trial_id]).keys() == names
        assert hparams(trials[trial_id])["units"] == values["units"]
        (session,) = trials[trial_id].sessions
        assert session.status == api_pb2.STATUS_SUCCESS
        for part in ("train", "validation"):
            steps = shown.scalars(f"{trial_id}/execution0/{part}", "epoch_loss")
            assert {step for step, _ in steps} == {0, 1, 2, 3}
    assert len({t.hyperparameters.values["kind"] for t in tuner.oracle.trials.values()}) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of the optimizer's state, which is not missed
        assert len(tuner.get_best_models(2)) == 2
