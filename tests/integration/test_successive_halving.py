"""Successive halving with real networks: promoted trials go on, and only full ones can be best."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_tuner as kt
import numpy as np
import pytest
from keras_tuner.errors import FatalValueError

import kt_plus
from kt_plus.performance_estimation.fidelity import DataFraction, Epochs, Resolution, Width
from tests.integration.small_networks import VALIDATION, X, Y, build_model, compiled
from tests.integration.test_grpc import run as run_in_parallel
from tests.tiers import mostly_full

pytestmark = pytest.mark.usefixtures("eager")

FIT = {"batch_size": 16, "validation_data": VALIDATION, "verbose": 0}


class Killed(BaseException):
    """The end of the process, as far as the search can tell."""


class Epoch(keras.callbacks.Callback):
    """Notes every epoch that begins; raises at the beginning of the one to be killed in."""

    begun: ClassVar[list[int]] = []
    kill_at: ClassVar[int | None] = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun.append(epoch)
        if len(self.begun) == Epoch.kill_at:
            Epoch.kill_at = None
            raise Killed


def with_state(hp: Any) -> Any:
    """Adam, dropout and batch normalization: a network whose training has much of a state."""
    layers = [
        keras.layers.Dense(hp.Int("units", 4, 32), activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
    ]
    model = compiled(layers)
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), loss=model.loss, metrics=["accuracy"])
    return model


def new(directory: Path | str, hypermodel: Any = build_model, **settings: Any) -> Any:
    settings = {"max_epochs": 4, "configurations": 4, "seed": 0, **settings}
    return kt_plus.SuccessiveHalving(
        hypermodel, "val_loss", directory=directory, project_name="p", **settings
    )


def chain(tuner: Any) -> list[Any]:
    """The trials of the configuration that was promoted to the end, from the lowest rung on."""
    history = tuner.oracle.history
    trials = [next(r for r in history if r.full_fidelity)]
    while trials[0].rung:
        trials.insert(0, history.get(trials[0].parent))
    return trials


@pytest.mark.full
@pytest.mark.slow
def test_the_seed_schedule_with_the_epochs_of_every_trial(tmp_path: Path) -> None:
    """64 configurations, 32, 16, ..., 1; one epoch, one more, two more, four more, ..."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 2)).astype("float32"), np.array([0, 1])

    def tiny(hp: Any) -> Any:
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        rate = hp.Float("learning_rate", 1e-4, 1.0, sampling="log")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(rate), loss=loss)
        return model

    Epoch.begun.clear()
    tuner = kt_plus.SuccessiveHalving(
        tiny, kt.Objective("loss", "min"), min_epochs=1, seed=0, directory=tmp_path
    )
    tuner.search(*data, callbacks=[Epoch()], verbose=0)
    history = tuner.oracle.history
    trained = {rung: [len(r.curve) for r in history if r.rung == rung] for rung in range(7)}
    assert trained == {
        0: [1] * 64,
        1: [1] * 32,
        2: [2] * 16,
        3: [4] * 8,
        4: [8] * 4,
        5: [16] * 2,
        6: [32],
    }
    assert [r.first_epoch for r in history if r.rung == 6] == [32]
    assert len(Epoch.begun) == tuner.oracle.budget.epochs == 64 + 6 * 32
    assert Counter(Epoch.begun) == Counter(
        epoch for r in history for epoch in range(r.first_epoch, r.first_epoch + len(r.curve))
    )
    assert tuner.oracle.max_trials == len(history) == 127
    assert [r.full_fidelity for r in history] == [False] * 126 + [True]
    assert tuner.oracle.history.best is history[-1]


@pytest.mark.slow
def test_a_promoted_trial_is_trained_as_if_it_had_never_paused(tmp_path: Path) -> None:
    """To the last bit: its curve, its score and its model are those of a plain search."""
    tuner = new(tmp_path / "halving", with_state, checkpoint_interval=None)
    tuner.search(X, Y, **FIT)
    trials = chain(tuner)
    assert [len(r.curve) for r in trials] == [1, 1, 2]
    plain = kt_plus.RandomSearch(
        with_state, "val_loss", max_trials=4, seed=0, directory=tmp_path, project_name="plain"
    )
    plain.search(X, Y, epochs=4, **FIT)
    expected = plain.oracle.history.get(trials[0].trial_id)
    assert dict(trials[-1].values) == dict(expected.values)
    assert sum((r.curve for r in trials), ()) == expected.curve
    assert trials[-1].score == expected.score
    for trial_id, tuned in ((trials[-1].trial_id, tuner), (trials[0].trial_id, plain)):
        model = tuned.load_model(tuned.oracle.trials[trial_id])
        assert -model.evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(expected.score, 1e-6)


