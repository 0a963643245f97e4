"""Schedules, EarlyStopping and epochs of each trial's own, under stopping rules; real Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.performance_estimation.stopping import replay
from tests.integration.small_networks import VALIDATION, X, Y, build_model, compiled, new
from tests.tiers import mostly_full

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
]
FIT = {"validation_data": VALIDATION, "verbose": 0}


class Listening(kt_plus.stopping.Stopper):
    """Keeps what it is asked, and stops after so many epochs."""

    def __init__(self, stop_after: int = 99) -> None:
        self.stop_after = stop_after
        self.asked: list[tuple[str, int, int, int | None]] = []

    def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
        self.asked.append((trial.trial_id, trial.first_epoch, len(trial.curve), trial.horizon))
        return kt_plus.Verdict(len(trial.curve) >= self.stop_after, "enough")


def lengths(tuner: Any) -> list[tuple[int, int, int | None]]:
    """First epoch, number of epochs and horizon of each trial."""
    return [(r.first_epoch, len(r.curve), r.horizon) for r in tuner.oracle.history]


class EpochsOfItsOwn(kt.HyperModel):
    """How long a model is trained is searched as well."""

    def build(self, hp: Any) -> Any:
        return build_model(hp)

    def fit(self, hp: Any, model: Any, *args: Any, epochs: int = 1, **kwargs: Any) -> Any:
        return model.fit(*args, epochs=hp.Int("epochs", 2, 5), **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    mostly_full(
        ["kt_plus.RandomSearch", "kt_plus.EvolutionarySearch"], ["kt_plus.EvolutionarySearch"]
    ),
)
def test_the_hypermodel_says_how_many_epochs_a_trial_has(search: str, tmp_path: Path) -> None:
    rule = Listening()
    place = {"objective": "val_loss", "directory": tmp_path, "max_trials": 6}
    tuner = new(search, EpochsOfItsOwn(), **place, stopping=rule)
    tuner.search(X, Y, epochs=50, **FIT)
    epochs = [t.hyperparameters.values["epochs"] for t in tuner.oracle.trials.values()]
    assert len(set(epochs)) > 1
    assert lengths(tuner) == [(0, n, n) for n in epochs]
    assert rule.asked == [
        (trial_id, 0, epoch, n)
        for trial_id, n in zip(tuner.oracle.start_order, epochs, strict=True)
        for epoch in range(1, n)  # after the last there is nothing to save
    ]
    stopped = new(search, EpochsOfItsOwn(), **place, stopping=Listening(2), project_name="other")
    stopped.search(X, Y, epochs=50, **FIT)
    for record in stopped.oracle.history:
        assert len(record.curve) == 2
        assert (record.verdict is None) == (record.horizon == 2)


def test_early_stopping_ends_a_trial_before_its_horizon(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        return compiled([], hp.Choice("learning_rate", [0.0, 0.1, 0.5]))

    early = keras.callbacks.EarlyStopping("val_loss", patience=2)
    rule = Listening(5)
    tuner = kt_plus.GridSearch(
        build, objective="val_loss", directory=tmp_path, stopping=rule, seed=1
    )
    tuner.search(X, Y, epochs=8, callbacks=[early], **FIT)
    still, *others = tuner.oracle.history
    assert still.values == {"learning_rate": 0.0}
    assert (len(still.curve), still.horizon, still.verdict) == (3, 8, None)
    assert still.status == "completed"
    assert still.score == max(still.curve)
    for record in others:
        assert record.horizon == 8
        assert (record.verdict is not None) == (len(record.curve) == 5)
        assert record.verdict is None or record.verdict.reason == "stopped at epoch 5 of 8: enough"
    assert any(record.verdict for record in others)
    assert tuner.oracle.notes[still.trial_id].stop is None
    found = replay(tuner, Listening())
    assert found.recorded_epochs == sum(len(r.curve) for r in tuner.oracle.history)
    assert set(found.unknown) == {r.trial_id for r in others if r.verdict}


def test_early_stopping_and_a_rule_at_once_restore_the_best_weights(tmp_path: Path) -> None:
    early = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=Listening(3),
    )
    tuner.search(X, Y, epochs=6, callbacks=[early], **FIT)
    assert {record.status for record in tuner.oracle.history} == {"completed"}
    best = tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)[0]
    assert best == pytest.approx(-tuner.oracle.history.best.score, rel=1e-5)


def test_learning_rate_schedules_go_on_as_in_a_run_of_ones_own(tmp_path: Path) -> None:
    rates: dict[str, list[float]] = {}

    class Rates(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            rates.setdefault(tuner._trial_id, []).append(rate)

    halve = keras.callbacks.LearningRateScheduler(lambda epoch: 0.4 / 2**epoch)
    rule = Listening(3)
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=kt_plus.stopping.MedianRule(1, 3) & rule,
    )
    tuner.search(X, Y, epochs=5, callbacks=[halve, Rates()], **FIT)
    for record in tuner.oracle.history:
        expected = [0.4 / 2**epoch for epoch in range(len(record.curve))]
        assert rates[record.trial_id] == pytest.approx(expected)
    assert len(tuner.oracle.history[0].curve) == 5


def test_a_schedule_of_the_optimizers_own(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        model = compiled([keras.layers.Dense(hp.Int("units", 2, 8), "relu")])
        decay = keras.optimizers.schedules.CosineDecay(0.5, decay_steps=12)
        model.compile(keras.optimizers.SGD(decay), "sparse_categorical_crossentropy")
        return model

    tuner = new(
        "kt_plus.RandomSearch",
        build,
        objective="val_loss",
        directory=tmp_path,
        stopping=Listening(2),
    )
    tuner.search(X, Y, epochs=4, **FIT)
    assert lengths(tuner) == [(0, 2, 4)] * 3


def test_reduce_on_plateau_sees_every_epoch(tmp_path: Path) -> None:
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5)
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=Listening(),
    )
    tuner.search(X, Y, epochs=4, callbacks=[plateau], **FIT)
    assert lengths(tuner) == [(0, 4, 4)] * 3


def test_training_that_begins_at_a_later_epoch(tmp_path: Path) -> None:
    rule = Listening(2)
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=rule,
    )
    tuner.search(X, Y, epochs=9, initial_epoch=5, **FIT)
    assert lengths(tuner) == [(5, 2, 9)] * 3
    assert [asked[1:] for asked in rule.asked] == [(5, 1, 9), (5, 2, 9)] * 3
    assert {r.verdict.reason for r in tuner.oracle.history} == {"stopped at epoch 7 of 9: enough"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("freq", "stop_after", "epochs"),
    mostly_full([(2, 4, 5), (2, 99, 7), ([2, 5], 4, 4), (3, 99, 4)], [([2, 5], 4, 4), (3, 99, 4)]),
)
def test_validation_at_some_epochs_only(
    freq: Any, stop_after: int, epochs: int, tmp_path: Path
) -> None:
    tuner = new(
        "kt_plus.RandomSearch",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        stopping=Listening(stop_after),
        executions_per_trial=2,
    )
    tuner.search(X, Y, epochs=8, validation_freq=freq, **FIT)
    first = 2 if freq == 3 else 1  # an epoch that is not validated repeats the one before it
    assert lengths(tuner) == [(first, epochs, 8)] * 3
    for record in tuner.oracle.history:
        curves = [*record.earlier_curves, record.curve]
        assert record.status == "completed"
        assert record.score == pytest.approx(sum(map(max, curves)) / len(curves))
        assert len(curves) == (1 if record.verdict else 2)


@pytest.mark.slow
def test_hyperbands_epochs_and_a_rule(tmp_path: Path) -> None:
    rule = Listening()
    tuner = new(
        "kt_plus.Hyperband",
        build_model,
        objective="val_loss",
        directory=tmp_path,
        max_epochs=4,
        stopping=rule,
    )
    tuner.search(X, Y, **FIT)
    for trial_id, trial in tuner.oracle.trials.items():
        values, record = trial.hyperparameters.values, tuner.oracle.history.get(trial_id)
        first, last = values["tuner/initial_epoch"], values["tuner/epochs"]
        assert (record.first_epoch, record.horizon) == (first, last)
        assert len(record.curve) == last - first
    assert {r.first_epoch for r in tuner.oracle.history} >= {0, 1, 2}


def test_two_executions_of_epochs_of_their_own(tmp_path: Path) -> None:
    tuner = new(
        "kt_plus.RandomSearch",
        EpochsOfItsOwn(),
        objective="val_loss",
        directory=tmp_path,
        executions_per_trial=2,
        stopping=kt_plus.stopping.MedianRule(1, 1).dry_run(),
    )
    tuner.search(X, Y, **FIT)
    for record in tuner.oracle.history:
        assert [len(c) for c in (*record.earlier_curves, record.curve)] == [record.horizon] * 2
    dry = {
        trial_id: (note.dry_stop.epoch, note.dry_stop.reason)
        for trial_id, note in tuner.oracle.notes.items()
        if note.dry_stop
    }
    assert replay(tuner, kt_plus.stopping.MedianRule(1, 1)).stops == dry
