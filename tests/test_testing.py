"""The conformance suites themselves: each check finds the fault that it is there for."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from kt_plus.engine.oracle import Oracle
from kt_plus.performance_estimation.stopping import MedianRule
from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.exhaustive import RandomSampling
from kt_plus.testing import (
    SPACES,
    StopperSuite,
    StrategySuite,
    in_another_process,
    invented_history,
    invented_score,
    simulate,
)
from tests import faulty


def failures(suite: type, tested: object) -> set[str]:
    """The checks of the suite that fail for a strategy or rule."""
    names = [name for name in dir(suite) if name.startswith("test_")]
    return {name.removeprefix("test_") for name in names if _fails(suite, tested, name)}


def _fails(suite: type, tested: object, name: str) -> bool:
    instance = suite()
    instance.make_strategy = instance.make_stopper = lambda: tested
    try:
        getattr(instance, name)()
    except Exception:
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "found_by"),
    [
        (faulty.NumpyValues, "values_are_legal_complete_and_plain"),
        (faulty.IntsForFloats, "values_are_legal_complete_and_plain"),
        (faulty.Incomplete, "values_are_legal_complete_and_plain"),
        (faulty.Inactive, "values_are_legal_complete_and_plain"),
        (faulty.RungsOfNumpy, "values_are_legal_complete_and_plain"),
        (faulty.UnknownParent, "lineage_is_told"),
        (faulty.WrongLineage, "lineage_is_told"),
        (faulty.FailedParent, "failed_trials_are_never_parents"),
        (faulty.Remembers, "a_resumed_search_goes_on_as_the_uninterrupted_one"),
        (faulty.GlobalRandomness, "proposals_are_reproducible"),
        (faulty.HashesStrings, "proposals_are_the_same_in_another_process"),
        (faulty.ReadsDictionariesInOrder, "order_of_dictionaries_is_irrelevant"),
        (faulty.WritesIntoTheHistory, "inputs_are_left_as_they_are"),
        (faulty.AddsToTheHistory, "inputs_are_left_as_they_are"),
        (faulty.Repeats, "nothing_is_tried_twice"),
        (faulty.Repeats, "trials_that_run_at_once_are_distinct"),
        (faulty.StopsEarly, "everything_is_tried_once_and_then_it_is_done"),
        (faulty.StopsEarly, "values_that_build_the_same_model_count_as_one"),
        (faulty.WaitsForEver, "everything_is_tried_once_and_then_it_is_done"),
        (faulty.NeedsASuccess, "failures_alone_do_not_end_a_search"),
    ],
)
def test_a_faulty_strategy_is_found(kind, found_by):
    assert _fails(StrategySuite, kind(), f"test_{found_by}")


def test_a_strategy_that_stops_early_by_design_says_so():
    class Short(StrategySuite):
        exhaustive = False

    assert failures(Short, faulty.StopsEarly()) == set()


def test_a_sign_that_is_not_flipped_is_found(monkeypatch):
    monkeypatch.setattr(Oracle, "sign", 1)
    found = _fails(
        StrategySuite, evolution(15, random_trials=3), "test_minimise_and_maximise_are_mirrored"
    )
    assert found


def test_a_suite_without_a_strategy_says_what_to_do():
    with pytest.raises(NotImplementedError, match="Override `make_strategy`"):
        StrategySuite().test_nothing_is_tried_twice()
    with pytest.raises(NotImplementedError, match="Override `make_stopper`"):
        StopperSuite().test_keeps_no_state()


@pytest.mark.parametrize(
    ("kind", "found_by"),
    [
        (faulty.NumpyVerdict, "stops_for_a_reason"),
        (faulty.NoVerdict, "stops_for_a_reason"),
        (faulty.NoReason, "stops_for_a_reason"),
        (faulty.NeverStops, "stops_for_a_reason"),
        (faulty.CountsCalls, "keeps_no_state"),
        (faulty.HashesCurves, "verdicts_are_the_same_in_another_process"),
        (faulty.AddsTrials, "inputs_are_left_as_they_are"),
        (faulty.DividesByTheMean, "diverging_curves_never_raise"),
        (faulty.NeedsOthers, "short_histories_and_curves_are_survived"),
        (faulty.ComparesWithTheFirst, "order_of_the_other_trials_is_irrelevant"),
        (faulty.Low, "shifted_and_scaled_curves_have_the_same_verdicts"),
    ],
)
def test_a_faulty_rule_is_found(kind, found_by):
    assert _fails(StopperSuite, kind(), f"test_{found_by}")


def test_a_rule_with_a_threshold_says_so():
    class Absolute(StopperSuite):
        scale_free = False

    assert failures(Absolute, faulty.Low()) == set()


def test_the_example_for_contributors_keeps_the_rules(tmp_path, monkeypatch):
    guide = Path(__file__).parents[1] / "CONTRIBUTING.md"
    if not guide.exists():
        pytest.skip("CONTRIBUTING.md is not beside the tests")
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "class LocalSearch" in block]
    strategy, _ = code.split("\noracle = ")
    (tmp_path / "local_search.py").write_text(strategy)
    monkeypatch.syspath_prepend(tmp_path)
    local_search = importlib.import_module("local_search").LocalSearch()
    assert failures(StrategySuite, local_search) == set()


def test_what_cannot_be_copied_to_another_process_is_told():
    with pytest.raises(AssertionError, match=r"cannot be sent to another process.*in a module"):
        in_another_process(len, lambda: 0)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        in_another_process(divmod, 1, 0)
    assert in_another_process(divmod, 7, 2) == (3, 1)


def test_another_process_hashes_strings_differently():
    assert in_another_process(hash, "kt_plus") != hash("kt_plus")


def test_the_flat_space_has_24_configurations():
    assert len(list(SPACES["flat"].enumerate())) == 24
    assert sum(not space.is_finite for space in SPACES.values()) == 3


def test_a_simulated_search_has_as_many_workers_as_asked():
    for workers in (1, 3, 8):
        search = list(simulate(RandomSampling(), SPACES["numeric"], 20, workers=workers))
        assert len(search) == 20
        busy = [sum(r.status == "running" for r in history) for history, _ in search]
        assert busy == [min(i, workers - 1) for i in range(20)]


def test_a_simulated_search_tells_scores_failures_and_unused_values():
    def score(values):
        return None if values["norm"] else invented_score(values)

    *_, (history, _) = simulate(
        RandomSampling(), SPACES["flat"], 24, score=score, unused={"units", "other"}
    )
    for record in history:
        failed = record.values["norm"]
        assert record.status == ("failed" if failed else "completed")
        assert record.score == score(record.values)
        assert record.unused == (None if failed else frozenset({"units"}))
        assert len(record.curve) == (0 if failed else 3)


def test_invented_histories_have_trials_of_every_kind():
    history = invented_history(0)
    assert {record.status for record in history} == {"running", "completed", "failed"}
    assert {len(record.curve) for record in history} == {10, 20}
    assert {record.first_epoch for record in history} == {0, 1}
    assert list(history) == list(invented_history(0)) != list(invented_history(1))
    stopped = [MedianRule(1, 1).judge(r, history).stop for r in history if r.score is None]
    assert True in stopped