def test_what_the_user_is_given(tmp_path: Path, capsys: Any) -> None:
    tuner = new(tmp_path)
    tuner.search(X, Y, **FIT)
    (best,) = tuner.get_best_hyperparameters()
    assert {*best.values} == {"units", "learning_rate"}
    (first, second) = tuner.oracle.get_best_trials(2)
    assert first.hyperparameters.values["tuner/rung"] == 2
    assert second.hyperparameters.values["tuner/rung"] == 1
    assert tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(
        first.score, rel=1e-6
    )
    tuner.results_summary(2)
    assert "Fidelity: 2 epochs" in capsys.readouterr().out
    assert not list(tmp_path.glob(f"p/trial_{chain(tuner)[0].trial_id}/final_state"))


def test_a_search_that_ended_early_gives_the_best_of_the_highest_rung(tmp_path: Path) -> None:
    tuner = new(tmp_path, max_epochs_total=5)
    tuner.search(X, Y, **FIT)
    with pytest.warns(UserWarning, match=r"at full fidelity. .* was trained at: 2 epochs"):
        tuner.get_best_hyperparameters()
    assert tuner.oracle.get_best_trials()[0].hyperparameters.values["tuner/rung"] == 1
    assert tuner.oracle.history.best is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, eager: None) -> Any:
    """A search that nothing has interrupted."""
    tuner = new(tmp_path_factory.mktemp("whole"), with_state)
    tuner.search(X, Y, **FIT)
    return tuner


@pytest.mark.slow
@pytest.mark.parametrize("epoch", mostly_full([3, 5, 7, 8], [5, 8]))
def test_killed_within_and_between_rungs(tmp_path: Path, epoch: int, whole: Any) -> None:
    Epoch.begun.clear()
    Epoch.kill_at = epoch
    tuner = new(tmp_path / "killed", with_state, checkpoint_interval=0)
    with pytest.raises(Killed):
        tuner.search(X, Y, callbacks=[Epoch()], **FIT)
    resumed = new(tmp_path / "killed", with_state, checkpoint_interval=0)
    resumed.search(X, Y, callbacks=[Epoch()], **FIT)
    assert list(resumed.oracle.history) == list(whole.oracle.history)
    assert len(Epoch.begun) == 8 + 1, "only the epoch in which it was killed is trained again"


def test_a_lost_state_begins_anew_with_a_warning(tmp_path: Path) -> None:
    tuner = new(tmp_path, configurations=2, max_epochs=2)

    begin = tuner.on_trial_begin

    def losing(trial: Any) -> None:
        for path in tmp_path.glob("p/*/final_state/0/state.npz"):
            path.unlink()
        begin(trial)

    tuner.on_trial_begin = losing
    with pytest.warns(UserWarning, match="It begins at its first epoch"):
        tuner.search(X, Y, **FIT)
    (last,) = [r for r in tuner.oracle.history if r.full_fidelity]
    assert (last.first_epoch, len(last.curve)) == (0, 2)
    assert tuner.oracle.budget.epochs == 4


@pytest.mark.versions
def test_early_stopping_goes_on_counting(tmp_path: Path) -> None:
    """What has not improved for an epoch when it is promoted has no patience left after one."""
    stop = keras.callbacks.EarlyStopping("val_loss", min_delta=10.0, patience=2)
    tuner = new(tmp_path, configurations=2, min_epochs=2, max_epochs=8, factor=4)
    tuner.search(X, Y, callbacks=[stop], **FIT)
    (last,) = [r for r in tuner.oracle.history if r.full_fidelity]
    assert (last.first_epoch, len(last.curve)) == (2, 1)


def test_asynchronous_with_evolution(tmp_path: Path) -> None:
    tuner = new(tmp_path, configurations=6, max_epochs=4, asynchronous=True, source="evolution")
    tuner.search(X, Y, **FIT)
    assert Counter(r.rung for r in tuner.oracle.history)[0] == 6
    assert tuner.oracle.history.best.rung == 2


