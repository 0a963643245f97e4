"""The one stateful seam to `keras_tuner.Oracle`: trials in, proposals and verdicts out."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import keras_tuner
from keras_tuner.engine import trial as kt_trial

from kt_plus.engine import (
    best_trials,
    exhaustion,
    inheritance,
    logs,
    objectives,
    outcome,
    project,
    rungs,
    storage,
)
from kt_plus.engine.arguments import check_whole
from kt_plus.engine.budget import Budget
from kt_plus.engine.history import WAIT, History, Proposal, Record, Signal, Value
from kt_plus.engine.judge import Judge
from kt_plus.engine.knowledge import Knowledge
from kt_plus.engine.ledger import (
    CURVE,
    EXECUTION,
    HORIZON,
    Note,
    plain,
    record_of,
    without_reserved,
)
from kt_plus.engine.ownership import Ownership
from kt_plus.engine.progress import Progress
from kt_plus.engine.retention import DEFAULT, Retention
from kt_plus.engine.seeds import proposal_rng, search_seed
from kt_plus.engine.space import Hooks, Space
from kt_plus.performance_estimation.fidelity import Ladder
from kt_plus.performance_estimation.inheritance.options import inheritance_of
from kt_plus.performance_estimation.stopping import Stopper, stopper_of
from kt_plus.performance_estimation.stopping.base import is_dry
from kt_plus.search_strategies.base import Strategy, draw_untried
from kt_plus.search_strategies.surrogate import posterior_means

Status = kt_trial.TrialStatus


class Oracle(keras_tuner.Oracle):
    """A search: the strategy that proposes trials, and the rule that stops them early.

    When to use it: with a strategy of your own, in `kt_plus.Tuner` or in any tuner
    of Keras Tuner's. The named searches, such as `kt_plus.EvolutionarySearch`, have
    one each.

    Args:
        objective: The name of a metric or loss of Keras, whose direction is known; a
            `keras_tuner.Objective` for any other; or a list of them to be summed.
        max_trials: The number of trials to run at most; `None` for no limit.
        hyperparameters: A `keras_tuner.HyperParameters` that overrides hyperparameters of
            the model, or holds the whole space.
        allow_new_entries: Whether the model may ask for hyperparameters not in it.
        tune_new_entries: Whether those are searched too.
        seed: The seed, 0 included, of proposals, weights and data order.
        max_retries_per_trial: How often a trial that raised is run again.
        max_consecutive_failed_trials: After so many failures in a row the search ends.
        strategy: What proposes the trials.
        ladder: What each rung trains at, for a strategy that proposes rungs: a
            `kt_plus.fidelity`, or a list of several. Only trials of the last rung, which is the
            full fidelity, can be the best.
        inherit_weights: Whether a trial begins with the weights of the trial that it was derived
            from, for a strategy that tells it: `True`, or a `kt_plus.WeightInheritance`.
        stopping: What ends hopeless trials early: a `kt_plus.stopping` rule, or "auto" for
            the default one.
        stopped_trials: What the strategy learns from a trial that was stopped: "observed",
            the best value seen; "predicted", the best value that the rule expected, if it
            forecasts; "excluded", nothing, except not to try it again. The best trial is
            told by observations, whatever is chosen.
        max_time: Seconds, or a timedelta, that the search may run. The running trial ends
            at its next epoch.
        max_epochs_total: The number of epochs that all trials together may train.
        initial_configurations: Values to try first, each a mapping from names to
            values; what it leaves out has its default. `"default"` tries the defaults first.
        history: Directory of an earlier project (or several), whose completed trials
            the strategy learns from. They count towards no budget.
        keep_checkpoints: How many of the best trials keep their checkpoints, 50 by default,
            besides those that the search may go on from; "all" keeps all.

    Attributes:
        idle_pause: Seconds to sleep before an IDLE answer: Keras Tuner asks again at once, in
            a busy loop.
        ownership: The right to write to the project, once the project directory is known.

    Raises:
        ValueError: If an argument has an impossible value.

    Example:

    ```python
    oracle = kt_plus.Oracle("val_accuracy", 50, strategy=evolution(50))
    tuner = kt_plus.Tuner(oracle, build_model)
    ```
    """

    idle_pause = 0.02
    ownership: Ownership | None = None

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        hyperparameters: Any = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        seed: int | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        strategy: Strategy | None = None,
        ladder: Any = None,
        inherit_weights: Any = False,
        **options: Any,
    ) -> None:
        check_whole("max_trials", max_trials)
        super().__init__(
            objective=objectives.resolve(objective),
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        self._set_up(seed, strategy, ladder=ladder, inherit_weights=inherit_weights, **options)

    def _set_up(
        self,
        seed: int | None,
        strategy: Strategy | None,
        *,
        ladder: Any = None,
        inherit_weights: Any = False,
        stopping: Stopper | str | None = None,
        stopped_trials: str = "observed",
        max_time: float | timedelta | None = None,
        max_epochs_total: int | None = None,
        initial_configurations: Sequence[Mapping[str, Value]] | Literal["default"] = (),
        history: str | Sequence[str] = (),
        keep_checkpoints: int | str = DEFAULT,
    ) -> None:
        self.seed = search_seed(seed)
        self.strategy = strategy
        self.ladder = None if ladder is None else Ladder.of(ladder)
        self.inheritance = inheritance_of(inherit_weights)
        self.retention = Retention(keep_checkpoints)
        self.stopping = stopper_of(stopping)
        self.budget = Budget.of(max_time, max_epochs_total)
        if initial_configurations == "default":
            initial_configurations = [{}]
        self.initial_configurations = [dict(values) for values in initial_configurations or ()]
        self.earlier_projects = [history] if isinstance(history, (str, os.PathLike)) else history
        self._earlier_trials: list[dict[str, Any]] | None = None  # read, and not kept yet
        self.knowledge = Knowledge(
            self.sign, stopped_trials, is_dry(self.stopping), has_rungs=self.ladder is not None
        )
        self.notes: dict[str, Note] = {}
        self._lock = threading.RLock()
        self._save_due = 0.0
        self._trial_began: dict[str, float] = {}
        self._judge = Judge(self.stopping)
        self._end_reported_to: str | None = None
        self._space: tuple[tuple[int, int], Space] = ((0, 0), Space())
        self.hooks = Hooks()
        # Keras Tuner's own display sorts all trials at every print; it serves verbose=2.
        self._display = Progress(self, tables=self._display)

    def __repr__(self) -> str:
        ended = len(self.end_order)
        of = self.max_trials or "any number"
        how = f", strategy={self.strategy}" if self.strategy else ""
        return f"{type(self).__name__}({self.objective}, {ended} of {of} trials ended{how})"

    @property
    def sign(self) -> int:
        """1 if the objective is maximised, -1 if it is minimised."""
        return 1 if self.objective.direction == "max" else -1

    @property
    def history(self) -> History:
        """The trials as observed."""
        return self.knowledge.observed

    @property
    def space(self) -> Space:
        """The search space as strategies see it."""
        entries = self.hyperparameters.space
        version = (id(self.hyperparameters), len(entries))
        if self._space[0] != version:
            self._space = (version, Space.from_hyperparameters(entries, self.hooks))
        return self._space[1]

    def learn_hooks(self, hypermodel: Any) -> None:
        """Heeds what the hypermodel knows of its own space: see `kt_plus.engine.space.Hooks`."""
        self.hooks, self._space = Hooks.of(hypermodel), ((0, 0), Space())
        self.knowledge.identify_by(self.hooks.fingerprint)

    # Keras Tuner decorates these three with `synchronized`, whose lock stays held after an
    # exception and which keeps every oracle alive for ever; a lock of our own does neither.

    def create_trial(self, tuner_id: str) -> Any:
        """The next trial for that worker: RUNNING with values, IDLE to wait, STOPPED at the end."""
        with self._lock:
            self._claim()
            trial = self._create_trial(tuner_id)
        if trial.status == Status.IDLE:
            time.sleep(self.idle_pause)
        return trial

    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> Any:
        """Takes a report; answers with the trial, its status STOPPED if it should end now."""
        with self._lock:
            self._claim()
            trial = self.trials[trial_id]
            curve = {n.removeprefix(CURVE): v for n, v in metrics.items() if n.startswith(CURVE)}
            if curve:
                return self._report_epoch(trial, dict(metrics), int(step), *curve.values())
            self._report_metrics(trial, metrics, step)
            return trial

    def end_trial(self, trial: Any, status: str | None = None) -> None:
        """Takes the end of a trial, good or bad; a second end of the same trial changes nothing."""
        if isinstance(trial, str):  # the signature before Keras Tuner 1.2
            trial = outcome.with_status(self.trials[trial], status or Status.COMPLETED)
        with self._lock:
            self._claim()
            if self.notes[trial.trial_id].ended is None:
                self._end_trial(trial)
            outcome.check_consecutive_failures(self)

    def get_best_trials(
        self, num_trials: int | None = 1, *, by: Literal["score", "posterior_mean"] = "score"
    ) -> list[Any]:
        """The completed trials from the best on; `None` for all of them.

        Those of lower fidelities follow, the higher rungs before the lower ones. As in Keras
        Tuner, trials that did not complete follow where there are too few.

        Args:
            num_trials: How many trials to return.
            by: `"score"` ranks by the observed scores. `"posterior_mean"` ranks by the Gaussian
                process that is fitted to all of them, which helps where scores are noisy.

        Raises:
            ValueError: If `by` is neither of these.
        """
        if by not in ("score", "posterior_mean"):
            raise ValueError(
                f"`by` must be 'score' or 'posterior_mean', got {by!r}. Leave it out for 'score'."
            )
        with self._lock:
            trials = list(self.trials.values())
            means = {} if by == "score" else posterior_means(self.space, self.history)
        return best_trials.ranked(self, trials, num_trials, means)

    def update_space(self, hyperparameters: Any) -> None:
        """Adds hyperparameters that the model has asked for and that were not known."""
        with self._lock:
            known = len(self.hyperparameters.space)
            super().update_space(hyperparameters)
            if self.trials and len(self.hyperparameters.space) != known:
                with self._owned():
                    for trial in self.ongoing_trials.values():
                        self._refresh(trial)
                    self._write_summary()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next trial, in Keras Tuner's form."""
        place, proposal = self._next_initial_configuration() or (None, self.propose(trial_id))
        if isinstance(proposal, Signal):
            return {"status": Status.IDLE if proposal is WAIT else Status.STOPPED, "values": None}
        self.notes[trial_id] = Note(
            started=self._number,
            parent=proposal.parent,
            changed=tuple(proposal.changed),
            rung=proposal.rung,
            initial=place,
            seen=self._ends,
            memo=proposal.memo,
        )
        values = {name: plain(value) for name, value in proposal.values.items()}
        if self.ladder is not None:
            rungs.describe(self.notes[trial_id], self.ladder)
            values.update(rungs.directives(self.ladder, proposal, self.trials))
        if self.inheritance is not None:
            values.update(inheritance.directive(self.notes[trial_id], self.trials))
        return {"status": Status.RUNNING, "values": values}

    def propose(self, trial_id: str) -> Proposal | Signal:
        """What the strategy proposes now."""
        if self.strategy is None:
            raise NotImplementedError("Give the Oracle a `strategy`, or override `propose`.")
        if self.knowledge.waiting:  # each of many workers asks, again and again
            return WAIT
        proposal = self.strategy.propose(self.space, self.knowledge.learnt, self._rng())
        self.knowledge.waiting = proposal is WAIT
        return proposal

    def needed_trials(self) -> Collection[str]:
        """The trials whose checkpoints trials that are yet to be proposed may begin with."""
        if self.inheritance is None and self.ladder is None:
            return ()
        keep = getattr(self.strategy, "keep", None)
        return self.trials.keys() if keep is None else keep(self.knowledge.learnt)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), project.SECTION: project.search_config(self)}

    def save(self) -> None:
        """Writes the summary of the search, unless the last one is fresh for its cost.

        Each trial has been written as it went, and the summary can be made of them
        again; so it may take a fiftieth of the time, however long the search.
        """
        if time.monotonic() >= self._save_due:
            with self._lock, self._owned():
                self._write_summary()

    def reload(self) -> None:
        """Reads the project again, and mends what a crash has left.

        Raises:
            ResumeError: If the project holds a search of another kind or objective.
        """
        with self._lock:
            if self.ownership is not None:
                self.ownership.mark_read()
            project.reload(self)

    def pause(self) -> None:
        """Stops the search's clock and ends its bar; the next trial starts both again."""
        self.budget.pause()
        self._display.close()

    def clear_bar(self) -> None:
        """Makes room for something to be printed, until the bar is next shown."""
        self._display.clear()

    def learn_from_earlier_projects(self) -> None:
        """Puts the trials of earlier projects before the first of this search."""
        if self.earlier_projects and not len(self.history):
            self._earlier_trials = project.earlier_trials(self, self.earlier_projects)
            for record in project.records_of(self._earlier_trials, self.sign):
                self.knowledge.put(record)

    # Overridden because this is where the project directory becomes known, in any tuner.
    def _set_project_dir(self, directory: Any, project_name: str) -> None:
        before = self.ownership and project.directory(self)
        super()._set_project_dir(directory, project_name)
        if before != project.directory(self):
            self.ownership = Ownership(project.directory(self))

    def _claim(self) -> None:
        if self.ownership is not None:
            self.ownership.claim(lambda: project.read_again(self))

    def _owned(self) -> contextlib.AbstractContextManager[None]:
        if self.ownership is None:
            return contextlib.nullcontext()
        return self.ownership.held(lambda: project.read_again(self))

    def _rng(self) -> Any:
        return proposal_rng(self.seed, self._number)

    @property
    def _number(self) -> int:
        """The place of the next trial in the order of starts; a lost trial's is not given again."""
        return self.notes[self.start_order[-1]].started + 1 if self.start_order else 0

    @property
    def _ends(self) -> int:
        """The place of the next end in the order of ends."""
        last = self.notes[self.end_order[-1]].ended if self.end_order else None
        return 0 if last is None else last + 1

    # Overridden because Keras Tuner compares hashes of values that the model may not use.
    def _duplicate(self, values: Mapping[str, Value]) -> bool:
        return self.history.tried(without_reserved(values))

    # Overridden because Keras Tuner's draws seeds 7 and 8 from the same stream.
    def _random_values(self) -> dict[str, Value] | None:
        proposal = draw_untried(self.space, self.history, self._rng())
        return dict(proposal.values) if isinstance(proposal, Proposal) else None

    def _next_initial_configuration(self) -> tuple[int, Proposal] | None:
        if not self.initial_configurations:
            return None
        place = sum(1 for t in self.start_order if self.notes[t].initial is not None)
        if place >= len(self.initial_configurations):  # fewer may be given when it goes on
            return None
        return place, Proposal(self.space.check(self.initial_configurations[place]))

    def _create_trial(self, tuner_id: str) -> Any:
        self.budget.begin()
        self.tuner_ids.add(tuner_id)
        if tuner_id in self.ongoing_trials:
            return self._begin(self.ongoing_trials[tuner_id], tuner_id)
        if (waiting := self._next_retry()) is not None:
            trial = self._begin(self.trials[waiting], tuner_id)
            self._retry_queue.remove(waiting)
            return trial
        trial = self._new_trial()
        if trial.status == Status.RUNNING:
            return self._begin(trial, tuner_id)
        if trial.status == Status.STOPPED:
            self._dismiss(tuner_id)
            if not self._is_spent and self._end_reported_to in (None, tuner_id):
                self._end_reported_to = tuner_id  # once, although each of many workers asks
                self._report_end()
        return trial

    def _report_end(self) -> None:
        end = exhaustion.end_of(self)
        if end is not None:
            (self._display.warn if end.is_early else self._display.say)(end.text)

    @property
    def _is_spent(self) -> bool:
        """Whether the trials or another budget of the search are used up."""
        full = self.max_trials is not None and len(self.start_order) >= self.max_trials
        return full or self.budget.exhausted() is not None

    def _next_retry(self) -> str | None:
        """The trial to run again; once the budget is spent, only one that had been told to end."""
        exhausted = self.budget.exhausted()
        return next(
            (t for t in self._retry_queue if not exhausted or self._only_lacks_end(t)), None
        )

    def _only_lacks_end(self, trial_id: str) -> bool:
        interrupted = self.trials[trial_id].status == Status.RUNNING
        return interrupted and self.notes[trial_id].stop is not None

    def _dismiss(self, tuner_id: str) -> None:
        self.tuner_ids.discard(tuner_id)
        if not self.ongoing_trials:
            self._write_summary()
            self.pause()
            if self.ownership is not None:
                self.ownership.give_up_claim()

    def _new_trial(self) -> Any:
        number = self._number
        trial_id = f"{number:0{len(str(self.max_trials))}d}"
        answer: dict[str, Any] = {"status": Status.STOPPED}
        if not self._is_spent:
            self.learn_from_earlier_projects()
            if self._earlier_trials is not None:
                project.keep_earlier_trials(self, self._earlier_trials)
                self._earlier_trials = None
            self.notes.pop(trial_id, None)
            answer = self.populate_space(trial_id)
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = answer.get("values") or {}
        for hp in hyperparameters.space:
            if hp.name not in hyperparameters.values and hyperparameters.is_active(hp):
                hyperparameters.values[hp.name] = hp.default
        self.notes.setdefault(trial_id, Note(started=number))
        return kt_trial.Trial(hyperparameters, trial_id, answer["status"])

    def _begin(self, trial: Any, tuner_id: str) -> Any:
        """Starts an attempt at the trial, a first or a further one."""
        interrupted = trial.status == Status.RUNNING
        trial.status, trial.message, trial.score, trial.best_step = Status.RUNNING, None, None, 0
        trial.metrics = type(trial.metrics)()
        self.notes[trial.trial_id].begin_attempt(tuner_id, interrupted)
        self._save_trial(trial)
        if trial.trial_id not in self.trials:
            self.trials[trial.trial_id] = trial
            self.start_order.append(trial.trial_id)
        self.ongoing_trials[tuner_id] = trial
        self._trial_began[trial.trial_id] = time.monotonic()
        self._refresh(trial)
        self.save()
        self._display.on_trial_begin(trial)
        return trial

    def _report_epoch(self, trial: Any, metrics: dict[str, float], epoch: int, value: float) -> Any:
        note = self.notes[trial.trial_id]
        if note.ended is not None:
            return outcome.with_status(trial, Status.STOPPED)
        note.report(epoch, value, int(metrics.get(EXECUTION, 0)))
        note.horizon = int(metrics[HORIZON]) if HORIZON in metrics else note.horizon
        self.budget.epochs += 1
        ends = self._should_end(note, self._refresh(trial))
        if note.stop or note.dry_stop:
            self._refresh(trial)
        self._save_trial(trial)
        self._display.on_epoch_end(trial)
        return outcome.with_status(trial, Status.STOPPED) if ends else trial

    def _should_end(self, note: Note, record: Record) -> bool:
        """Whether the budget or the rule ends the trial; after its last epoch there is no need."""
        if note.stop is not None:
            return True  # it has been told so before
        if exhausted := self.budget.exhausted():
            return self._judge.end(record, self.history, note, exhausted)
        last = record.first_epoch + len(record.curve)
        if note.horizon is not None and last >= note.horizon:
            return False
        return self._judge.judge(record, self.knowledge, note)

    def _report_metrics(self, trial: Any, metrics: Mapping[str, Any], step: int) -> None:
        self._check_objective_found(metrics)
        for name, value in logs.reported(metrics, self.objective).items():
            if not trial.metrics.exists(name):
                trial.metrics.register(name, direction=self._direction_of(name))
            trial.metrics.update(name, value, step=step)

    # Left to itself, Keras Tuner builds the metric to learn its direction, which fails for those
    # with required arguments, such as MeanIoU.
    def _direction_of(self, metric: str) -> str:
        given = {o.name: o.direction for o in objectives.parts(self.objective)}
        return given.get(metric) or objectives.direction_of(metric) or "min"

    def _end_trial(self, ended: Any) -> None:
        trial, note = self.trials[ended.trial_id], self.notes[ended.trial_id]
        outcome.take_values(trial, ended)
        outcome.take_told(trial, note, self.notes.get(note.parent or ""), self.sign)
        self.update_space(trial.hyperparameters)
        trial.status, trial.message = ended.status, ended.message
        if trial.status == Status.COMPLETED:
            self.score_trial(trial)
            outcome.settle_score(trial, self.objective)
        note.attempts, note.worker = note.attempts + 1, None
        began = self._trial_began.pop(trial.trial_id, None)
        note.seconds = time.monotonic() - began if began is not None else 0.0
        note.search_seconds = self.budget.seconds
        retry = trial.status == Status.INVALID and note.attempts <= self.max_retries_per_trial
        if trial.status == Status.INVALID and not retry:
            trial.status = Status.FAILED
        if not retry:
            note.ended = self._ends
        self._save_trial(trial)
        project.remove_states(self, trial.trial_id, None if retry else rungs.parent_of(trial))
        self._settle(trial, retry)

    def _settle(self, trial: Any, retry: bool) -> None:
        """Takes the trial from its worker, and puts it where it is run again, or has ended."""
        self._run_times[trial.trial_id] = self.notes[trial.trial_id].attempts
        if trial.trial_id in self._retry_queue:  # a worker outlived the chief that requeued it
            self._retry_queue.remove(trial.trial_id)
        (self._retry_queue if retry else self.end_order).append(trial.trial_id)
        self._refresh(trial)
        if not retry:
            self.retention.settle(self, trial.trial_id)
        self.save()
        self._display.on_trial_end(trial)
        # Last: Keras Tuner's chief exits as soon as no trial is ongoing.
        for tuner_id in [t for t, o in self.ongoing_trials.items() if o is trial]:
            del self.ongoing_trials[tuner_id]

    def _refresh(self, trial: Any) -> Record:
        record = record_of(trial, self.notes[trial.trial_id], self.sign)
        if record.status == "running":  # it will take the default of whatever it has no value for
            values = {**self.space.complete(record.values), **record.values}
            record = replace(record, values=values)
        self.knowledge.put(record, self.notes[trial.trial_id])
        return record

    # Overridden because Keras Tuner's writes in place: a crash leaves half a file.
    def _save_trial(self, trial: Any) -> None:
        content = {**trial.get_state(), project.SECTION: self.notes[trial.trial_id].get_config()}
        storage.write_json(project.trial_file(self, trial.trial_id), content)

    def _write_summary(self) -> None:
        began = time.monotonic()
        storage.write_json(self._get_oracle_fname(), self.get_state())
        ended = time.monotonic()
        self._save_due = ended + 50 * (ended - began)
