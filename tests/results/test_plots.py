"""Pictures of trials: what is drawn is what was recorded, in the user's sign."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

import kt_plus
from kt_plus.performance_estimation.learning_curves.forecast import AtLeast, Forecast, Mixture
from kt_plus.results import plot_trial
from tests.errors import raises_in_three_parts
from tests.invented_search import EPOCHS, Foretelling, curve, tuner

matplotlib.use("Agg")
from matplotlib import pyplot as plt


class Steady:
    """Expects a hundredth more with each epoch, and remembers what it was told."""

    def fit(self, curves: Any) -> Steady:
        self.curves = list(curves)
        return self

    def forecast(self, prefix: Any) -> Forecast:
        self.prefix = tuple(prefix)
        one, left = np.ones(1), range(1, EPOCHS - len(prefix) + 1)
        values = tuple(Mixture(one, one * (prefix[-1] + 0.01 * k), 0.01 * one) for k in left)
        return Forecast(AtLeast(max(prefix), values[-1]), values, len(prefix))


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module", params=["max", "min"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    searched = tuner(
        tmp_path_factory.mktemp("plots"), direction=request.param, stopping=Foretelling()
    )
    searched.search(verbose=0)
    return searched


def stopped(found: Any, kind: str = "stop") -> str:
    """The id of the third trial that was stopped."""
    return [t for t in found.oracle.trials if getattr(found.oracle.notes[t], kind)][2]


def drawn(ax: Any) -> dict[str, Any]:
    return dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))


def test_a_stopped_trial(found: Any, tmp_path: Path) -> None:
    trial_id, model, sign = stopped(found), Steady(), found.oracle.sign
    ax = plot_trial(found, trial_id, forecaster=model)
    record, note = found.oracle.history.get(trial_id), found.oracle.notes[trial_id]
    epoch = note.stop.epoch
    lines = drawn(ax)
    assert list(lines["observed"].get_xdata()) == [*range(1, epoch + 1)]
    assert list(lines["observed"].get_ydata()) == note.curves[0].values
    best = lines[f"best trial until then: {note.stop.incumbent:.4g}"]
    assert set(best.get_ydata()) == {note.stop.incumbent}
    assert set(lines[f"stopped at epoch {epoch}"].get_xdata()) == {epoch}
    forecast = lines["forecast: median, 50 % and 90 % intervals"]
    assert list(forecast.get_xdata()) == [*range(epoch + 1, EPOCHS + 1)]
    expected = [sign * (record.curve[-1] + 0.01 * k) for k in range(1, EPOCHS - epoch + 1)]
    assert list(forecast.get_ydata()) == pytest.approx(expected)
    narrow, wide = (band.get_datalim(ax.transData).height for band in ax.collections[:2])
    assert narrow < wide
    assert any(label.startswith("best value expected: ") for label in lines)
    assert ax.get_title(loc="left").replace("\n", " ") == f"Trial {trial_id}: {note.stop_reason}"
    assert ax.get_xlabel() == "epoch"
    better = {1: "larger", -1: "smaller"}[sign]
    assert ax.get_ylabel() == f"score ({better} is better)"
    ax.figure.savefig(tmp_path / "trial.png")
    assert (tmp_path / "trial.png").stat().st_size > 10_000


def test_the_forecast_is_made_of_what_was_known_then(found: Any) -> None:
    trial_id, model = stopped(found), Steady()
    plot_trial(found.project_dir, trial_id, forecaster=model)
    history = found.oracle.history
    place = [record.trial_id for record in history].index(trial_id)
    assert model.curves == [record.curve for record in history[:place]]
    assert model.prefix == history.get(trial_id).curve


def test_nothing_overlaps(found: Any) -> None:
    ax = plot_trial(found, stopped(found), forecaster=Steady())
    ax.figure.canvas.draw()
    boxes = [
        ax.get_window_extent(),
        ax.get_legend().get_window_extent(),
        ax.xaxis.label.get_window_extent(),
        ax.yaxis.label.get_window_extent(),
        ax._left_title.get_window_extent(),
        *(
            label.get_window_extent()
            for label, tick in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)
            if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]
        ),
    ]
    page = ax.figure.bbox
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        assert not [other for other in boxes[:i] if box.shrunk(0.9, 0.9).overlaps(other)]


def test_a_dry_run_shows_how_the_trial_went_on(tmp_path: Path) -> None:
    dry = tuner(tmp_path, stopping=Foretelling().dry_run())
    dry.search(verbose=0)
    trial_id = stopped(dry, "dry_stop")
    lines = drawn(plot_trial(dry, trial_id, forecaster=Steady()))
    epoch = dry.oracle.notes[trial_id].dry_stop.epoch
    full = curve(dry.oracle.trials[trial_id].hyperparameters.values)
    assert list(lines["observed"].get_ydata()) == full[:epoch]
    assert list(lines["observed afterwards"].get_ydata()) == full[epoch - 1 :]
    assert f"would have been stopped at epoch {epoch}" in lines


def test_a_trial_that_was_not_stopped(found: Any) -> None:
    whole = next(t for t in found.oracle.trials if not found.oracle.notes[t].stop)
    lines = drawn(plot_trial(found, whole))
    assert "observed" in lines
    assert not [label for label in lines if "forecast" in label or "stopped" in label]
    model = Steady()
    lines = drawn(plot_trial(found, whole, epoch=3, forecaster=model))
    assert len(model.prefix) == 3
    assert "forecast at epoch 3" in lines
    assert "observed afterwards" in lines


def test_it_is_drawn_where_it_is_told_to(found: Any) -> None:
    _, axes = plt.subplots(1, 2, figsize=(14, 5))
    assert plot_trial(found, stopped(found), axes[1], forecaster=Steady()) is axes[1]
    assert not axes[0].lines
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e34, -1e34])
@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_curve_that_diverges_leaves_the_rest_to_be_seen(
    value: float, direction: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wild(values: Any, epochs: int = EPOCHS) -> list[float]:
        return [*usual(values, epochs)[: epochs - 1], value]

    usual = curve
    monkeypatch.setattr("tests.invented_search.curve", wild)
    searched = tuner(tmp_path, direction=direction, max_trials=2)
    searched.search(verbose=0)
    ax = plot_trial(searched, "1")
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    assert value == 1e34 or -10 < low < high < 10  # the best of all is no divergence


@pytest.mark.parametrize(
    ("arguments", "happened", "expected"),
    [
        ({"trial_id": "99"}, "trial_id='99'", "Expected one of the trials of"),
        ({"trial_id": "00", "epoch": 0}, "epoch=0", f"1 to {EPOCHS}"),
        ({"trial_id": "00", "epoch": EPOCHS + 1}, f"epoch={EPOCHS + 1}", f"1 to {EPOCHS}"),
    ],
)
def test_what_cannot_be_drawn_is_told(
    found: Any, arguments: Any, happened: str, expected: str
) -> None:
    with raises_in_three_parts(kt_plus.errors.ResultsError, happened=happened, expected=expected):
        plot_trial(found, **arguments)


def test_a_trial_without_a_curve(tmp_path: Path) -> None:
    class Silent(kt_plus.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.Float("x", 0.0, 1.0))

    silent = Silent(max_trials=1, directory=tmp_path, project_name="silent")
    silent.search(verbose=0)
    with raises_in_three_parts(
        kt_plus.errors.ResultsError, happened="Trial 0", expected="Expected one that"
    ):
        plot_trial(silent, "0")


def test_without_matplotlib_the_remedy_is_told(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with raises_in_three_parts(ImportError, happened="not installed", expected="needs matplotlib"):
        plot_trial(found, "00")
