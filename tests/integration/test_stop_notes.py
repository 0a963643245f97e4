"""What is kept of a stop: whether a rule or a budget made it, and a forecast that is consistent."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

import kt_plus
from kt_plus.engine.history import History, Record, Verdict
from kt_plus.performance_estimation.learning_curves.forecast import AtLeast, Forecast, Mixture
from kt_plus.performance_estimation.stopping import LearningCurveExtrapolation
from kt_plus.results import plot_best_so_far, plot_learning_curves, plot_trial, to_dataframe
from tests.invented_search import EPOCHS, Foretelling, tuner

matplotlib.use("Agg")


class LongTail(kt_plus.stopping.Stopper):
    """Expects no improvement but for a chance of 4 %, which moves the mean above the interval."""

    def judge(self, trial: Record, history: History) -> Verdict:
        seen = max(trial.curve)
        future = Mixture(np.array([0.96, 0.04]), seen + np.array([-1.0, 1.0]), np.full(2, 0.01))
        forecast = Forecast(AtLeast(seen, future), (future,), len(trial.curve))
        return Verdict(len(trial.curve) == 5, "no improvement", forecast)


class Slow(kt_plus.stopping.Stopper):
    """Takes a while, and never stops a trial."""

    def judge(self, trial: Record, history: History) -> Verdict:
        time.sleep(0.05)
        return Verdict(False, "it may take longer")


def searched(directory: Path, **settings: Any) -> Any:
    found = tuner(directory, **settings)
    found.search(verbose=1)
    return found


def as_version_0_1(project: Path) -> None:
    """Removes what version 0.1 did not store of a stop."""
    for path in project.glob("trial_*/trial.json"):
        content = json.loads(path.read_text())
        for name in ("stop", "dry_stop"):
            for entry in ("cause", "median"):
                (content["kt_plus"][name] or {}).pop(entry, None)
        path.write_text(json.dumps(content))


def last_line(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err.rpartition("\r")[2]


@pytest.mark.parametrize("limit", [{"max_epochs_total": EPOCHS + 2}, {"max_time": 0.2}])
def test_epochs_that_a_budget_cuts_are_not_saved(
    limit: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = searched(tmp_path, stopping=Slow(), **limit)
    assert ", 0 saved" in last_line(capfd)
    notes = found.oracle.notes.values()
    assert [note.stop.cause for note in notes if note.stop] == ["budget"]
    assert sum(note.epochs for note in notes) % EPOCHS != 0
    as_version_0_1(tmp_path / "invented")
    for source in (found, tmp_path / "invented"):
        frame = to_dataframe(source)
        assert frame["stop_cause"].dropna().tolist() == ["budget"]
        assert frame["stop_reason"].iloc[-1].endswith("are used up")
    page = Path(kt_plus.report(found, tmp_path / "report.html")).read_text()
    assert "<dt>Stopped early</dt><dd>0</dd>" in page
    assert "<dt>Cut by the budget</dt><dd>1</dd>" in page


def test_stops_by_a_rule_are_saved_beside_a_budget(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = searched(tmp_path, stopping=Foretelling(), max_epochs_total=101)
    stops = [note.stop for note in found.oracle.notes.values() if note.stop]
    assert [stop.cause for stop in stops[-1:]] == ["budget"]
    by_rule = [stop for stop in stops if stop.cause == "rule"]
    assert 3 < len(by_rule) == len(stops) - 1
    saved = sum(EPOCHS - stop.epoch for stop in by_rule)
    assert f"101 of 101 epochs, {saved} saved" in last_line(capfd)
    causes = to_dataframe(found)["stop_cause"].value_counts()
    assert causes.to_dict() == {"rule": len(by_rule), "budget": 1}
    for draw in (plot_best_so_far, plot_learning_curves):
        labels = draw(found).get_legend_handles_labels()[1]
        assert {"stopped early", "cut by the budget"} <= set(labels)
        matplotlib.pyplot.close("all")


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_expected_value_lies_in_its_interval(direction: str, tmp_path: Path) -> None:
    found = searched(tmp_path, direction=direction, stopping=LongTail(), max_trials=4)
    stops = [note.stop for note in found.oracle.notes.values() if note.stop]
    assert len(stops) == 4
    for stop in stops:
        assert not stop.low <= stop.mean <= stop.high
        assert stop.low <= stop.median <= stop.high
    frame = to_dataframe(tmp_path / "invented")
    assert frame["expected"].tolist() == [stop.median for stop in stops]
    assert (frame["expected_low"] <= frame["expected"]).all()
    assert (frame["expected"] <= frame["expected_high"]).all()
    as_version_0_1(tmp_path / "invented")
    again = tuner(tmp_path, direction=direction, stopping=LongTail(), max_trials=5)
    kept = [note.stop for note in again.oracle.notes.values() if note.stop]
    assert {stop.mean for stop in kept} == {stop.mean for stop in stops}
    assert to_dataframe(tmp_path / "invented")["expected"].isna().all()
    again.search(verbose=0)
    assert to_dataframe(tmp_path / "invented")["expected"].notna().sum() == 1


def test_the_mean_that_version_0_1_stored_is_kept_where_it_lies_in_the_interval(
    tmp_path: Path,
) -> None:
    found = searched(tmp_path, stopping=Foretelling())
    before = to_dataframe(found)["expected"]
    as_version_0_1(tmp_path / "invented")
    after = to_dataframe(tmp_path / "invented")["expected"]
    assert before.notna().sum() > 5
    assert after.tolist() == pytest.approx(before.tolist(), abs=1e-2, nan_ok=True)


def overfitting(rng: np.random.Generator, best: float, epochs: int) -> tuple[float, ...]:
    """A curve that rises at once, and falls slowly."""
    rise = best - (best - 0.2) * np.exp(-np.arange(1, epochs + 1))
    fall = 0.01 * np.arange(epochs)
    return tuple(float(v) for v in np.round(rise - fall + rng.normal(0, 5e-4, epochs), 4))


def test_the_reason_of_the_rule_holds_its_prediction() -> None:
    """After an epoch that was the best, the mean lies above the interval, which is that epoch."""
    rng = np.random.default_rng(0)
    ended = [
        Record(str(i), {}, max(values), "completed", curve=values, horizon=40)
        for i, best in enumerate(rng.uniform(0.7, 0.95, 8))
        for values in [overfitting(rng, best, 40)]
    ]
    shape, outside = r"predicted best (\S+) \(median\), 90 % interval (\S+) to (\S+)", 0
    for seen in range(6, 36, 3):
        trial = Record("new", {}, curve=overfitting(rng, 0.6, 40)[:seen], horizon=40)
        verdict = LearningCurveExtrapolation().judge(trial, History([*ended, trial]))
        forecast = verdict.forecast
        low, high = forecast.quantile(0.05), forecast.quantile(0.95)
        outside += not low <= forecast.mean <= high
        match = re.search(shape, verdict.reason)
        assert match
        median, least, most = map(float, match.groups())
        assert least <= median <= most
    assert outside


def test_the_picture_shows_the_median_in_its_interval(tmp_path: Path) -> None:
    found = searched(tmp_path, stopping=LongTail(), max_trials=1)

    class Model:
        def fit(self, curves: Any) -> Model:
            return self

        def forecast(self, curve: Any) -> Forecast:
            best = max(curve)
            return LongTail().judge(Record("0", {}, curve=(best,)), History()).forecast

    labels = plot_trial(found, "0", forecaster=Model()).get_legend_handles_labels()[1]
    (label,) = [text for text in labels if text.startswith("best value expected")]
    median, least, most = map(float, re.findall(r"(?<= )0\.\d+", label))
    assert "(median)" in label
    assert least <= median <= most
    matplotlib.pyplot.close("all")
