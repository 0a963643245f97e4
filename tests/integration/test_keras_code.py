"""Code written for Keras Tuner, of which nothing changes but the name of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
import tensorflow as tf

import kt_plus
from tests.integration.small_networks import (
    FEW,
    SEARCHES,
    VALIDATION,
    X_VALIDATION,
    Y_VALIDATION,
    X,
    Y,
    accuracy,
    build_model,
    compiled,
    new,
    scores,
    statuses,
)
from tests.tiers import mostly_full

pytestmark = [
    pytest.mark.usefixtures("eager"),
    pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]
every_search = pytest.mark.parametrize("search", SEARCHES)
few_searches = pytest.mark.parametrize("search", mostly_full(SEARCHES, FEW[1:]))
some_searches = pytest.mark.parametrize("search", mostly_full(FEW, FEW[1:]))


@pytest.mark.versions
@every_search
def test_a_building_function(search: str, tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        layers: list[Any] = [keras.layers.Flatten()]
        for i in range(hp.Int("num_layers", 1, 2)):
            activation = hp.Choice("activation", ["relu", "tanh"])
            layers.append(keras.layers.Dense(hp.Int(f"units_{i}", 4, 16, 4), activation))
        if hp.Boolean("dropout"):
            layers.append(keras.layers.Dropout(rate=0.25))
        return compiled(layers, hp.Float("lr", 1e-3, 1e-1, sampling="log"))

    tuner = new(search, build, objective="val_accuracy", directory=tmp_path, project_name="dense")
    tuner.search(X, Y, epochs=2, validation_data=VALIDATION, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    assert len(tuner.oracle.trials) >= 3
    best = tuner.get_best_models(num_models=2)
    assert [accuracy(model) for model in best] == sorted(scores(tuner).values())[:-3:-1]
    hp = tuner.get_best_hyperparameters(5)[0]
    assert {"num_layers", "activation", "units_0", "dropout", "lr"} <= set(hp.values)
    everything = np.concatenate((X, X_VALIDATION)), np.concatenate((Y, Y_VALIDATION))
    history = build(hp).fit(*everything, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


class TunedFit(kt.HyperModel):
    """How the model is trained is searched as well."""

    batch_sizes: set[int]

    def build(self, hp: Any) -> Any:
        return build_model(hp)

    def fit(self, hp: Any, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
        if hp.Boolean("normalize"):
            x = keras.layers.Normalization()(x)
        batch_size = hp.Choice("batch_size", [16, 24, 48])
        self.batch_sizes.add(batch_size)
        shuffle = hp.Boolean("shuffle")
        return model.fit(x, y, batch_size=batch_size, shuffle=shuffle, **kwargs)


@few_searches
def test_a_hypermodel_with_its_own_fit(search: str, tmp_path: Path) -> None:
    hypermodel = TunedFit()
    hypermodel.batch_sizes = set()
    tuner = new(search, hypermodel, objective="val_accuracy", directory=tmp_path)
    tuner.search(X, Y, epochs=2, validation_data=VALIDATION, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    asked = [trial.hyperparameters.values["batch_size"] for trial in tuner.oracle.trials.values()]
    assert set(asked) == hypermodel.batch_sizes
    hp = tuner.get_best_hyperparameters()[0]
    assert {"normalize", "batch_size", "shuffle"} <= set(hp.values)
    model = hypermodel.build(hp)
    hypermodel.fit(hp, model, X, Y, epochs=1, verbose=0)
    assert accuracy(tuner.get_best_models()[0]) == max(scores(tuner).values())


class TrainingLoop(kt.HyperModel):
    """Gradients by hand; the callbacks are told of each epoch, and of a metric of its own."""

    def build(self, hp: Any) -> Any:
        units = hp.Int("units", 4, 16, step=4)
        return keras.Sequential([keras.layers.Dense(units, "relu"), keras.layers.Dense(2)])

    def fit(
        self, hp: Any, model: Any, x: Any, y: Any, validation_data: Any, callbacks: Any, **_: Any
    ) -> float:
        batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(hp.Choice("batch", [24, 48]))
        optimizer = keras.optimizers.SGD(hp.Float("lr", 1e-2, 1.0, sampling="log"))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for callback in callbacks:
            callback.set_model(model)
        best = float("inf")
        for epoch in range(3):
            for inputs, labels in batches:
                with tf.GradientTape() as tape:
                    value = loss(labels, model(inputs, training=True))
                gradients = tape.gradient(value, model.trainable_variables)
                optimizer.apply(gradients, model.trainable_variables)
            own_metric = float(loss(validation_data[1], model(validation_data[0])))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"own_metric": own_metric})
            best = min(best, own_metric)
        return best


@pytest.mark.versions
@few_searches
def test_a_training_loop_by_hand(search: str, tmp_path: Path) -> None:
    objective = kt.Objective("own_metric", "min")
    tuner = new(search, TrainingLoop(), objective=objective, directory=tmp_path)
    tuner.search(X, Y, validation_data=VALIDATION, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    model = tuner.get_best_models()[0]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(loss(Y_VALIDATION, model(X_VALIDATION))) == min(scores(tuner).values())
    if not search.startswith("kt."):
        for trial_id, score in scores(tuner).items():
            curve = [-value for value in tuner.oracle.history.get(trial_id).curve]
            assert len(curve) == 3
            assert min(curve) == score


@few_searches
def test_run_trial_of_ones_own_returning_metrics(search: str, tmp_path: Path) -> None:
    class Tuner(SEARCHES[search][0]):
        def run_trial(self, trial: Any, x: Any, y: Any, *, epochs: int) -> dict[str, float]:
            model = self.hypermodel.build(trial.hyperparameters)
            batch_size = trial.hyperparameters.Choice("batch_size", [24, 48])
            model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
            loss, accuracy = model.evaluate(*VALIDATION, verbose=0)
            return {"val_loss": loss, "utility": accuracy - 0.001 * model.count_params()}

    settings = SEARCHES[search][1]
    objective = kt.Objective("utility", "max")
    tuner = Tuner(build_model, objective=objective, directory=tmp_path, **settings)
    tuner.search(X, Y, epochs=1)
    assert statuses(tuner) == {"COMPLETED"}
    best = tuner.oracle.get_best_trials()[0]
    assert best.score == max(scores(tuner).values()) < 1.0
    assert best.metrics.get_best_value("val_loss") > 0.0
    assert "batch_size" in tuner.get_best_hyperparameters()[0].values


@some_searches
def test_run_trial_of_ones_own_around_that_of_keras_tuner(search: str, tmp_path: Path) -> None:
    class Tuner(SEARCHES[search][0]):
        """Its objective is known only after training."""

        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            histories = super().run_trial(trial, *args, **kwargs)
            return {"regret": 1.0 - max(histories[0].history["val_accuracy"])}

    settings = SEARCHES[search][1]
    objective = kt.Objective("regret", "min")
    tuner = Tuner(build_model, objective=objective, directory=tmp_path, **settings)
    tuner.search(X, Y, epochs=1, validation_data=VALIDATION, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    assert 0.0 <= min(scores(tuner).values()) <= 1.0
    assert 1.0 - accuracy(tuner.get_best_models()[0]) == min(scores(tuner).values())


@pytest.mark.parametrize("search", [name for name in SEARCHES if name != "kt_plus.Hyperband"])
def test_a_black_box(search: str, tmp_path: Path) -> None:
    class BlackBox(SEARCHES[search][0]):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            x = trial.hyperparameters.Float("x", min_value=-1.0, max_value=1.0)
            return x * x + 1.0

    tuner = BlackBox(overwrite=True, directory=tmp_path, project_name="box", **SEARCHES[search][1])
    tuner.search()
    best = tuner.get_best_hyperparameters()[0].get("x")
    assert best * best + 1.0 == min(scores(tuner).values())


@pytest.mark.versions
@some_searches
def test_several_objectives(search: str, tmp_path: Path) -> None:
    objective = [kt.Objective("val_loss", "min"), kt.Objective("val_accuracy", "max")]
    tuner = new(search, build_model, objective=objective, directory=tmp_path)
    tuner.search(X, Y, epochs=2, validation_data=VALIDATION, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    best = tuner.oracle.get_best_trials()[0]
    assert best.score == min(scores(tuner).values())
    loss, share = tuner.get_best_models()[0].evaluate(*VALIDATION, verbose=0)
    assert loss - share == pytest.approx(best.score, abs=1e-6)


@some_searches
def test_overridden_hyperparameters_and_compile_arguments(search: str, tmp_path: Path) -> None:
    hp = kt.HyperParameters()
    hp.Fixed("learning_rate", value=0.01)
    hp.Int("units", 3, 9)
    tuner = new(
        search,
        build_model,
        objective="val_mse",
        hyperparameters=hp,
        tune_new_entries=False,
        optimizer=keras.optimizers.Adam(0.02),
        loss="mse",
        metrics=["mse"],
        directory=tmp_path,
    )
    target = keras.utils.to_categorical(Y), keras.utils.to_categorical(Y_VALIDATION)
    tuner.search(X, target[0], epochs=1, validation_data=(X_VALIDATION, target[1]), verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    for trial in tuner.oracle.trials.values():
        assert trial.hyperparameters.get("learning_rate") == 0.01
        assert 3 <= trial.hyperparameters.get("units") <= 9
    assert tuner.get_best_models()[0].loss == "mse"


@some_searches
def test_trials_may_fail(search: str, tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        model = build_model(hp)
        model.build((None, 4))
        if model.count_params() > 60:
            raise kt.errors.FailedTrialError(f"{model.count_params()} parameters are too many")
        return model

    tuner = new(
        search,
        build,
        objective="val_loss",
        directory=tmp_path,
        max_retries_per_trial=1,
        max_consecutive_failed_trials=8,
    )
    tuner.search(X, Y, epochs=1, validation_data=VALIDATION, verbose=0)
    for trial in tuner.oracle.trials.values():
        parameters = 7 * trial.hyperparameters.get("units") + 2
        assert (trial.status == "FAILED") == (parameters > 60)
        assert trial.status == "COMPLETED" or "are too many" in trial.message
    assert tuner.get_best_hyperparameters()[0].get("units") <= 8


@pytest.mark.parametrize(
    "oracle",
    [
        lambda objective: kt.oracles.RandomSearchOracle(objective, 3),
        lambda objective: kt_plus.oracles.RandomSearchOracle(objective, 3),
        lambda objective: kt_plus.oracles.EvolutionarySearchOracle(objective, 8),
        lambda objective: kt_plus.oracles.GridSearchOracle(objective, 3),
        lambda objective: kt_plus.oracles.BayesianOptimizationOracle(objective, 6),
    ],
    ids=["kt.Random", "Random", "Evolution", "Grid", "Bayesian"],
)
def test_scikit_learn_models(oracle: Any, tmp_path: Path) -> None:
    from sklearn import ensemble, linear_model, metrics, model_selection

    def build(hp: Any) -> Any:
        if hp.Choice("model_type", ["forest", "ridge"]) == "forest":
            with hp.conditional_scope("model_type", "forest"):
                trees = hp.Int("n_estimators", 2, 6, step=2)
            return ensemble.RandomForestClassifier(trees, max_depth=3, random_state=0)
        with hp.conditional_scope("model_type", "ridge"):
            return linear_model.RidgeClassifier(alpha=hp.Float("alpha", 1e-3, 1, sampling="log"))

    tuner = kt.tuners.SklearnTuner(
        oracle=oracle(kt.Objective("score", "max")),
        hypermodel=build,
        scoring=metrics.make_scorer(metrics.accuracy_score),
        cv=model_selection.StratifiedKFold(3),
        directory=tmp_path,
        project_name="sklearn",
    )
    tuner.search(X, Y)
    assert statuses(tuner) == {"COMPLETED"}
    assert len(tuner.oracle.trials) == tuner.oracle.max_trials
    assert tuner.oracle.get_best_trials()[0].score == max(scores(tuner).values())
    assert 0.5 < tuner.get_best_models()[0].score(X, Y) <= 1.0


@pytest.mark.parametrize(
    "search",
    mostly_full(
        [name for name in SEARCHES if name != "kt_plus.Hyperband"],
        ("kt_plus.EvolutionarySearch", "kt_plus.BayesianOptimization"),
    ),
)
def test_oracles_in_a_plain_tuner(search: str, tmp_path: Path) -> None:
    package, name = search.split(".")
    oracles = kt.oracles if package == "kt" else kt_plus.oracles
    oracle = getattr(oracles, f"{name}Oracle")("val_accuracy", **SEARCHES[search][1])
    tuner = kt.Tuner(oracle=oracle, hypermodel=build_model, directory=tmp_path, project_name="p")
    tuner.search(X, Y, epochs=2, validation_data=VALIDATION, verbose=0)
    assert statuses(tuner) == {"COMPLETED"}
    assert len(scores(tuner)) == oracle.max_trials
    assert accuracy(tuner.get_best_models()[0]) == max(scores(tuner).values())
