"""Reinforcement learning in whole searches: real training, failures, resuming, earlier projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

import kt_plus
from kt_plus.results import policy_to_dataframe


def fingerprint(tuner: Any) -> tuple[int, bytes, float]:
    """The policy to the last bit, and how many results have taught it."""
    oracle = tuner.oracle
    learner = oracle.strategy.learner(oracle.space, oracle.history)
    return len(learner.records), learner.parameters.tobytes(), learner.baseline


def digits_model(hp: Any) -> keras.Model:
    """A dense network of one or two layers, whose second layer's width is conditional."""
    layers = [keras.Input((64,)), keras.layers.Dense(hp.Int("units", 4, 64, step=12), "relu")]
    if hp.Boolean("deep"):
        with hp.conditional_scope("deep", [True]):
            layers.append(keras.layers.Dense(hp.Choice("second", [8, 32]), "relu"))
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


@pytest.mark.slow
def test_it_finds_a_network_for_digits_and_goes_on_where_it_was(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits are scikit-learn's")
    pixels, labels = datasets.load_digits(return_X_y=True)
    train, validation = (pixels[:1200] / 16, labels[:1200]), (pixels[1200:] / 16, labels[1200:])

    def tuner(max_trials: int) -> Any:
        return kt_plus.ReinforcementLearning(
            digits_model,
            objective="val_accuracy",
            max_trials=max_trials,
            seed=0,
            batch_size=3,
            learning_rate=0.1,
            directory=tmp_path,
            project_name="digits",
        )

    fit = {"epochs": 2, "validation_data": validation, "verbose": 0}
    first = tuner(6)
    first.search(*train, **fit)
    again = tuner(12)
    assert fingerprint(again) == fingerprint(first)
    again.search(*train, **fit)
    trials, *_ = fingerprint(again)
    assert trials == 12
    assert fingerprint(tuner(12)) == fingerprint(again)
    best = again.get_best_models()[0]
    assert best.evaluate(*validation, verbose=0)[1] == again.oracle.history.best.score > 0.8
    frame = policy_to_dataframe(again, points=3)
    start, end = (frame[frame.trials == n].probability.to_numpy() for n in (0, 12))
    assert not np.allclose(start, end)


def space() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("kind", ["fails", "works", "works well"])
    hp.Float("x", -1.0, 1.0)
    with hp.conditional_scope("kind", ["works", "works well"]):
        hp.Int("y", 1, 9)
    return hp


class Computed(kt_plus.ReinforcementLearning):
    """A search that trains nothing: one kind of trial fails, at every attempt."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
        values = trial.hyperparameters.values
        if values["kind"] == "fails":
            raise ArithmeticError
        return float(values["x"] * values["y"] + 3 * (values["kind"] == "works well"))


def computed(directory: Path, project: str = "search", **settings: Any) -> Computed:
    tuner = Computed(
        objective=kt.Objective("score", "max"),
        seed=2,
        directory=directory,
        project_name=project,
        max_retries_per_trial=1,
        max_consecutive_failed_trials=30,
        **{"max_trials": 40, "hyperparameters": space(), **settings},
    )
    return tuner


@pytest.mark.parametrize("settings", [{"algorithm": "ppo"}, {"algorithm": "reinforce"}])
def test_failed_and_retried_trials_teach_and_are_folded_the_same_again(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    tuner = computed(tmp_path, **settings)
    tuner.search(verbose=0)
    statuses = [record.status for record in tuner.oracle.history]
    assert set(statuses) == {"failed", "completed"}
    attempts = {tuner.oracle.notes[trial_id].attempts for trial_id in tuner.oracle.trials}
    assert attempts == {1, 2}
    assert statuses[20:].count("failed") < statuses[:20].count("failed")
    assert fingerprint(computed(tmp_path, **settings)) == fingerprint(tuner)


def test_a_search_interrupted_after_each_trial_proposes_the_same(tmp_path: Path) -> None:
    whole = computed(tmp_path, "whole", max_trials=14, learning_rate=0.1)
    whole.search(verbose=0)
    for trials in range(1, 15):
        part = computed(tmp_path, "part", max_trials=trials, learning_rate=0.1)
        part.search(verbose=0)
    expected = [record.values for record in whole.oracle.history]
    assert [record.values for record in part.oracle.history] == expected
    assert fingerprint(part) == fingerprint(whole)


def test_trials_of_any_earlier_search_are_learnt_from(tmp_path: Path) -> None:
    class Random(kt.RandomSearch):
        run_trial = Computed.run_trial

    earlier = Random(
        hyperparameters=space(),
        objective=kt.Objective("score", "max"),
        max_trials=30,
        seed=1,
        max_consecutive_failed_trials=30,
        directory=tmp_path,
        project_name="earlier",
    )
    earlier.search(verbose=0)
    done = sum(trial.status == "COMPLETED" for trial in earlier.oracle.trials.values())
    settings = {"history": str(tmp_path / "earlier"), "max_trials": 20}
    tuner = computed(tmp_path, "later", **settings)
    tuner.search(verbose=0)
    policy = tuner.oracle.strategy.policies(tuner.oracle.space, tuner.oracle.history, 60)
    assert policy[-1].trials == done + 20
    before = next(p for p in policy if p.trials >= done).probabilities["kind"]
    assert before["works well"] == max(before.values())
    assert fingerprint(computed(tmp_path, "later", **settings)) == fingerprint(tuner)


def test_a_space_that_grows_while_it_searches_is_learnt(tmp_path: Path) -> None:
    """A model that asks for a layer's width only when it has that layer, outside any scope."""

    class Growing(kt_plus.ReinforcementLearning):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            hp = trial.hyperparameters
            widths = [hp.Int(f"width_{i}", 1, 8) for i in range(hp.Int("layers", 1, 3))]
            return float(sum(widths))

    def tuner() -> Any:
        return Growing(
            objective=kt.Objective("score", "max"),
            max_trials=25,
            seed=0,
            directory=tmp_path,
            project_name="growing",
        )

    search = tuner()
    search.search(verbose=0)
    assert {d.name for d in search.oracle.space.dimensions} >= {"layers", "width_0", "width_1"}
    assert fingerprint(tuner()) == fingerprint(search)


def test_a_space_with_nothing_to_choose_is_told(tmp_path: Path) -> None:
    hp = kt.HyperParameters()
    hp.Fixed("kind", "works")
    tuner = computed(tmp_path, hyperparameters=hp)
    tuner.run_trial = lambda trial, *args, **kwargs: 1.0
    with pytest.warns(UserWarning, match=r"nothing to choose.*kind.*one trial.*Declare"):
        tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 1


def test_a_budget_smaller_than_a_batch_is_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"batch_size=5 .* max_trials=3: .* random search. Choose"):
        tuner = computed(tmp_path, max_trials=3)
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 3


def test_cubed_losses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reward='cubed'.*val_loss.*minimised.*Choose 'ranks'"):
        kt_plus.oracles.ReinforcementLearningOracle("val_loss", 10, reward="cubed")
