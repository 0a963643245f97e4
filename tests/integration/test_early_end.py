"""A search that ends because nothing untried is left says so, with the number it has counted."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import pytest

import kt_plus
from kt_plus import DONE, History, Proposal, Space

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

SEARCHES: dict[str, dict[str, Any]] = {
    "RandomSearch": {},
    "EvolutionarySearch": {"population_size": 2, "tournament_size": 1, "random_trials": 2},
    "ReinforcementLearning": {"batch_size": 1, "units": 4},
    "BayesianOptimization": {"num_initial_points": 2},
    "OptunaSearch": {},
}


def six() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("kind", ["a", "b", "c"])
    hp.Boolean("flag")
    return hp


def black_box(search: str, directory: Path, **arguments: Any) -> Any:
    """A search that trains nothing, of six configurations."""

    class BlackBox(getattr(kt_plus, search)):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(ord(trial.hyperparameters.get("kind")))

    settings = {"seed": 5, "hyperparameters": six(), "directory": directory, **arguments}
    return BlackBox(**settings)


def warned(run: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """The warnings of the end of the search."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [each for each in caught if "The search ended" in str(each.message)]


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_warns_once_when_nothing_untried_is_left(
    search: str, verbose: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuner = black_box(search, tmp_path, max_trials=20, **SEARCHES[search])
    (warning,) = warned(lambda: tuner.search(verbose=verbose))
    assert warning.category is UserWarning
    assert warning.filename == __file__  # where `search` is called
    assert re.fullmatch(
        r"The search ended after 6 of 20 trials: no untried configuration is left "
        r"\(configurations tried: 6\)\. To run more trials, add hyperparameters or values\.",
        str(warning.message),
    )
    printed = capsys.readouterr()
    assert "untried" not in printed.out + printed.err
    if not verbose:
        assert not printed.out + printed.err


def test_a_search_that_is_run_again_says_it_again(tmp_path: Path) -> None:
    tuner = black_box("RandomSearch", tmp_path, max_trials=20)
    for _ in range(2):
        assert len(warned(lambda: tuner.search(verbose=0))) == 1
    resumed = black_box("RandomSearch", tmp_path, max_trials=20)
    assert len(warned(lambda: resumed.search(verbose=0))) == 1


@pytest.mark.parametrize("max_trials", [3, 6])
def test_a_search_that_runs_all_its_trials_says_nothing(
    max_trials: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuner = black_box("RandomSearch", tmp_path, max_trials=max_trials)
    assert not warned(lambda: tuner.search(verbose=1))
    assert "The search ended" not in capsys.readouterr().out


def test_a_search_whose_time_is_used_up_says_nothing_of_configurations(tmp_path: Path) -> None:
    tuner = black_box("RandomSearch", tmp_path, max_trials=20, max_time=1e-6)
    assert not warned(lambda: tuner.search(verbose=0))


def test_without_max_trials_the_end_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuner = black_box("RandomSearch", tmp_path, max_trials=None)
    assert not warned(lambda: tuner.search(verbose=1))
    line = "The search ended after 6 trials: no untried configuration is left"
    assert f"{line} (configurations tried: 6).\n" in capsys.readouterr().out


@pytest.mark.parametrize(("max_trials", "after"), [(20, "6 of 20"), (None, "6")])
@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_a_complete_grid_is_a_normal_end(
    max_trials: int | None,
    after: str,
    verbose: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tuner = black_box("GridSearch", tmp_path, max_trials=max_trials)
    assert not warned(lambda: tuner.search(verbose=verbose))
    line = f"The search ended after {after} trials: the grid is complete (configurations tried: 6)."
    assert capsys.readouterr().out.count(line) == (1 if verbose else 0)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_halving_counts_configurations_and_not_trials(
    asynchronous: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuner = black_box(
        "SuccessiveHalving",
        tmp_path,
        configurations=16,
        factor=2,
        max_epochs=4,
        asynchronous=asynchronous,
    )
    found = warned(lambda: tuner.search(verbose=1))
    trials = len(tuner.oracle.trials)
    assert trials > 6
    of = "" if asynchronous else f" of {tuner.oracle.max_trials}"
    text = (
        f"The search ended after {trials}{of} trials: no untried configuration is left "
        "(configurations tried: 6)."
    )
    shown = capsys.readouterr().out + "".join(str(each.message) for each in found)
    assert shown.count(text) == 1
    assert len(found) == (0 if asynchronous else 1)


def test_trials_of_earlier_projects_are_counted(tmp_path: Path) -> None:
    black_box("RandomSearch", tmp_path, max_trials=4, project_name="first").search(verbose=0)
    earlier = str(tmp_path / "first")
    tuner = black_box("RandomSearch", tmp_path, max_trials=20, history=earlier)
    (warning,) = warned(lambda: tuner.search(verbose=0))
    assert "after 2 of 20 trials" in str(warning.message)
    assert "(configurations tried: 6, with earlier projects)" in str(warning.message)


def test_a_strategy_that_ends_for_a_reason_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Twice:
        def propose(self, space: Space, history: History, rng: Any) -> Any:
            return Proposal(space.draw(rng)) if len(history) < 2 else DONE

    class BlackBox(kt_plus.Tuner):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return 1.0

    oracle = kt_plus.Oracle(max_trials=5, hyperparameters=six(), seed=1, strategy=Twice())
    tuner = BlackBox(oracle, directory=tmp_path)
    assert not warned(lambda: tuner.search(verbose=1))
    line = "The search ended after 2 of 5 trials: the strategy proposes no more"
    assert f"{line} (configurations tried: 2).\n" in capsys.readouterr().out


class Loop(kt.HyperModel):
    """Four networks, of six configurations."""

    def build(self, hp: Any) -> Any:
        layers = hp.Int("layers", 1, 2)
        widths = [hp.Choice(f"width_{i}", [2, 4, 8]) for i in range(layers) if i == 1]
        return keras.Sequential([keras.layers.Dense(width) for width in widths or [1]])

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> float:
        return float(len(model.layers))


def test_it_names_the_hyperparameters_that_a_model_did_not_use(tmp_path: Path) -> None:
    tuner = kt_plus.RandomSearch(Loop(), max_trials=20, seed=1, directory=tmp_path)
    (warning,) = warned(lambda: tuner.search(verbose=0))
    assert "(configurations tried: 4)" in str(warning.message)
    assert "Hyperparameters that a model did not use do not count: width_1." in str(warning.message)


def test_a_tuner_of_keras_tuners_own_with_an_oracle_of_ours(tmp_path: Path) -> None:
    class Plain(kt.engine.base_tuner.BaseTuner):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return 1.0

    oracle = kt_plus.oracles.RandomSearchOracle(max_trials=20, seed=1, hyperparameters=six())
    tuner = Plain(oracle, directory=tmp_path, project_name="p")
    assert len(warned(lambda: tuner.search(verbose=0))) == 1
