"""Searches whose trials begin with their parents' weights: real training, kills and workers."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from kt_plus.engine import storage
from kt_plus.performance_estimation.inheritance import Report
from tests.errors import raises_in_three_parts
from tests.integration.small_networks import VALIDATION, X, Y, compiled
from tests.integration.test_grpc import run as run_in_parallel
from tests.integration.test_kill import run

FIT = {"epochs": 2, "batch_size": 16, "validation_data": VALIDATION, "verbose": 0}


def build(hp: Any) -> Any:
    """Layers of which there may be more, and more units in each."""
    number = hp.Int("layers", 1, 3)
    units = [hp.Int(f"units_{i}", 4, 16, step=4) for i in range(number)]
    return compiled([keras.layers.Dense(n, "relu") for n in units])


def new(directory: Path | str, model: Any = build, **options: Any) -> Any:
    settings = {
        "objective": "val_loss",
        "max_trials": 8,
        "seed": 0,
        "population_size": 3,
        "tournament_size": 2,
        "random_trials": 2,
        "inherit_weights": kt_plus.WeightInheritance(noise=0),
        "directory": directory,
        "project_name": "p",
    }
    return kt_plus.EvolutionarySearch(model, **{**settings, **options})


class FirstWeights(keras.callbacks.Callback):
    """Notes what each training begins with; a search copies its callbacks, the class is one."""

    began: dict[tuple[str, int], list[np.ndarray]]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        place = FirstWeights.tuner._trial_id, FirstWeights.tuner._execution
        if epoch == 0:
            FirstWeights.began[place] = self.model.get_weights()


def search(tuner: Any, **fit: Any) -> Any:
    FirstWeights.began, FirstWeights.tuner = {}, tuner
    tuner.search(X, Y, callbacks=[FirstWeights()], **{**FIT, **fit})
    return tuner


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, eager: None) -> Any:
    tuner = new(tmp_path_factory.mktemp("searched"), keep_checkpoints="all")
    search(tuner)
    tuner.began = FirstWeights.began
    return tuner


def report_of(tuner: Any, trial_id: str) -> Report | None:
    kept = storage.read_json(f"{tuner.project_dir}/trial_{trial_id}/inheritance.json")
    return None if kept is None else Report.from_config(kept["report"])


@pytest.mark.versions
def test_children_begin_where_their_parents_were_best(searched: Any) -> None:
    parents = {r.trial_id: r.parent for r in searched.oracle.history if r.parent}
    reports = {child: report_of(searched, child) for child in parents}
    assert parents
    assert all(reports.values())
    hows = Counter(layer.how for report in reports.values() for layer in report.layers)
    assert hows.keys() >= {"copied", "widened"}
    kept = 0
    for child, report in reports.items():
        model = searched._try_build(searched.oracle.trials[child].hyperparameters)
        model.build((None, X.shape[1]))
        model.set_weights(searched.began[child, 1])
        parent = searched.load_model(searched.oracle.trials[parents[child]])
        equal = np.allclose(model.predict(X, verbose=0), parent.predict(X, verbose=0), atol=1e-5)
        assert equal or not report.preserved
        kept += report.preserved
    assert kept, "no child computed its parent's function: choose another seed"


def test_the_first_trials_inherit_nothing(searched: Any) -> None:
    for record in list(searched.oracle.history)[:2]:
        assert record.parent is None
        assert report_of(searched, record.trial_id) is None
        assert searched.oracle.notes[record.trial_id].inheritance is None


def test_epochs_are_counted_along_the_line(searched: Any) -> None:
    frame = kt_plus.results.to_dataframe(searched)
    notes = searched.oracle.notes
    for trial_id, row in frame.iterrows():
        parent = notes[trial_id].parent
        best = 0
        if parent is not None:
            (curve,) = notes[parent].curves
            best = frame.inherited[parent] + 1 + int(np.argmin(curve.values))
        assert row.inherited == best
    assert frame.inherited.max() > FIT["epochs"], "no line is longer than one parent"


def test_what_each_layer_has_inherited_is_listed(searched: Any) -> None:
    frame = kt_plus.results.inheritance_to_dataframe(searched.project_dir)
    children = {r.trial_id: r.parent for r in searched.oracle.history if r.parent}
    assert dict(zip(frame.trial_id, frame.parent, strict=True)) == children
    for child, layers in frame.groupby("trial_id"):
        assert [*layers.layer] == [layer.layer for layer in report_of(searched, child).layers]
    assert set(frame.how) <= {"copied", "widened", "cropped", "deepened", "fresh"}
    assert frame.source[frame.how == "widened"].notna().all()


def test_the_summary_marks_inherited_scores(searched: Any, capsys: Any) -> None:
    searched.results_summary(8)
    printed = capsys.readouterr().out
    inherited = [n for n in searched.oracle.notes.values() if n.inherited]
    assert printed.count("Its score is not one from scratch") == len(inherited)
    assert f"Inherited from trial {inherited[0].parent}, after" in printed


def test_users_do_not_see_the_directive(searched: Any) -> None:
    for hyperparameters in searched.get_best_hyperparameters(8):
        assert not [name for name in hyperparameters.values if name.startswith("tuner/")]


@pytest.mark.versions
def test_the_best_are_trained_again_from_scratch(searched: Any, capsys: Any) -> None:
    again = search_again(searched, 2)
    best = searched.oracle.get_best_trials(3)
    assert {each.trial_id for each in again} == {trial.trial_id for trial in best[:2]}
    assert [each.score for each in again] == sorted(each.score for each in again)
    for each in again:
        note = searched.oracle.notes[each.trial_id]
        assert (each.search_score, each.inherited) == (
            searched.oracle.trials[each.trial_id].score,
            note.inherited,
        )
    assert any(each.inherited for each in again)
    # The network is built when its first batch comes: whatever inherits is built before.
    assert list(FirstWeights.began.values()) == [[], []]
    first = list(FirstWeights.began)
    loss = again.best_model().evaluate(*VALIDATION, verbose=0)[0]
    assert loss == pytest.approx(again[0].score, rel=1e-6)

    assert len(search_again(searched, 3)) == 3
    assert len(FirstWeights.began) == 1 < len(first), "only the third one is still to be trained"
    frame = kt_plus.results.to_dataframe(searched)
    assert frame.retrained.count() == 3
    assert frame.retrained[again[0].trial_id] == again[0].score
    searched.results_summary(3)
    assert capsys.readouterr().out.count("Score from scratch, at full fidelity: ") == 3
    assert "from scratch  in the search  epochs inherited" in str(again)


def search_again(tuner: Any, number: int, **fit: Any) -> Any:
    FirstWeights.began, FirstWeights.tuner = {}, Places()
    return tuner.retrain_best(number, X, Y, callbacks=[FirstWeights()], **{**FIT, **fit})


class Places:
    """A new place for each training: those that are trained again are all trial 0."""

    _trial_id = ""

    @property
    def _execution(self) -> int:
        return len(FirstWeights.began)


@pytest.mark.usefixtures("eager")
def test_another_number_of_epochs_is_another_training(tmp_path: Path) -> None:
    tuner = search(new(tmp_path, max_trials=2))
    search_again(tuner, 1)
    assert len(search_again(tuner, 1, epochs=3)) == 1
    assert len(FirstWeights.began) == 1
    (curve,) = (n.curves[0] for n in _retrained(tuner).values())
    assert len(curve.values) == 3


def _retrained(tuner: Any) -> dict[str, Any]:
    folders = Path(tuner.project_dir, "retrained").iterdir()
    searches = [kt_plus.results.reading.read(str(folder)) for folder in folders]
    return {str(s.directory): s.trials[0].note for s in searches}


@pytest.mark.versions
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("damage", ["missing", "broken"])
def test_a_parent_without_checkpoint_is_warned_of_once(damage: str, tmp_path: Path) -> None:
    search(new(tmp_path, max_trials=3, keep_checkpoints="all"))
    for checkpoint in tmp_path.glob("p/trial_*/checkpoint.weights.h5"):
        checkpoint.write_bytes(b"junk") if damage == "broken" else checkpoint.unlink()
    tuner = new(tmp_path, max_trials=5, tournament_size=3, keep_checkpoints="all")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search(tuner)
    told = [str(w.message) for w in caught if "is trained from scratch" in str(w.message)]
    anew = [n for n in tuner.oracle.notes.values() if "could not be read" in (n.inheritance or "")]
    assert len(told) == 1
    assert anew
    assert all(note.inherited == 0 for note in anew)
    assert {trial.status for trial in tuner.oracle.trials.values()} == {"COMPLETED"}


@pytest.mark.usefixtures("eager")
def test_a_subclassed_model_begins_anew_and_is_told_why(tmp_path: Path) -> None:
    class Network(keras.Model):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.first = keras.layers.Dense(units, "relu")
            self.second = keras.layers.Dense(2, "softmax")

        def call(self, x: Any) -> Any:
            return self.second(self.first(x))

    def subclassed(hp: Any) -> Any:
        model = Network(hp.Int("units", 4, 16))
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    with pytest.warns(UserWarning, match="of the class Network, computes its outputs in a `call`"):
        tuner = search(new(tmp_path, subclassed, max_trials=3))
    note = tuner.oracle.notes["2"]
    assert note.parent is not None
    assert note.inherited == 0
    assert note.inheritance.startswith("from scratch: The model, of the class Network")
    (row,) = kt_plus.results.inheritance_to_dataframe(tuner).to_dict("records")
    assert row["why"].startswith("The model, of the class Network")


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_every_run_inherits_in_a_fit_of_ones_own_and_with_stopping(tmp_path: Path) -> None:
    class Model(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return model.fit(*args, **{**kwargs, "shuffle": hp.Boolean("shuffle")})

    rule = kt_plus.stopping.MedianRule(min_trials=1, min_epochs=1)
    tuner = search(new(tmp_path, Model(), max_trials=5, executions_per_trial=2, stopping=rule))
    children = [r.trial_id for r in tuner.oracle.history if r.parent]
    assert all(tuner.oracle.notes[child].inherited for child in children)
    for child in children:
        first = FirstWeights.began[child, 1]
        second = FirstWeights.began.get((child, 2))
        copied = [layer.how == "copied" for layer in report_of(tuner, child).layers]
        if second is not None and all(copied):
            assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert any(r.verdict for r in tuner.oracle.history), "nothing was stopped"


@pytest.mark.slow
def test_a_child_that_is_killed_goes_on_from_its_own_weights(tmp_path: Path) -> None:
    """And so does a retraining; the parent's checkpoint is away meanwhile."""
    told = json.loads(run("tests.integration.inherited_training", str(tmp_path)).splitlines()[-1])
    undisturbed, runs = told["undisturbed"], told["runs"]
    assert undisturbed[-1]["event"] == "end", undisturbed[-1]
    assert runs[-1][-1] == undisturbed[-1]
    assert undisturbed[-1]["notes"]["3"][0] > 0
    places = [[tuple(event["at"]) for event in run if "at" in event] for run in runs]
    assert [run[0] for run in places[1:]] == [run[-1] for run in places[:-1]]
    assert places[0][-1] == ("inherit/3", 1, 2)
    assert places[1][-1][1:] == (1, 1)
    once = [place for run in places[:-1] for place in run[:-1]] + places[-1]
    assert once == [tuple(event["at"]) for event in undisturbed[:-1]]