def test_data_fraction_is_trained_anew_on_parts_that_all_trials_share(tmp_path: Path) -> None:
    seen: dict[int, list[int]] = {}

    class Size(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build_model(hp)

        def fit(self, hp: Any, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
            seen.setdefault(hp.values["tuner/rung"], []).append((len(x), float(np.sum(x))))
            assert len(kwargs["validation_data"][0]) == 24
            return model.fit(x, y, **kwargs)

    ladder = [DataFraction(1 / 4, 1 / 2, 1), Epochs(1, 2, 3)]
    tuner = new(tmp_path, Size(), max_epochs=None, ladder=ladder)
    tuner.search(X, Y, **FIT)
    counts = np.bincount(Y)  # each class has its share, to the nearest example
    expected = [int(np.floor(share * counts + 0.5).sum()) for share in (1 / 4, 1 / 2, 1)]
    assert expected[-1] == 48
    assert {rung: {n for n, _ in sizes} for rung, sizes in seen.items()} == {
        rung: {size} for rung, size in enumerate(expected)
    }
    assert all(len({*each}) == 1 for each in seen.values()), "trials of a rung saw other examples"
    assert [(r.first_epoch, len(r.curve)) for r in chain(tuner)] == [(0, 1), (0, 2), (0, 3)]
    assert not list(tmp_path.glob("p/*/final_state"))
    frame = kt_plus.results.to_dataframe(tuner)
    assert frame.fidelity.iloc[0] == "1/4 of the data, 1 epoch"


@pytest.mark.versions
def test_width_and_resolution_by_the_hook(tmp_path: Path) -> None:
    shapes = []

    def model(hp: Any) -> Any:
        size = kt_plus.fidelity.resolution(hp, 8)
        filters = kt_plus.fidelity.width(hp, hp.Choice("filters", [8, 12]))
        shapes.append((size, filters / hp.get("filters")))
        layers = [
            keras.Input((size, size, 1)),
            keras.layers.Conv2D(filters, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
        return compiled(layers)

    images = np.repeat(np.repeat(X[:, None, :, None], 8, 1), 2, 2)
    ladder = [Resolution(1 / 2, 1), Width(1 / 4, 1)]
    tuner = new(tmp_path, model, max_epochs=None, ladder=ladder, configurations=2)
    shapes.clear()
    tuner.search(images, Y, epochs=1, validation_split=0.25, verbose=0)
    assert shapes == [(4, 0.25), (4, 0.25), (8, 1.0)]
    assert tuner.get_best_models()[0].input_shape == (None, 8, 8, 1)


def test_a_model_of_one_size_is_told_of_the_hook(tmp_path: Path) -> None:
    def model(hp: Any) -> Any:
        hp.Choice("x", [1, 2, 3])
        return compiled([keras.Input((8, 8, 1)), keras.layers.Flatten()])

    tuner = new(tmp_path, model, max_epochs=None, ladder=Resolution(1 / 2, 1))
    images = np.zeros((8, 8, 8, 1))
    with pytest.raises(FatalValueError, match=r"kt_plus.fidelity.resolution\(hp, full_size\)"):
        tuner.search(images, np.zeros(8), epochs=1, validation_data=(images, np.zeros(8)))


def test_bad_data_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    cases = [
        (DataFraction(1 / 64, 1), (X, Y), "examples was asked for"),
        (Resolution(1 / 2, 1), (X, Y), r"have the shapes \[\(48, 4\)\]"),
        (DataFraction(1 / 2, 1), (x for x in [(X, Y)]), "as training data. Expected arrays"),
    ]
    for number, (ladder, data, message) in enumerate(cases):
        tuner = new(tmp_path / str(number), max_epochs=None, ladder=ladder)
        with pytest.raises(ValueError, match=message):
            tuner.search(*data, **FIT) if isinstance(data, tuple) else tuner.search(data, **FIT)
        assert not tuner.oracle.trials
    tuner = new(tmp_path / "steps", max_epochs=None, ladder=DataFraction(1 / 2, 1))
    with pytest.raises(ValueError, match="Leave out steps_per_epoch"):
        tuner.search(X, Y, steps_per_epoch=2, **FIT)


def test_another_ladder_in_the_same_project_is_refused(tmp_path: Path) -> None:
    new(tmp_path).search(X, Y, **FIT)
    with pytest.raises(kt_plus.errors.ResumeError, match="the ladder"):
        new(tmp_path, max_epochs=8)


def test_a_ladder_and_its_epochs_are_not_given_both() -> None:
    with pytest.raises(ValueError, match="ladder was given together with min_epochs or max_epochs"):
        kt_plus.SuccessiveHalving(build_model, "val_loss", max_epochs=3, ladder=Epochs(1, 2))


def test_rules_compare_trials_of_one_rung(tmp_path: Path) -> None:
    asked = []

    class Ask(kt_plus.stopping.Stopper):
        def judge(self, trial: Any, history: Any) -> Any:
            asked.append((trial.rung, {r.rung for r in history}, history.best))
            return kt_plus.Verdict(False)

    tuner = new(tmp_path, min_epochs=2, stopping=Ask(), asynchronous=True)
    tuner.search(X, Y, **FIT)
    assert {rung for rung, _, _ in asked} == {0, 1}
    assert all(rungs == {rung} for rung, rungs, _ in asked)
    assert any(best is not None for _, _, best in asked), "the best of the rung is the incumbent"


@pytest.mark.slow
def test_two_workers(tmp_path: Path) -> None:
    parallel = run_in_parallel(tmp_path, "SuccessiveHalving")
    saved = [*parallel.saved.values()]
    notes = [trial["kt_plus"] for trial in saved]
    assert Counter(note["rung"] for note in notes) == {0: 4, 1: 2, 2: 1}
    trained = parallel.workers[0] | parallel.workers[1]
    assert all(parallel.workers), "one worker did everything"
    epochs = {0: 1, 1: 1, 2: 2}
    for trial in saved:
        note = trial["kt_plus"]
        assert trained[trial["trial_id"]] == epochs[note["rung"]]
        assert len(note["curves"][0]["values"]) == epochs[note["rung"]]
    (full,) = [trial for trial in saved if trial["kt_plus"]["full_fidelity"]]
    assert full["kt_plus"]["curves"][0]["first_epoch"] == 2
    assert parallel.chief["loss"] == full["score"]
