"""The searches as oracles, for `kt_plus.Tuner` and for any tuner of Keras Tuner's."""

from __future__ import annotations

from typing import Any

from kt_plus.engine.hyperband import HyperbandOracle
from kt_plus.engine.oracle import Oracle
from kt_plus.performance_estimation.fidelity import Ladder
from kt_plus.performance_estimation.fidelity.epochs import halving_epochs
from kt_plus.search_strategies.bayesian_optimization import bayesian_optimization
from kt_plus.search_strategies.exhaustive import Grid, RandomSampling
from kt_plus.search_strategies.optuna_sampling import optuna_sampling
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
from kt_plus.search_strategies.screened_evolution import AUTO, evolutionary_search
from kt_plus.search_strategies.successive_halving import successive_halving

__all__ = [
    "BayesianOptimizationOracle",
    "EvolutionarySearchOracle",
    "GridSearchOracle",
    "HyperbandOracle",
    "OptunaSearchOracle",
    "Oracle",
    "RandomSearchOracle",
    "ReinforcementLearningOracle",
    "SuccessiveHalvingOracle",
]


class RandomSearchOracle(Oracle):
    """Random search. See `kt_plus.RandomSearch` for its arguments."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **options: Any,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=RandomSampling(),
            **options,
        )


class GridSearchOracle(Oracle):
    """Grid search. See `kt_plus.GridSearch` for its arguments."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **options: Any,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=Grid(),
            **options,
        )


class EvolutionarySearchOracle(Oracle):
    """Evolutionary search. See `kt_plus.EvolutionarySearch` for its arguments."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        surrogate: str | None = AUTO,
        population_size: int | None = None,
        tournament_size: int | None = None,
        random_trials: int | None = None,
        crossover: float | None = None,
        removal: str | None = None,
        prior: Any = None,
        inherit_weights: Any = False,
        **options: Any,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=evolutionary_search(
                max_trials,
                surrogate=surrogate,
                population_size=population_size,
                tournament_size=tournament_size,
                random_trials=random_trials,
                crossover=crossover,
                removal=removal,
                prior=prior,
            ),
            inherit_weights=inherit_weights,
            **options,
        )


class BayesianOptimizationOracle(Oracle):
    """Bayesian optimization. See `kt_plus.BayesianOptimization` for its arguments."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        prior: Any = None,
        **options: Any,
    ) -> None:
        self.num_initial_points, self.alpha, self.beta = num_initial_points, alpha, beta
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=bayesian_optimization(num_initial_points, alpha, beta, prior),
            **options,
        )

    def get_state(self) -> dict[str, Any]:
        """Adds what Keras Tuner's oracle reads when it opens the project, its defaults included."""
        given = {"num_initial_points": self.num_initial_points, "alpha": self.alpha or 1e-4}
        return {**super().get_state(), **given, "beta": self.beta or 2.6}


class ReinforcementLearningOracle(Oracle):
    """Reinforcement learning. See `kt_plus.ReinforcementLearning` for its arguments."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        algorithm: str = "ppo",
        controller: str = "lstm",
        reward: str = "ranks",
        learning_rate: float | None = None,
        entropy: float = 0.1,
        batch_size: int | None = None,
        units: int = 32,
        smoothness: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=reinforcement_learning(
                max_trials,
                algorithm=algorithm,
                controller=controller,
                reward=reward,
                learning_rate=learning_rate,
                entropy=entropy,
                batch_size=batch_size,
                units=units,
                smoothness=smoothness,
            ),
            **options,
        )
        if reward == "cubed" and self.objective.direction == "min":
            raise ValueError(
                f"reward='cubed' was given, and the objective {self.objective.name!r} is "
                "minimised. Expected an accuracy, or another score from 0 on that is maximised: "
                "of losses the cube tells the worst apart. Choose 'ranks' for this objective."
            )


class SuccessiveHalvingOracle(Oracle):
    """Successive halving. See `kt_plus.SuccessiveHalving` for its arguments.

    It needs a `kt_plus.Tuner`: Keras Tuner's own would train each trial in full.
    """

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int | None = None,
        factor: int = 2,
        configurations: int | None = 64,
        iterations: int | None = 1,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        min_epochs: int | None = None,
        ladder: Any = None,
        asynchronous: bool = False,
        source: Any = "random",
        **options: Any,
    ) -> None:
        if ladder is not None and (min_epochs, max_epochs) != (None, None):
            raise ValueError(
                "ladder was given together with min_epochs or max_epochs. Expected either: put "
                "kt_plus.fidelity.Epochs into the ladder instead."
            )
        arguments = {
            "configurations": configurations,
            "factor": factor,
            "asynchronous": asynchronous,
            "source": source,
            "iterations": iterations,
        }
        successive_halving(1, **arguments)  # raises if one of them is impossible
        if ladder is None:
            ladder = halving_epochs(configurations, factor, min_epochs, max_epochs)
        ladder = Ladder.of(ladder)
        strategy = successive_halving(len(ladder), **arguments)
        max_trials = None
        if configurations is not None and iterations is not None and not asynchronous:
            max_trials = iterations * sum(strategy.sizes(configurations))
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=strategy,
            ladder=ladder,
            **options,
        )


class OptunaSearchOracle(Oracle):
    """A sampler of Optuna's. See `kt_plus.OptunaSearch` for its arguments."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        sampler: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            strategy=optuna_sampling(sampler),
            **options,
        )
