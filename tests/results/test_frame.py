"""Searches as data frames: ours, plain Keras Tuner's, running, crashed and damaged ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kt_plus
from kt_plus.results import to_dataframe
from tests.errors import raises_in_three_parts
from tests.invented_search import EPOCHS, Foretelling, plain_search, tuner

pytestmark = pytest.mark.versions


def test_a_row_tells_all_of_its_trial(found: Any) -> None:
    frame = to_dataframe(found)
    oracle = found.oracle
    assert list(frame.index) == oracle.start_order
    assert frame.index.name == "trial_id"
    for trial_id, trial in oracle.trials.items():
        row, note = frame.loc[trial_id], oracle.notes[trial_id]
        assert row["status"] == trial.status.lower()
        assert (row["score"] == trial.score) or (pd.isna(row["score"]) and trial.score is None)
        for name in ("limit", "pace", "kind"):
            assert row[name] == trial.hyperparameters.values[name]
        assert row["epochs"] == note.epochs
        assert row["horizon"] == EPOCHS
        assert row["seconds"] == note.seconds > 0
        assert row["rung"] == 0
    assert set(frame["status"]) == {"completed", "failed"}


def test_inactive_hyperparameters_are_empty_and_whole_numbers_stay_whole(found: Any) -> None:
    frame = to_dataframe(found)
    assert frame["pace"].dtype == "int64"
    assert frame["noise"].dtype == "Int64"
    assert list(frame["noise"].isna()) == list(frame["kind"] == "plain")
    assert 0 < frame["noise"].isna().sum() < len(frame)
    assert frame["epochs"].dtype == frame["stop_epoch"].dtype == "Int64"


def test_stops_are_told_with_what_was_expected(found: Any) -> None:
    frame = to_dataframe(found)
    stopped = frame[frame["stop_reason"].notna()]
    assert 5 < len(stopped) < len(frame)
    best = None
    for trial_id, row in frame.iterrows():
        if pd.isna(row["stop_reason"]):
            assert row[["stop_epoch", "expected", "probability", "incumbent"]].isna().all()
        else:
            start = f"stopped at epoch {row['stop_epoch']} of {EPOCHS}: P(beating "
            assert row["stop_reason"].startswith(f"{start}{row['incumbent']:.4g}) = 0.0")
            assert row["stop_epoch"] == row["epochs"] < EPOCHS
            assert row["expected_low"] < row["expected"] < row["expected_high"]
            assert row["expected"] == pytest.approx(row["score"] - 0.1, abs=0.01)
            assert row["probability"] < 0.05
            assert row["incumbent"] == best, trial_id
        if row["status"] == "completed":
            best = row["score"] if best is None else min(best, row["score"])
    assert frame["dry_stop_reason"].isna().all()


def test_a_failed_trial_tells_why(found: Any) -> None:
    errors = to_dataframe(found)["error"].dropna()
    assert dict(errors) == dict.fromkeys(["03", "11"], "ArithmeticError: it has diverged")


def test_the_folder_tells_what_the_tuner_does(found: Any) -> None:
    folder = Path(found.project_dir)
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    for place in (folder, str(folder)):
        pd.testing.assert_frame_equal(to_dataframe(place), to_dataframe(found))
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_a_dry_run_is_listed(tmp_path: Path) -> None:
    dry = tuner(tmp_path, stopping=Foretelling().dry_run())
    dry.search(verbose=0)
    frame = to_dataframe(tmp_path / "invented")
    assert frame["stop_reason"].isna().all()
    assert (frame["epochs"] == EPOCHS).all()
    told = frame["dry_stop_reason"].dropna()
    assert len(told) > 5
    for trial_id, reason in told.items():
        assert reason.startswith(f"would have stopped at epoch {frame['stop_epoch'][trial_id]} of")
    assert list(frame["expected"].notna()) == list(frame["dry_stop_reason"].notna())


def test_a_running_search_can_be_looked_at(tmp_path: Path) -> None:
    seen: list[pd.DataFrame] = []

    class Looking(kt_plus.RandomSearch):
        def on_trial_begin(self, trial: Any) -> None:
            super().on_trial_begin(trial)
            seen.append(to_dataframe(tmp_path / "invented"))

    tuner(tmp_path, Looking, max_trials=3).search(verbose=0)
    assert [list(frame["status"]) for frame in seen] == [
        ["running"],
        ["completed", "running"],
        ["completed", "completed", "running"],
    ]
    assert seen[-1]["score"].isna().tolist() == [False, False, True]


def test_plain_keras_tuners_projects_are_read(tmp_path: Path) -> None:
    plain = plain_search(tmp_path, "score", max_trials=12)
    for source in (plain, tmp_path / "p"):
        frame = to_dataframe(source)
        assert list(frame.index) == plain.oracle.start_order
        assert list(frame["x"]) == list(frame["score"])
        assert set(frame["hp.score"]) == {True, False}
        assert set(frame["status"]) == {"completed"}
        assert frame[["epochs", "horizon", "seconds", "stop_reason"]].isna().all(axis=None)


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]", '{"trial_id": "1"}'])
def test_a_damaged_trial_is_named_and_left_out(damage: str, tmp_path: Path) -> None:
    tuner(tmp_path, max_trials=4).search(verbose=0)
    path = tmp_path / "invented" / "trial_1" / "trial.json"
    path.write_text(damage)
    with pytest.warns(UserWarning, match=r"trial_1.*trial\.json is damaged and is left out"):
        frame = to_dataframe(tmp_path / "invented")
    assert list(frame.index) == ["0", "2", "3"]


def test_a_damaged_summary_is_named_and_done_without(tmp_path: Path) -> None:
    searched = tuner(tmp_path, max_trials=4)
    searched.search(verbose=0)
    expected = to_dataframe(searched)
    (tmp_path / "invented" / "oracle.json").write_text('{"on')
    with pytest.warns(UserWarning, match=r"oracle\.json is damaged"):
        pd.testing.assert_frame_equal(to_dataframe(tmp_path / "invented"), expected)


def test_a_search_without_trials_is_an_empty_frame(tmp_path: Path) -> None:
    frame = to_dataframe(tuner(tmp_path))
    assert len(frame) == 0
    assert {"status", "score", "stop_reason"} <= set(frame.columns)


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with raises_in_three_parts(
        kt_plus.errors.ResultsError, happened=str(tmp_path), expected="oracle.json"
    ):
        to_dataframe(tmp_path)
    with pytest.raises(kt_plus.errors.ResultsError, match="missing"):
        to_dataframe("missing")


def test_without_pandas_the_remedy_is_told(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with raises_in_three_parts(ImportError, happened="not installed", expected="needs pandas"):
        to_dataframe(found)


def test_what_is_printed_of_the_best_tells_why_they_were_stopped(
    found: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found.results_summary(30)
    printed = capsys.readouterr().out
    assert "Results summary" in printed
    assert f"Results in {found.project_dir}" in printed
    frame = to_dataframe(found)
    for trial_id, reason in frame["stop_reason"].dropna().items():
        (part,) = [p for p in printed.split("\n\n") if p.startswith(f"Trial {trial_id} ")]
        assert part.strip().endswith(f"\nS{reason[1:]}")
    assert printed.count("Stopped at epoch") == frame["stop_reason"].notna().sum()
    dry = tuner(tmp_path, stopping=Foretelling().dry_run())
    dry.search(verbose=0)
    dry.results_summary(30)
    assert "\nWould have stopped at epoch " in capsys.readouterr().out


def test_a_frame_can_be_saved(found: Any, tmp_path: Path) -> None:
    frame = to_dataframe(found)
    frame.to_csv(tmp_path / "trials.csv")
    again = pd.read_csv(tmp_path / "trials.csv", dtype={"trial_id": str}, index_col="trial_id")
    assert list(again["stop_reason"].dropna()) == list(frame["stop_reason"].dropna())
    json.loads(frame.to_json())
