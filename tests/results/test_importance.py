"""The importance of hyperparameters: known variances, conditions, outliers, too few trials."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner as kt
import matplotlib
import pytest

import kt_plus
from kt_plus.errors import ResultsError
from kt_plus.results import importance_to_dataframe, plot_importance
from tests.errors import raises_in_three_parts

matplotlib.use("Agg")
from matplotlib import pyplot as plt

pytest.importorskip("optuna")
pytest.importorskip("sklearn")


def space() -> kt.HyperParameters:
    """A number on a logarithmic scale, two others, a choice, and one that hangs on it."""
    hp = kt.HyperParameters()
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Float("weak", 0.0, 1.0)
    hp.Int("idle", 1, 9)
    hp.Fixed("constant", 3)
    if hp.Choice("kind", ["plain", "special"]):
        with hp.conditional_scope("kind", ["special"]):
            hp.Float("depth", 0.0, 1.0, default=0.5)
    return hp


def additive(values: dict[str, Any]) -> float:
    """Four fifths of its variance are the rate's, one fifth is the weak one's."""
    return 2 * math.log10(values["rate"]) / 4 + values["weak"]


def conditional(values: dict[str, Any]) -> float:
    return values.get("depth", 0.5) + 0.5 * values["weak"]


def search(folder: Path, score: Callable[[dict[str, Any]], float], trials: int, sign: int = 1):
    """Plain random search by Keras Tuner."""

    class Plain(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return sign * score(trial.hyperparameters.values)

    direction = "max" if sign > 0 else "min"
    plain = Plain(
        objective=kt.Objective("score", direction),
        hyperparameters=space(),
        max_trials=trials,
        directory=folder,
        project_name="p",
        seed=1,
    )
    plain.search(verbose=0)
    return plain


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return search(tmp_path_factory.mktemp("additive"), additive, 120)


@pytest.fixture(scope="module")
def frame(found: Any) -> Any:
    return importance_to_dataframe(found)


def test_the_shares_are_those_of_the_variance(frame: Any) -> None:
    assert [*frame.index[:2]] == ["rate", "weak"]
    assert set(frame.index) == {"rate", "weak", "idle", "kind", "depth"}
    assert frame["importance"]["rate"] == pytest.approx(0.8, abs=0.1)
    assert frame["importance"]["weak"] == pytest.approx(0.2, abs=0.1)
    assert (frame["importance"][2:] < 0.02).all()
    assert ((frame["low"] <= frame["importance"]) & (frame["importance"] <= frame["high"])).all()
    assert frame["low"]["rate"] > frame["high"]["weak"]


def test_the_sign_of_the_objective_changes_nothing(frame: Any, tmp_path: Path) -> None:
    minimised = search(tmp_path, additive, 120, sign=-1)
    assert importance_to_dataframe(minimised.project_dir).equals(frame)


def test_a_conditional_one_counts_where_it_is_active(tmp_path: Path) -> None:
    """There, four fifths of the variance are its own."""
    plain = search(tmp_path, conditional, 150)
    frame = importance_to_dataframe(plain)
    active = sum(
        t.hyperparameters.values["kind"] == "special" for t in plain.oracle.trials.values()
    )
    assert frame["importance"]["depth"] == pytest.approx(0.8, abs=0.1)
    assert [*frame.index[:2]] == ["depth", "weak"]
    assert dict(frame["trials"]) == {n: active if n == "depth" else 150 for n in frame.index}


def test_one_trial_that_has_diverged_does_not_hide_the_others(tmp_path: Path) -> None:
    def diverging(values: dict[str, Any]) -> float:
        return -1e12 if values["weak"] > 0.97 else additive(values)

    plain = search(tmp_path, diverging, 100)
    assert 1 <= sum(t.score == -1e12 for t in plain.oracle.trials.values()) <= 5
    frame = importance_to_dataframe(plain)
    assert frame.index[0] == "rate"
    assert frame["importance"]["rate"] > 0.5


def test_the_picture_tells_shares_and_intervals(found: Any, frame: Any) -> None:
    ax = plot_importance(found)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([*frame["importance"]])
    names = [label.get_text() for label in ax.get_yticklabels()]
    active = f" (in {frame['trials']['depth']} trials)"
    assert names == [f"{name}{active}" if name == "depth" else name for name in frame.index]
    assert ax.get_title(loc="left") == "Importance of each hyperparameter for score, 120 trials"
    assert "share of the variance" in ax.get_xlabel()
    texts = [text.get_text() for text in ax.texts]
    assert texts == [f"{100 * share:.0f} %" for share in frame["importance"]]
    figure = ax.figure
    figure.canvas.draw()
    assert all(figure.bbox.containsx(t.get_window_extent().x1) for t in ax.texts)
    assert max(ax.get_xticks()) <= 1.0
    plt.close(figure)


def test_too_few_trials_are_told(tmp_path: Path) -> None:
    with raises_in_three_parts(
        ResultsError, happened="has 9 completed trials, which", expected="at least 10"
    ):
        plot_importance(search(tmp_path / "few", additive, 9))
    with raises_in_three_parts(
        ResultsError, happened="all of the same score", expected="different scores"
    ):
        plot_importance(search(tmp_path / "equal", lambda values: 1.0, 12))
    plt.close("all")


def test_trials_of_lower_fidelity_are_left_out(tmp_path: Path) -> None:
    from tests.invented_search import tuner

    ladder = kt_plus.fidelity.Epochs(1, 4, 12)
    halving = tuner(tmp_path, kt_plus.SuccessiveHalving, configurations=16, ladder=ladder)
    halving.search(verbose=0)
    with pytest.raises(ResultsError, match="has 4 completed trials of full fidelity, which"):
        importance_to_dataframe(halving)


def test_where_nothing_varies_nothing_is_important(tmp_path: Path) -> None:
    plain = search(tmp_path, additive, 12)
    for file in Path(plain.project_dir).glob("trial_*/trial.json"):
        content = json.loads(file.read_text())
        content["hyperparameters"]["values"] = {"rate": 0.1, "weak": 0.5, "kind": "plain"}
        file.write_text(json.dumps(content))
    with raises_in_three_parts(
        ResultsError, happened="No hyperparameter varies", expected="over different values"
    ):
        importance_to_dataframe(plain.project_dir)


def test_what_is_missing_is_told(
    found: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "sklearn.ensemble", None)
        with raises_in_three_parts(ImportError, happened="is not installed", expected="needs"):
            importance_to_dataframe(found)
    monkeypatch.setitem(sys.modules, "optuna.importance", None)
    told = "needs optuna.importance, which is not installed"
    assert told in Path(kt_plus.report(found, tmp_path / "report.html")).read_text()