@pytest.mark.slow
def test_workers_inherit_through_the_project(tmp_path: Path) -> None:
    """Each of the two from trials that the other has trained."""
    parallel = run_in_parallel(tmp_path, "EvolutionarySearch", "inherit")
    notes = {trial_id: trial["kt_plus"] for trial_id, trial in parallel.saved.items()}
    children = [trial_id for trial_id, note in notes.items() if note["parent"]]
    assert children
    for child in children:
        note = notes[child]
        assert note["inherited"] > 0, note["inheritance"]
        assert (tmp_path / "parallel" / f"trial_{child}" / "inheritance.json").exists()
    assert parallel.chief["loss"] == min(trial["score"] for trial in parallel.saved.values())


@pytest.mark.usefixtures("eager")
def test_a_model_that_cannot_be_built_leaves_nothing_to_the_next_one(tmp_path: Path) -> None:
    class Once:
        """A child of trial 0 whose model fails, and then a trial without a parent."""

        def propose(self, space: Any, history: Any, rng: Any) -> Any:
            if len(history) == 3:
                return kt_plus.DONE
            parent = "0" if len(history) == 1 else None
            return kt_plus.Proposal({"fails": len(history) == 1}, parent)

    def failing(hp: Any) -> Any:
        if hp.Boolean("fails"):
            raise ArithmeticError
        return compiled([keras.layers.Dense(4, "relu")])

    oracle = kt_plus.Oracle(
        kt.Objective("val_loss", "min"), 3, strategy=Once(), seed=0, inherit_weights=True
    )
    tuner = search(kt_plus.Tuner(oracle, failing, directory=tmp_path, project_name="p"))
    assert [t.status for t in oracle.trials.values()] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert oracle.trials["1"].hyperparameters.values["tuner/inherit_from"] == "0"
    assert not FirstWeights.began["2", 1], "it was built early, to inherit"
    assert report_of(tuner, "2") is None


def test_bad_arguments(tmp_path: Path) -> None:
    with raises_in_three_parts(
        ValueError, happened="inherit_weights='yes'", expected="True, False"
    ):
        new(tmp_path, inherit_weights="yes")
    with raises_in_three_parts(
        ValueError, happened="folds was given together with inherit_weights", expected="one of them"
    ):
        new(tmp_path, folds=3)
    tuner = new(tmp_path)
    with raises_in_three_parts(ValueError, happened="num_trials=0", expected="at least 1"):
        tuner.retrain_best(0, X, Y)
    with raises_in_three_parts(ValueError, happened="without data", expected="tuner.retrain_best("):
        tuner.retrain_best()
    with pytest.raises(RuntimeError, match=r"There are no trials in .* Run `search` first"):
        tuner.retrain_best(1, X, Y)


def test_a_worker_does_not_train_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = new(tmp_path)
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    with pytest.raises(RuntimeError, match="without KERASTUNER_TUNER_ID"):
        tuner.retrain_best(1, X, Y)
