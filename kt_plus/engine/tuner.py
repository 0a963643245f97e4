"""The one seam to `keras_tuner.Tuner`: build, fit, report every epoch, obey."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.engine.tuner import maybe_distribute

from kt_plus.engine import best_trials, fitting, project, retraining, rungs, storage
from kt_plus.engine import logs as keras_logs
from kt_plus.engine.arguments import check_directory, check_folds, check_interval, check_names
from kt_plus.engine.checkpoint_callbacks import BestEpoch, Checkpointing, EpochSeeds
from kt_plus.engine.checkpoints import Checkpoints, build, size_of
from kt_plus.engine.exploration import (
    asked_values,
    explore,
    explore_configuration,
    warn_of_changes,
)
from kt_plus.engine.hparams import HParams
from kt_plus.engine.inheritance import INHERIT, INHERITED, Inheritance, told
from kt_plus.engine.ledger import CURVE, EXECUTION, HORIZON, RESERVED, RUNS, without_reserved
from kt_plus.engine.objectives import check_model
from kt_plus.engine.oracle import Oracle
from kt_plus.engine.ownership import FILES, Ownership
from kt_plus.engine.seeds import training_seed
from kt_plus.engine.workers import role
from kt_plus.performance_estimation.folds import Folds
from kt_plus.search_strategies.beliefs import check_values

LONGEST_PAUSE = 2.0
"""Seconds between two questions of an idle worker, at most."""


class Tuner(keras_tuner.Tuner):
    """A `keras_tuner.Tuner` that reports every epoch, and stops a trial when told to.

    When to use it: with an oracle of your own; the named searches, such as
    `kt_plus.EvolutionarySearch`, are this with an oracle each. Everything that a
    `keras_tuner.Tuner` can do works as it does there: a function or a `HyperModel`
    with its own `fit`, `run_trial` in a subclass, several executions per trial,
    distribution strategies, workers told by environment variables.

    Args:
        oracle: The search, a `kt_plus.Oracle` or any `keras_tuner.Oracle`.
        hypermodel: A function from `HyperParameters` to a compiled model, or a
            `keras_tuner.HyperModel`.
        checkpoint_interval: Seconds of training after which the state of a running trial is
            saved, at the end of an epoch: weights, optimizer, and what EarlyStopping,
            ReduceLROnPlateau and ModelCheckpoint have counted. A trial whose process dies
            then goes on from there. Saving takes a fiftieth of the time at most; with 0 it is
            done after every epoch. `None` saves nothing.
        folds: Cross-validation: each trial is trained and judged once for each fold, and its
            score is the mean. The number of folds, stratified where the targets are classes,
            or a splitter of scikit-learn's. The best model is that of its best fold.
        **kwargs: Whatever `keras_tuner.Tuner` takes: `directory`, `project_name`,
            `overwrite`, `executions_per_trial`, `max_model_size`, `tuner_id`, ...

    Raises:
        BuildError: If the model cannot be built with its default hyperparameters.
        ResumeError: If the project directory holds another search.
        ProjectInUseError: If `overwrite=True`, and another process searches in the project.

    Example:

    ```python
    oracle = kt_plus.oracles.EvolutionarySearchOracle("val_accuracy", max_trials=30)
    tuner = kt_plus.Tuner(oracle, build_model, directory="searches", project_name="digits")
    tuner.search(x, y, epochs=20, validation_split=0.2)
    best = tuner.get_best_models()[0]
    ```
    """

    _overwrites = True  # False while a parallel search makes tuners of its own project

    def __init__(
        self,
        oracle: Any,
        hypermodel: Any = None,
        *,
        checkpoint_interval: float | None = 30.0,
        folds: Any = None,
        **kwargs: Any,
    ) -> None:
        check_interval(checkpoint_interval)
        self.folds = None if folds is None else Folds(folds, getattr(oracle, "seed", 0))
        self.ladder = getattr(oracle, "ladder", None)
        inheritance = getattr(oracle, "inheritance", None)
        self._inheritance = Inheritance(self, inheritance) if inheritance else None
        check_folds(self.folds, inheritance)
        self.checkpoint_interval = checkpoint_interval
        self._checkpoints: Checkpoints | None = None
        self._seed: int | None = getattr(oracle, "seed", None)
        self._trial_id = self._first_trial_id = ""
        self._execution = 0
        self._results: Any = None
        self._images: Any = None  # of the running trial, if they were made smaller
        self._fitting: Any = None  # the callback of the running fit, which knows its epochs
        self._stopped = False
        self._idle_pause = 0.0
        self._searched_with: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._validation_freq = 1
        self._objective_seen = False
        # Asked once, since a worker's `self.oracle` becomes a client of the chief.
        self._oracle_is_ours = isinstance(oracle, Oracle)
        check_names(type(self), kwargs)
        check_directory(str(kwargs.get("directory") or "."))
        storage.make_folder(str(kwargs.get("directory") or "."))
        self._own(oracle, kwargs)
        if self._oracle_is_ours:
            oracle.learn_hooks(hypermodel)
        given = oracle.get_space() if isinstance(oracle, keras_tuner.Oracle) else None
        super().__init__(oracle, hypermodel, **kwargs)
        if self.hypermodel is not None and oracle.trials and not self._is_worker():
            warn_of_changes(self.hypermodel, oracle, given)
        if self.folds is not None:
            self.executions_per_trial *= len(self.folds)
        if self._is_worker():
            from kt_plus.engine.client import Client

            self.oracle = Client(self.oracle)
        self._check_initial_configurations(oracle)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.oracle!r}, project={self.project_dir!r})"

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs trials until the budget is spent, or no untried configuration is left.

        An end before `max_trials` warns with the number of configurations that were tried. For a
        complete grid, and without `max_trials`, it is a line of the display.

        Only one search runs in a project at a time, and only in one process. Results can be read
        meanwhile, by another tuner too.

        Args:
            *fit_args: Passed on to the model's `fit`, or to `run_trial`.
            **fit_kwargs: Passed on likewise. `verbose` shows nothing with 0, one bar
                for the whole search with 1 (the default), Keras Tuner's tables with 2.

        Raises:
            ProjectInUseError: If another process searches in the project, or if a newer tuner
                of this process has taken it over.
        """
        self._searched_with = fit_args, fit_kwargs
        if self.folds is not None or self.ladder is not None:
            named = fitting.named(self.hypermodel, fit_args, fit_kwargs)
            fitting.check(named, self.ladder, self.folds)
        with self.oracle.watched() if self._is_worker() else self.owned():
            if not self._is_worker():
                self.save()  # so that a search killed in its first trial can be resumed
            if role() == "chief" and isinstance(self.oracle, Oracle):
                self._lead(fit_kwargs.get("verbose", 1))
            else:
                self._run_trials(fit_args, fit_kwargs)
        self._warn_of_misranking()

    def owned(self) -> contextlib.AbstractContextManager[None]:
        """Keeps other processes from writing to the project within the context.

        When to use it: around a search and work that follows it, so that no other search comes
        between. A `search` or `retrain_best` alone does it itself. Does nothing in a worker, whose
        chief owns the project.

        Raises:
            ProjectInUseError: As in `search`.
        """
        if self._is_worker():
            return contextlib.nullcontext()
        return self._ownership.held(lambda: project.read_again(self.oracle))

    def _run_trials(self, fit_args: tuple[Any, ...], fit_kwargs: dict[str, Any]) -> None:
        try:
            super().search(*fit_args, **fit_kwargs)
        finally:
            if isinstance(self.oracle, Oracle):
                self.oracle.pause()

    def pre_create_trial(self) -> None:
        """Lets an idle worker wait a little longer each time it asks in vain."""
        self._check_owned()
        if self._idle_pause:
            time.sleep(self._idle_pause)
        self._idle_pause = min(2 * self._idle_pause or 0.05, LONGEST_PAUSE)

    def on_trial_begin(self, trial: Any) -> None:
        """Makes ready for another trial."""
        super().on_trial_begin(trial)
        self._trial_id, self._execution, self._stopped = trial.trial_id, 0, False
        values = trial.hyperparameters.values
        self._first_trial_id = values.get(rungs.FIRST, trial.trial_id)
        self._idle_pause, self._checkpoints = 0.0, None
        self._set_seed()

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Builds the model of a trial and trains it, as often as `executions_per_trial` says.

        A trial may say in reserved values from which epoch to which it trains.
        """
        values = trial.hyperparameters.values
        for directive, argument in (("epochs", "epochs"), ("initial_epoch", "initial_epoch")):
            if RESERVED + directive in values:
                kwargs[argument] = int(values[RESERVED + directive])
        if not getattr(self.oracle, "multi_worker", False):
            self._checkpoints = self._checkpoints_of(trial)
        if rungs.PARENT in values:
            del kwargs["initial_epoch"]  # its checkpoint tells, if it is there
        folder = self.get_trial_dir(trial.trial_id)
        with storage.telling_of_full_disk(folder):
            results = super().run_trial(trial, *args, **kwargs)
            if INHERIT in values:
                trial.hyperparameters.values[INHERITED] = told(folder)
            if isinstance(results, list) and len(results) > 1 and self._oracle_is_ours:
                results = results[: max(self._execution, 1)]  # until it was stopped
                told_runs = fitting.runs_told(results, self.oracle.objective)
                trial.hyperparameters.values[RUNS] = told_runs
            return results

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        """Reports the objective, and ends the training if the oracle says so."""
        super().on_epoch_end(trial, model, epoch, logs=logs)
        self._check_owned()
        storage.check_room(self.get_trial_dir(trial.trial_id), size_of(model))
        objective = self.oracle.objective
        if not logs or not objective.has_value(logs):
            self._check_metrics(epoch, logs or {})
            return
        if not self._objective_seen:
            check_model(objective, model)
        self._objective_seen = True
        value = keras_logs.objective_value(objective, logs)
        if not self._oracle_is_ours:
            return
        metrics = {CURVE + objective.name: value}
        metrics[EXECUTION] = float(max(self._execution - 1, 0))
        epochs = (getattr(self._fitting, "params", None) or {}).get("epochs")
        if epochs:
            metrics[HORIZON] = float(epochs)
        answer = self.oracle.update_trial(trial.trial_id, metrics, step=epoch)
        if getattr(answer, "status", answer) == TrialStatus.STOPPED:
            self._stopped = model.stop_training = True

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[Any]:
        """The hyperparameters of the best trials, without the engine's reserved values.

        Raises:
            RuntimeError: If no trial has completed.
        """
        best = []
        for trial in self._best_trials(num_trials):
            hyperparameters = trial.hyperparameters.copy()
            hyperparameters.values = without_reserved(hyperparameters.values)
            best.append(hyperparameters)
        return best

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """The models of the best trials, with the weights of their best epochs.

        Only the best trials have kept their weights: `keep_checkpoints` says how many.

        Raises:
            RuntimeError: If no trial has completed, or if that of a trial was removed.
        """
        trials = self._best_trials(num_models)
        if type(self).load_model is Tuner.load_model:
            files = [self._get_checkpoint_fname(trial.trial_id) for trial in trials]
            best_trials.check_kept(trials, files)
        return [self.load_model(trial) for trial in trials]

    def load_model(self, trial: Any) -> Any:
        """The model of a trial, with the weights of its best epoch.

        Raises:
            ValueError: If the weights do not fit the model that is built now.
        """
        model = self._try_build(trial.hyperparameters)
        try:
            self._load_best(model, trial.trial_id)
        except ValueError as error:
            raise ValueError(
                f"The model of trial {trial.trial_id} could not be made again from the project "
                f"{self.project_dir}. Expected the function that has built it in the search: has "
                f"it changed since? Keras says: {error}"
            ) from error
        return model

    def retrain_best(
        self, num_trials: int = 3, *fit_args: Any, **fit_kwargs: Any
    ) -> retraining.Retraining:
        """Trains the best trials again: from scratch, in full, and to the end.

        When to use it: after a search whose trials inherited weights, or were stopped early. In
        such a search a score tells who is worth it, and not what that network is worth alone.

        It keeps what it does in `retrained/` of the project, and shows it in `results_summary`
        and the data frame of the results. If it is killed, the same call goes on from the
        last checkpoint.

        Args:
            num_trials: How many of the best.
            *fit_args: What to train with, as in `search`. What the last `search` of this process
                was given, if nothing is given.
            **fit_kwargs: The same by name. Those trained for another number of `epochs` are
                trained again.

        Returns:
            Both scores of each, the best from scratch first; `best_model()` is that one's model.

        Raises:
            RuntimeError: If no trial has completed, or if this is one of several processes.
            ProjectInUseError: As in `search`.
            ValueError: If there are no data.

        Example:

        ```python
        print(tuner.retrain_best(3))
        model = tuner.retrain_best(3).best_model()  # nothing is trained twice
        ```
        """
        given = (fit_args, fit_kwargs) if fit_args or fit_kwargs else self._searched_with
        retraining.check(num_trials, given)
        args, kwargs = given or ((), {})
        with self.owned():
            trials = self._best_trials(num_trials)
            if not trials:
                raise RuntimeError(
                    f"There are no trials in {self.project_dir}. Run `search` first."
                )
            return retraining.retrain(self, trials, args, kwargs)

    def results_summary(self, num_trials: int = 10) -> None:
        """Prints the best trials, and why those that were stopped early were.

        Args:
            num_trials: How many to print at most.
        """
        best_trials.show(self.oracle, self.project_dir, num_trials)

    def save(self) -> None:
        """Saves the search; each trial has been saved as it went."""
        with self.owned():
            if not self._is_worker():
                self.oracle.save()
            storage.write_json(self._get_tuner_fname(), self.get_state())

    def _own(self, oracle: Any, arguments: dict[str, Any]) -> None:
        """Notes who owns the project before it is read, and deletes it if that is asked for.

        Here and not in Keras Tuner's constructor, which would delete a running search, and the
        lock with it.
        """
        directory = str(arguments.get("directory") or ".")
        name = arguments.get("project_name") or "untitled_project"
        folder = os.path.join(directory, name)
        if self._oracle_is_ours:
            oracle._set_project_dir(directory, name)
            self._ownership = oracle.ownership
        else:
            self._ownership = Ownership(folder)
        # The chief has overwritten the project, and may be running.
        if arguments.pop("overwrite", False) and self._overwrites and not self._is_worker():
            with self._ownership.held():
                storage.empty_folder(folder, keep=FILES)

    def _check_owned(self) -> None:
        """Raises if another search has taken over. An oracle of kt_plus asks this itself."""
        if not self._oracle_is_ours and not self._is_worker():
            self._ownership.claim()

    def _lead(self, verbose: Any) -> None:
        """Serves the search to the workers that Keras Tuner's environment variables lead here."""
        from kt_plus.engine.service import Service

        self.oracle.verbose = verbose
        address = os.environ["KERASTUNER_ORACLE_IP"]
        Service(self.oracle, address, int(os.environ["KERASTUNER_ORACLE_PORT"])).wait()

    def _best_trials(self, number: int) -> list[Any]:
        trials = self.oracle.get_best_trials(number)
        best_trials.warn_of_low_fidelity(self.oracle, trials)
        return best_trials.completed(trials, self.project_dir)

    def _warn_of_misranking(self) -> None:
        if self.ladder is not None and isinstance(self.oracle, Oracle):
            best_trials.warn_of_misranking(self.oracle, self.ladder)

    def _check_initial_configurations(self, oracle: Any) -> None:
        if self.hypermodel is not None and not self._is_worker() and not oracle.trials:
            for values in getattr(oracle, "initial_configurations", ()):
                explore_configuration(self.hypermodel, oracle, values)
            if beliefs := getattr(getattr(oracle, "strategy", None), "beliefs", None):
                check_values(beliefs, oracle.space)

    def _check_metrics(self, epoch: int, logs: dict[str, Any]) -> None:
        """Ends the search at its first epoch if no epoch will ever have the objective."""
        if self._objective_seen:
            return  # this epoch was not validated
        scored_later = not self._keras_fit or _is_users(type(self).run_trial)
        if scored_later or not logs or epoch + 1 < self._validation_freq:
            return
        raise fitting.missing(self.oracle.objective, logs)

    @property
    def _keras_fit(self) -> bool:
        """Whether training is Keras's own `fit` rather than one of the user's."""
        return getattr(type(self.hypermodel), "fit", None) is keras_tuner.HyperModel.fit

    def _set_seed(self) -> None:
        if self._seed is not None:
            execution = max(self._execution - 1, 0)
            seed = training_seed(self._seed, self._first_trial_id, execution)
            keras.utils.set_random_seed(seed)

    def _quiet(self, fit_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Leaves the screen to the search's own bar, unless a `fit` of the user's decides."""
        if self._keras_fit and fit_kwargs.get("verbose", 1) in (1, "auto"):
            return {**fit_kwargs, "verbose": 0}
        return fit_kwargs

    # Overridden because Keras Tuner's starts over if `tuner_id` differs from the last time's.
    def _populate_initial_space(self) -> None:
        if not self._is_worker() and storage.exists(os.path.join(self.project_dir, "oracle.json")):
            self.oracle.reload()
        else:
            super()._populate_initial_space()

    # Overridden because Keras Tuner's builds the model some N * N / 2 times for N branches.
    def _activate_all_conditions(self) -> None:
        explore(self.hypermodel, self.oracle)

    # Overridden to seed after `clear_session`, and to go on from another trial's weights.
    def _build_hypermodel(self, hp: Any) -> Any:
        if self._execution:
            self._set_seed()
        model = super()._build_hypermodel(hp)
        source = hp.values.get(RESERVED + "trial_id")
        if source is not None:
            self._load_best(model, source)
        if self._inheritance is not None:
            with maybe_distribute(self.distribution_strategy):
                self._inheritance.apply(model)
        share = float(hp.values.get(RESERVED + "resolution", 1.0))
        if share < 1 and self._images is not None:
            fitting.check_sizes(model, self._images, share)
        return model

    def _load_best(self, model: Any, trial_id: str) -> None:
        """Gives a model the weights of a trial's best epoch, spread as the strategy says.

        Keras Tuner's builds it outside of the strategy, under which it then cannot be used.
        """
        with maybe_distribute(self.distribution_strategy), warnings.catch_warnings():
            # Keras has weights to load, and misses those of the optimizer.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            build(model, storage.read_json(self._get_build_config_fname(trial_id)))
            model.load_weights(self._get_checkpoint_fname(trial_id))

    # Overridden because Keras Tuner prints the traceback of a failed trial behind the bar.
    def _run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super()._run_and_update_trial(trial, *args, **kwargs)
        except Exception:
            if isinstance(self.oracle, Oracle):
                self.oracle.clear_bar()
            raise

    # Overridden because Keras Tuner's takes lists only, and does not say which of the callbacks
    # cannot be copied, and why.
    def _deepcopy_callbacks(self, callbacks: Any) -> list[Any]:
        return fitting.copies(callbacks, super()._deepcopy_callbacks)

    # Overridden because Keras Tuner's fails where one name stands under several conditions, and
    # writes all trials into one folder unless Keras runs on TensorFlow.
    def _configure_tensorboard_dir(
        self, callbacks: list[Any], trial: Any, execution: int = 0
    ) -> None:
        for callback in [c for c in callbacks if type(c).__name__ == "TensorBoard"]:
            folder = self._get_tensorboard_dir(callback.log_dir, trial.trial_id, execution)
            callback.log_dir = folder
            callbacks.append(HParams(folder, trial))

    # Overridden for what must happen around every execution of a trial.
    def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        if self._stopped and self._execution:
            return self._results  # a hopeless configuration is not executed again
        execution, checkpoints = self._execution, self._checkpoints
        if checkpoints is not None and execution < checkpoints.execution:
            self._execution += 1
            self._stopped = bool(checkpoints.meta.get("stopped"))
            self._results = checkpoints.results[execution]
            return self._results
        callbacks = kwargs["callbacks"] = self._with_checkpoints(kwargs.get("callbacks") or [])
        self._fitting = next((c for c in callbacks if type(c).__name__ == "TunerCallback"), None)
        freq = kwargs.get("validation_freq", 1)
        self._validation_freq = freq if isinstance(freq, int) else max(freq)
        if checkpoints is not None:
            checkpoints.begin_execution()
        args, kwargs = self._with_data(trial, args, kwargs)
        self._execution += 1
        inherits: Any = contextlib.nullcontext()
        if self._inheritance is not None and (checkpoints is None or checkpoints.epoch is None):
            inherits = self._inheritance.by(trial)  # one that goes on has weights of its own
        # A subclass of the user's may ask for values elsewhere than in building the model.
        asked = asked_values(trial, all_known=self._oracle_is_ours and not _is_users(type(self)))
        with inherits, asked as copied:
            self._results = super()._build_and_fit_model(copied, *args, **self._quiet(kwargs))
        if isinstance(self._results, keras.callbacks.History):
            keras_logs.settle(self._results, self.oracle.objective)
            if freq != 1:
                fitting.repeat_unvalidated(self._results, freq)
        if checkpoints is not None and self._execution < self.executions_per_trial:
            checkpoints.end_execution(self._results, self._stopped)
        return self._results

    def _with_data(
        self, trial: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the data of the trial's rung, and of the fold that is next."""
        rung = int(trial.hyperparameters.values.get(rungs.RUNG, 0))
        ladder = self.ladder
        if self.folds is None and (ladder is None or rung == len(ladder) - 1):
            return args, kwargs
        named = fitting.named(self.hypermodel, args, kwargs)
        named = fitting.data_for(named, ladder, rung, self.folds, self._execution)
        self._images = named.get("x")
        return (), named

    def _checkpoints_of(self, trial: Any) -> Checkpoints:
        folder = project.resume_folder(self.get_trial_dir(trial.trial_id))
        best = BestEpoch(self.oracle.objective, self._get_checkpoint_fname(trial.trial_id))
        begins, ends = rungs.states(trial, self.ladder, self.get_trial_dir)
        values = trial.hyperparameters.values
        return Checkpoints(folder, self.checkpoint_interval, values, best, begins, ends)

    def _with_checkpoints(self, callbacks: list[Any]) -> list[Any]:
        """The callbacks of a fit, with our own for Keras Tuner's that keeps the best weights."""
        checkpoints = self._checkpoints
        if checkpoints is None:
            return callbacks
        ours = [checkpoints.best if type(c).__name__ == "SaveBestEpoch" else c for c in callbacks]
        if self._seed is not None:
            ours.insert(0, EpochSeeds(self._seed, self._first_trial_id, self._execution))
        return [*ours, Checkpointing(checkpoints, callbacks)]


def _is_users(thing: Any) -> bool:
    """Whether a class or function was defined outside kt_plus."""
    return thing.__module__.partition(".")[0] != "kt_plus"
