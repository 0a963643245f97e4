"""The conformance suites again, with two workers in processes of their own, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras_tuner as kt
import pytest

import kt_plus
from kt_plus.engine.history import History
from kt_plus.search_strategies.exhaustive import RandomSampling
from kt_plus.testing import SPACES, StopperSuite, StrategySuite, strategy_suite
from tests.distribute.served import OBJECTIVE, Workers
from tests.invented_search import EPOCHS, curve, space
from tests.performance_estimation import test_every_rule as rules
from tests.search_strategies import test_every_strategy as strategies

pytestmark = pytest.mark.slow

STRATEGIES = (
    strategies.TestAgeingEvolution,
    strategies.TestRandomSampling,
    strategies.TestGrid,
    strategies.TestPPO,
)
FOR_STRATEGIES = (
    "test_values_are_legal_complete_and_plain",
    "test_lineage_is_told",
    "test_order_of_dictionaries_is_irrelevant",
    "test_a_resumed_search_goes_on_as_the_uninterrupted_one",
    "test_nothing_is_tried_twice",
    "test_everything_is_tried_once_and_then_it_is_done",
    "test_values_that_build_the_same_model_count_as_one",
    "test_failed_trials_are_never_parents",
    "test_failures_alone_do_not_end_a_search",
)
RULES = (
    rules.TestLearningCurveExtrapolation,
    rules.TestMedianRuleThatStopsEarly,
    rules.TestPercentileRule,
    rules.TestSuccessiveHalvingRuleThatStartsLate,
    rules.TestPatience,
    rules.TestBothOfSeveral,
)
FOR_RULES = (
    "test_stops_for_a_reason",
    "test_keeps_no_state",
    "test_inputs_are_left_as_they_are",
    "test_order_of_the_other_trials_is_irrelevant",
    "test_shifted_and_scaled_curves_have_the_same_verdicts",
)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    started = Workers()
    yield started
    started.close()


@pytest.mark.parametrize("suite", STRATEGIES)
def test_strategies(
    suite: type[StrategySuite], workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategy_suite, "simulate", workers.simulate)
    monkeypatch.setattr(suite, "spaces", {k: SPACES[k] for k in ("flat", "numeric", "nested")})
    for name in FOR_STRATEGIES:
        getattr(suite(), name)()


class Snapshots(kt_plus.stopping.Stopper):
    """Stops nothing, and keeps what a rule would see while two trials run."""

    def __init__(self) -> None:
        self.histories: list[History] = []

    def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
        running = [len(record.curve) for record in history if record.status == "running"]
        new = len(history) > max(map(len, self.histories), default=8)
        if new and len(running) == 2 and min(running) >= EPOCHS // 2:
            self.histories.append(History(history))
        return kt_plus.Verdict(False, "")


@pytest.fixture(scope="module")
def histories(workers: Workers) -> list[History]:
    """A search's histories at moments at which both workers train."""

    def run(client: Any, trial: Any) -> float:
        values = [round(1024 * v) / 1024 for v in curve(trial.hyperparameters.values)]
        for epoch, value in enumerate(values):
            report = {f"curve:{OBJECTIVE.name}": value, "horizon": EPOCHS}
            client.update_trial(trial.trial_id, report, step=epoch)
        return max(values)

    rule = Snapshots()
    oracle = kt_plus.Oracle(
        OBJECTIVE, 24, space(), seed=5, strategy=RandomSampling(), stopping=rule
    )
    done = workers.search(oracle, run)
    assert all(done), "one worker did everything"
    assert {len(record.curve) for record in oracle.history} == {EPOCHS}
    assert len(rule.histories) >= 4
    return rule.histories


@pytest.mark.parametrize("suite", RULES)
def test_rules(suite: type[StopperSuite], histories: list[History]) -> None:
    class Served(suite):
        def histories(self) -> list[History]:
            return histories

    for name in FOR_RULES:
        getattr(Served(), name)()


@pytest.mark.parametrize("rule", [kt_plus.stopping.MedianRule(2, 2), "auto"])
def test_workers_obey(rule: Any, workers: Workers) -> None:
    """A worker trains as long as the rule lets it, and no epoch longer."""

    def run(client: Any, trial: Any) -> float:
        values = curve(trial.hyperparameters.values)
        for epoch, value in enumerate(values):
            report = {f"curve:{OBJECTIVE.name}": value, "horizon": EPOCHS}
            answer = client.update_trial(trial.trial_id, report, step=epoch)
            if answer.status == "STOPPED":
                break
        return max(values[: epoch + 1])

    oracle = kt_plus.Oracle(
        OBJECTIVE, 24, space(), seed=5, strategy=RandomSampling(), stopping=rule
    )
    assert all(workers.search(oracle, run))
    stopped = [note for note in oracle.notes.values() if note.stop]
    assert 0 < len(stopped) < 24
    for trial_id in oracle.trials:
        note = oracle.notes[trial_id]
        (curve_of,) = note.curves
        assert len(curve_of.values) == (note.stop.epoch if note.stop else EPOCHS)
        assert oracle.trials[trial_id].score == pytest.approx(max(curve_of.values))
    best = oracle.get_best_trials()[0]
    assert isinstance(best, kt.engine.trial.Trial)
    assert best.score == max(trial.score for trial in oracle.trials.values())
