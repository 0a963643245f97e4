"""The searches as tuners, each with the constructor of its Keras Tuner namesake and more.

Besides the arguments listed with each, all of them take those of `kt_plus.Oracle`
(`stopping`, `stopped_trials`, `max_time`, `max_epochs_total`, `initial_configurations`,
`history`, `keep_checkpoints`) and those of `keras_tuner.Tuner` (`directory`, `project_name`,
`overwrite`, `executions_per_trial`, ...), by name.
"""

from __future__ import annotations

from typing import Any

from keras_tuner import SklearnTuner

from kt_plus import oracles
from kt_plus.engine.arguments import OPTIONS
from kt_plus.engine.tuner import Tuner
from kt_plus.search_strategies.screened_evolution import AUTO

__all__ = [
    "BayesianOptimization",
    "EvolutionarySearch",
    "GridSearch",
    "Hyperband",
    "OptunaSearch",
    "RandomSearch",
    "ReinforcementLearning",
    "SklearnTuner",
    "SuccessiveHalving",
    "Tuner",
]


def _options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Takes the oracle's options out of the arguments; the rest is the tuner's."""
    return {name: arguments.pop(name) for name in OPTIONS if name in arguments}


class EvolutionarySearch(Tuner):
    """Evolution whose children a Gaussian process screens, in place of `keras_tuner.RandomSearch`.

    When to use it: wherever random search would do, from ten trials on, in spaces of numbers,
    choices and conditions, and with any number of workers. From the fifth trial on, a model of all
    trials predicts the score of hundreds of children of the best ones, and the most promising child
    is tried. In spaces of architectures the model compares their hyperparameters, not the graphs.
    With `surrogate=None` it is regularized (ageing) evolution.

    Source: Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture
    Search", AAAI 2019 (arXiv:1802.01548), algorithm 1; the model: Rasmussen and Williams,
    "Gaussian Processes for Machine Learning", 2006.

    Args:
        hypermodel: A function from `HyperParameters` to a compiled Keras model, or a
            `keras_tuner.HyperModel`.
        objective: The name of a metric or loss of Keras, a `keras_tuner.Objective` for any
            other, or a list of them.
        max_trials: The number of trials at most.
        seed: The seed, 0 included, of proposals, weights and data order.
        hyperparameters: A `keras_tuner.HyperParameters` that overrides or holds the space.
        tune_new_entries: Whether hyperparameters not in it are searched.
        allow_new_entries: Whether the model may ask for hyperparameters not in it.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        surrogate: The model that screens children: `"gaussian_process"`, or `None` for regularized
            evolution without a model. By default it is a Gaussian process, except in a resumed
            project, which keeps the model that it began with.
        population_size: The number of completed trials that can be parents. Without a model it
            defaults to half of `max_trials`, from 10 to 100. With one, parents are the trials with
            the best posterior means, unless this, `tournament_size`, `crossover` or `removal` is
            given: then children descend from that population, and the model only screens them.
        tournament_size: The number of members that compete to be a parent. Defaults to a third of
            the population.
        random_trials: The number of trials that are drawn at random first. Defaults to a tenth of
            `max_trials`, from 5 to 10, and with a model to 4.
        crossover: The chance in [0, 1] that a child has two parents. Defaults to 0.8.
        removal: Which members leave the population, `"oldest"` (the default) or `"worst"`.
        prior: With a model, beliefs about good values, which guide the first trials and fade: a
            mapping from names to `kt_plus.Prior`.
        inherit_weights: Whether a child begins with the weights of its parent's best epoch, as
            far as they fit: `True`, or a `kt_plus.WeightInheritance`. Its score is then none
            from scratch; `retrain_best` trains the best ones so.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    tuner = kt_plus.EvolutionarySearch(
        build_model, objective="val_accuracy", max_trials=50,
        stopping=kt_plus.stopping.MedianRule(),
    )
    tuner.search(x, y, epochs=20, validation_split=0.2)
    best_model = tuner.get_best_models()[0]
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
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
        **kwargs: Any,
    ) -> None:
        oracle = oracles.EvolutionarySearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            surrogate=surrogate,
            population_size=population_size,
            tournament_size=tournament_size,
            random_trials=random_trials,
            crossover=crossover,
            removal=removal,
            prior=prior,
            inherit_weights=inherit_weights,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class ReinforcementLearning(Tuner):
    """A controller that learns where good configurations are: policy-gradient search.

    When to use it: where there is budget to learn, from some 50 trials on, above all when
    good values depend on each other. An LSTM chooses one hyperparameter after another,
    each choice knowing those before it, and is taught by the results, in whatever order
    any number of workers bring them.

    Source: Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR
    2017 (arXiv:1611.01578); PPO: Zoph et al., CVPR 2018 (arXiv:1707.07012).
    `kt_plus.search_strategies.reinforcement_learning` says where it deviates.

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`, like all that follow.
        objective: What to minimise or maximise.
        max_trials: The number of trials at most.
        seed: The seed of everything random.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        algorithm: `"ppo"`, which goes over the latest results several times, or
            `"reinforce"`, which learns from each once.
        controller: `"lstm"`, or `"independent"`: a softmax for each hyperparameter that
            knows nothing of the others.
        reward: What a score is worth: `"ranks"`, its place among all so far, `"scores"`, its
            standardised value, or `"cubed"`, that of its cube, for accuracies. A failed
            trial has the lowest reward seen.
        learning_rate: By how much a logit moves at most when the policy is updated. It
            follows `max_trials` by default.
        entropy: What the policy's entropy counts beside the reward. More explores longer.
        batch_size: How many results make an update: 5 by default for `"ppo"`, 1 for
            `"reinforce"`.
        units: The width of the LSTM.
        smoothness: How far, as a share of its range, a result moves the probabilities of a
            number's neighbours too; 0 for plain bins.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    tuner = kt_plus.ReinforcementLearning(build_model, "val_accuracy", max_trials=200)
    tuner.search(x, y, epochs=20, validation_split=0.2)
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
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
        **kwargs: Any,
    ) -> None:
        oracle = oracles.ReinforcementLearningOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            algorithm=algorithm,
            controller=controller,
            reward=reward,
            learning_rate=learning_rate,
            entropy=entropy,
            batch_size=batch_size,
            units=units,
            smoothness=smoothness,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class OptunaSearch(Tuner):
    """Optuna's samplers as a Keras Tuner search; TPE, a fast Bayesian search, by default.

    When to use it: from some 20 trials on, above all where most hyperparameters are
    continuous. It needs the extra `optuna`.

    Source: Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization
    Framework", KDD 2019 (arXiv:1907.10902); TPE: Bergstra, Bardenet, Bengio and Kegl,
    "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.
    `kt_plus.search_strategies.optuna_sampling` says where it deviates.

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`, like all that follow.
        objective: What to minimise or maximise.
        max_trials: The number of trials at most.
        seed: The seed of everything random.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        sampler: A class of samplers, or a function from a seed to a sampler, such as
            `functools.partial(optuna.samplers.NSGAIISampler, population_size=20)`. TPE by
            default. All samplers of Optuna resume exactly, except `GridSampler`, which is
            refused in favor of `kt_plus.GridSearch`. The project holds their system
            attributes; those of CMA-ES are pickled, so resume only projects that you trust. A
            sampler of your own must not keep state in its instance between two trials.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Raises:
        ImportError: If Optuna, or a package that the sampler needs, is not installed.
        TypeError: If `sampler` is neither a class nor a function.
        ValueError: If `sampler` makes a `GridSampler`.

    Example:

    ```python
    tuner = kt_plus.OptunaSearch(build_model, "val_accuracy", max_trials=100, stopping="auto")
    tuner.search(x, y, epochs=20, validation_split=0.2)
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        sampler: Any = None,
        **kwargs: Any,
    ) -> None:
        oracle = oracles.OptunaSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            sampler=sampler,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class RandomSearch(Tuner):
    """Random search that never repeats a configuration, with stopping, budgets and resume.

    When to use it: as the baseline of any comparison, or on very small budgets.

    Source: Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization",
    JMLR 13 (2012).

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`, like all that follow.
        objective: What to minimise or maximise.
        max_trials: The number of trials at most.
        seed: The seed of everything random.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Example:

    ```python
    tuner = kt_plus.RandomSearch(build_model, "val_loss", max_trials=20, max_time=3600)
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        oracle = oracles.RandomSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class GridSearch(Tuner):
    """Tries every configuration in order, the defaults first, and can be resumed.

    When to use it: on spaces of a few dozen configurations. A hyperparameter without a
    step is represented by its default and ten values spread evenly.

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`, like all that follow.
        objective: What to minimise or maximise.
        max_trials: The number of trials at most; `None` tries all configurations.
        seed: The seed of weights and data order.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Example:

    ```python
    tuner = kt_plus.GridSearch(build_model, "val_accuracy")
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        oracle = oracles.GridSearchOracle(
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class BayesianOptimization(Tuner):
    """Bayesian optimization with a Gaussian process over the whole space.

    When to use it: on a few continuous hyperparameters. The model is that of
    `kt_plus.EvolutionarySearch`, which searches around the best trials and is the better choice in
    large or conditional spaces.

    Source: Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box
    Functions", Journal of Global Optimization 13 (1998); with `beta`, Srinivas et al., "Gaussian
    Process Optimization in the Bandit Setting", ICML 2010 (arXiv:0912.3995).

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`.
        objective: What to minimise or maximise.
        max_trials: The number of trials at most.
        num_initial_points: The number of random trials before the model is used. Defaults to 4.
        alpha: The noise variance of a score, in units of the variance of all scores. By default it
            is learned from the scores.
        beta: Selects the confidence bound with this many standard deviations. By default the
            expected improvement decides.
        seed: The seed of everything random.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        prior: Beliefs about good values, which guide the first trials and fade: a mapping from
            names to `kt_plus.Prior`.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    tuner = kt_plus.BayesianOptimization(build_model, "val_loss", max_trials=40)
    tuner.search(x, y, epochs=20, validation_split=0.2)
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        prior: Any = None,
        **kwargs: Any,
    ) -> None:
        oracle = oracles.BayesianOptimizationOracle(
            objective=objective,
            max_trials=max_trials,
            num_initial_points=num_initial_points,
            alpha=alpha,
            beta=beta,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            prior=prior,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class Hyperband(Tuner):
    """Keras Tuner's Hyperband, whose brackets survive a crash.

    When to use it: when a few epochs already tell good configurations from bad ones.

    Source: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
    Optimization", JMLR 18 (2018).

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`.
        objective: What to minimise or maximise.
        max_epochs: The number of epochs to train one model at most; the `epochs` of `search` are
            not heeded.
        factor: By how much epochs grow, and trials shrink, from round to round.
        hyperband_iterations: How often to run all brackets.
        seed: The seed of everything random.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Example:

    ```python
    tuner = kt_plus.Hyperband(build_model, "val_accuracy", max_epochs=30)
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        oracle = oracles.HyperbandOracle(
            objective=objective,
            max_epochs=max_epochs,
            factor=factor,
            hyperband_iterations=hyperband_iterations,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)


class SuccessiveHalving(Tuner):
    """Many configurations cheaply, the better half of them further, until one is left.

    When to use it: where a few epochs, or a part of the data, already tell good
    configurations from bad ones, and above all where there are many configurations to try.
    With many workers choose `asynchronous=True`, which keeps all of them busy.

    A promoted trial goes on from where its parent ended, optimizer and all, if the ladder is one
    of epochs; with other fidelities it begins anew. Only trials of full fidelity compete for the
    best. `kt_plus.results.rank_agreement` tells whether the lower rungs were worth anything.

    Source: Jamieson and Talwalkar, AISTATS 2016 (arXiv:1502.07943); asynchronous (ASHA): Li et
    al., MLSys 2020 (arXiv:1810.05934). `kt_plus.search_strategies.successive_halving` says where
    it deviates.

    Args:
        hypermodel: As in `kt_plus.EvolutionarySearch`.
        objective: What to minimise or maximise.
        max_epochs: The number of epochs of a full training, 100 if nothing else tells.
        factor: One trial of so many is promoted, to so many times the epochs.
        configurations: How many configurations are tried; `None`, if `asynchronous`, until
            `max_epochs_total` or `max_time` is spent.
        iterations: How often that is done, each time with new configurations; `None` until
            the budget is spent.
        seed: The seed of everything random.
        hyperparameters: Overrides or holds the space.
        tune_new_entries: Whether new hyperparameters are searched.
        allow_new_entries: Whether the model may ask for new ones.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        min_epochs: The number of epochs of the first rung. By default as few as `max_epochs`
            leaves when the rungs go on until one configuration is left.
        ladder: What each rung trains at, instead of `min_epochs` and `max_epochs`: a
            `kt_plus.fidelity`, or a list of several with equally many levels. Without
            `Epochs` among them each trial trains for the `epochs` given to `search`.
        asynchronous: Whether a trial is promoted as soon as it is among the best of those
            that have ended in its rung.
        source: What proposes the configurations: "random", "evolution", "controller", or a
            strategy such as `evolution(100)`.
        **kwargs: The options of `kt_plus.Oracle`, and the arguments of `keras_tuner.Tuner`.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    tuner = kt_plus.SuccessiveHalving(  # 64 configurations for 1 epoch, 32 for 2, ..., 1 for 64
        build_model, "val_accuracy", max_epochs=64, configurations=64
    )
    tuner.search(x, y, validation_split=0.2)
    print(kt_plus.results.rank_agreement(tuner))
    ```
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int | None = None,
        factor: int = 2,
        configurations: int | None = 64,
        iterations: int | None = 1,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        min_epochs: int | None = None,
        ladder: Any = None,
        asynchronous: bool = False,
        source: Any = "random",
        **kwargs: Any,
    ) -> None:
        oracle = oracles.SuccessiveHalvingOracle(
            objective=objective,
            max_epochs=max_epochs,
            factor=factor,
            configurations=configurations,
            iterations=iterations,
            seed=seed,
            hyperparameters=hyperparameters,
            tune_new_entries=tune_new_entries,
            allow_new_entries=allow_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            min_epochs=min_epochs,
            ladder=ladder,
            asynchronous=asynchronous,
            source=source,
            **_options(kwargs),
        )
        super().__init__(oracle, hypermodel, **kwargs)
