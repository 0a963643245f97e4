"""What a search proposes: never twice the same, the user's first, and as if never interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import pytest

import kt_plus
from tests.integration.small_networks import SEARCHES

OURS = [name for name in SEARCHES if name.startswith("kt_plus.")]
every_search = pytest.mark.parametrize("search", OURS)
without_hyperband = [name for name in OURS if name != "kt_plus.Hyperband"]


def black_box(search: str, function: Callable[[Any], float], **kwargs: Any) -> Any:
    """A tuner that minimises a function of hyperparameters."""

    class BlackBox(SEARCHES[search][0]):
        def run_trial(self, trial: Any, *args: Any, **_: Any) -> float:
            return function(trial.hyperparameters)

    return BlackBox(overwrite=kwargs.pop("overwrite", False), **{"seed": 5, **kwargs})


def combinations_of_24() -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("kind", ["a", "b", "c"])
    hp.Int("size", 1, 4)
    hp.Boolean("flag")
    return hp


def cost_of_24(hp: Any) -> float:
    kind = hp.Choice("kind", ["a", "b", "c"])
    return ord(kind) - 90 + (hp.Int("size", 1, 4) - 3) ** 2 + hp.Boolean("flag")


def proposals(tuner: Any) -> list[dict[str, Any]]:
    return [dict(trial.hyperparameters.values) for trial in tuner.oracle.trials.values()]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("search", without_hyperband)
def test_24_combinations_are_24_trials(search: str, known: bool, tmp_path: Path) -> None:
    space = combinations_of_24() if known else None
    tuner = black_box(search, cost_of_24, max_trials=40, hyperparameters=space, directory=tmp_path)
    tuner.search(verbose=0)
    assert len(tuner.oracle.trials) == 24
    assert len({str(sorted(values.items())) for values in proposals(tuner)}) == 24
    assert tuner.oracle.get_best_trials()[0].score == 7


@pytest.mark.parametrize("search", without_hyperband[:3])
def test_exactly_max_trials_of_24_combinations(search: str, tmp_path: Path) -> None:
    tuner = black_box(search, cost_of_24, max_trials=24, directory=tmp_path)
    tuner.search(verbose=0)
    assert len({str(sorted(values.items())) for values in proposals(tuner)}) == 24


class PlainLoop(kt.HyperModel):
    """Two widths for each of one to three layers: 2 + 4 + 8 networks."""

    def __init__(self) -> None:
        super().__init__()
        self.fitted: list[tuple[int, ...]] = []

    def build(self, hp: Any) -> Any:
        layers = hp.Int("layers", 1, 3)
        widths = tuple(hp.Choice(f"width_{i}", [4, 8]) for i in range(layers))
        model = keras.Sequential([keras.layers.Dense(width) for width in widths])
        model.widths = widths
        return model

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> float:
        self.fitted.append(model.widths)
        return float(sum(model.widths))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("search", without_hyperband)
def test_values_that_build_the_same_network_count_as_one(search: str, tmp_path: Path) -> None:
    hypermodel = PlainLoop()
    tuner = SEARCHES[search][0](hypermodel, max_trials=30, seed=5, directory=tmp_path)
    tuner.search(verbose=0)
    assert len(hypermodel.fitted) == 14
    assert len(set(hypermodel.fitted)) == 14


def test_building_is_tried_once_for_each_branch(tmp_path: Path) -> None:
    builds: list[str] = []

    def build(hp: Any) -> Any:
        branch = hp.Choice("branch", [f"branch{i}" for i in range(40)])
        builds.append(branch)
        with hp.conditional_scope("branch", [branch]):
            hp.Int(f"size of {branch}", 1, 3)
        for other in range(40):
            with hp.conditional_scope("branch", [f"branch{other}"]):
                if branch == f"branch{other}":
                    hp.Float(f"rate of {branch}", 0, 1)
        return keras.Sequential()

    tuner = kt_plus.EvolutionarySearch(build, "loss", directory=tmp_path)
    assert len(builds) <= 41
    assert len(tuner.oracle.get_space().space) == 81


@every_search
def test_initial_configurations_come_first(search: str, tmp_path: Path) -> None:
    first = [{"kind": "c", "size": 2, "flag": True}, {"size": 4}]
    tuner = black_box(
        search,
        cost_of_24,
        hyperparameters=combinations_of_24(),
        initial_configurations=first,
        directory=tmp_path,
        **SEARCHES[search][1],
    )
    tuner.search(verbose=0)
    tried = [
        {name: value for name, value in values.items() if not name.startswith("tuner/")}
        for values in proposals(tuner)
    ]
    assert tried[:2] == [first[0], {"kind": "a", "size": 4, "flag": False}]
    assert len(tried) >= 3
    assert not [values for values in tried[2:] if values in tried[:2]]


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("search", without_hyperband)
def test_an_earlier_project_is_learnt_from(search: str, as_list: bool, tmp_path: Path) -> None:
    earlier = black_box(
        "kt_plus.RandomSearch",
        cost_of_24,
        max_trials=20,
        hyperparameters=combinations_of_24(),
        directory=tmp_path,
        project_name="earlier",
    )
    earlier.search(verbose=0)
    place = str(tmp_path / "earlier")
    settings = {
        "hyperparameters": combinations_of_24(),
        "history": [place] if as_list else place,
        "directory": tmp_path,
        "project_name": "later",
        "max_trials": 30,
    }
    later = black_box(search, cost_of_24, **settings)
    later.search(verbose=0)
    assert len(later.oracle.trials) == 4  # those that the earlier one had left
    assert not [values for values in proposals(later) if values in proposals(earlier)]
    assert len(later.oracle.history) == 24
    again = black_box(search, cost_of_24, **settings)
    assert list(again.oracle.history) == list(later.oracle.history)


def test_evolution_begins_with_the_parents_of_an_earlier_project(tmp_path: Path) -> None:
    def cost(hp: Any) -> float:
        return sum((hp.Float(name, 0.0, 1.0) - 0.5) ** 2 for name in "abcdef")

    place = {"directory": tmp_path, "max_trials": 20}
    earlier = black_box("kt_plus.RandomSearch", cost, project_name="earlier", **place)
    earlier.search(verbose=0)
    later = black_box(
        "kt_plus.EvolutionarySearch",
        cost,
        surrogate=None,
        history=tmp_path / "earlier",
        hyperparameters=earlier.oracle.get_space(),
        project_name="later",
        **place,
    )
    later.search(verbose=0)
    parents = [later.oracle.notes[trial_id].parent for trial_id in later.oracle.start_order]
    assert all(parents)
    assert str(tmp_path / "earlier") in parents[0]
    for record in list(later.oracle.history)[20:]:
        parent = later.oracle.history.get(record.parent)
        assert set(later.oracle.notes[record.trial_id].changed) == {
            name for name in record.values if record.values[name] != parent.values[name]
        }


NOT_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@pytest.mark.parametrize("direction", ["min", "max"])
@every_search
def test_what_is_no_finite_number_has_failed(search: str, direction: str, tmp_path: Path) -> None:
    def cost(hp: Any) -> float:
        number = len(tuner.oracle.trials) - 1
        return [math.inf, hp.Float("x", 0, 1), -math.inf, hp.get("x"), math.nan][number % 5]

    hp = kt.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    settings = {**SEARCHES[search][1], "max_trials": 12}
    if search == "kt_plus.Hyperband":
        settings = {"max_epochs": 3, "factor": 3}
    tuner = black_box(
        search,
        cost,
        objective=kt.Objective("cost", direction),
        hyperparameters=hp,
        max_consecutive_failed_trials=4,
        directory=tmp_path,
        **settings,
    )
    tuner.search(verbose=0)
    for number, trial in enumerate(tuner.oracle.trials.values()):
        finite = number % 5 in (1, 3)
        assert trial.status == ("COMPLETED" if finite else "FAILED")
        assert (trial.score is not None) == finite
        assert finite or "training diverged" in trial.message
    completed = [t.trial_id for t in tuner.oracle.trials.values() if t.status == "COMPLETED"]
    assert tuner.oracle.get_best_trials()[0].trial_id in completed
    assert len(tuner.get_best_hyperparameters(50)) == len(completed)
    parents = {tuner.oracle.notes[trial_id].parent for trial_id in tuner.oracle.trials}
    assert parents <= {None, *completed}


@every_search
def test_a_trial_that_diverged_may_succeed_when_retried(search: str, tmp_path: Path) -> None:
    results = iter([math.nan, 0.25, math.inf, math.nan, 0.5, *[0.75] * 50])
    hp = kt.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    tuner = black_box(
        search,
        lambda hp: next(results),
        hyperparameters=hp,
        max_retries_per_trial=2,
        directory=tmp_path,
        **SEARCHES[search][1],
    )
    tuner.search(verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert [trial.score for trial in trials[:3]] == [0.25, 0.5, 0.75]
    assert [trial.status for trial in trials] == ["COMPLETED"] * len(trials)
    assert [tuner.oracle.notes[trial.trial_id].attempts for trial in trials[:3]] == [2, 3, 1]


def conditional_cost(hp: Any) -> float:
    """Its space is found as it is searched, with conditions."""
    kind = hp.Choice("kind", ["linear", "quadratic"])
    x = hp.Float("x", -1.0, 1.0)
    with hp.conditional_scope("kind", ["quadratic"]):
        if kind == "quadratic":
            return (x - hp.Float("centre", -1.0, 1.0)) ** 2
    return 2.0 + x * hp.Int("slope", 1, 5)


SETTINGS = {
    "kt_plus.RandomSearch": {"max_trials": 12},
    "kt_plus.EvolutionarySearch": {"max_trials": 16},
    "kt_plus.GridSearch": {"max_trials": 24},
    "kt_plus.BayesianOptimization": {"max_trials": 12, "num_initial_points": 4},
    "kt_plus.Hyperband": {"max_epochs": 9, "factor": 3},
}


def full_space() -> kt.HyperParameters:
    """The space of `conditional_cost`, without which Hyperband cannot begin."""
    hp = kt.HyperParameters()
    conditional_cost(hp)
    hp.values["kind"] = "quadratic"
    conditional_cost(hp)
    hp.values = {}
    return hp


@pytest.mark.versions
@pytest.mark.parametrize(
    ("search", "known"),
    [
        ("kt_plus.RandomSearch", True),
        ("kt_plus.RandomSearch", False),
        ("kt_plus.EvolutionarySearch", True),
        ("kt_plus.EvolutionarySearch", False),
        ("kt_plus.GridSearch", True),
        ("kt_plus.GridSearch", False),
        ("kt_plus.BayesianOptimization", False),
        ("kt_plus.Hyperband", True),
    ],
)
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(
    search: str, known: bool, tmp_path: Path
) -> None:
    def run(project: str, interrupt_at: set[int]) -> list[dict[str, Any]]:
        def cost(hp: Any) -> float:
            if len(tuner.oracle.trials) in interrupt_at:
                raise KeyboardInterrupt
            return conditional_cost(hp)

        while True:
            space = full_space() if known else None
            place = {"directory": tmp_path, "project_name": project, "hyperparameters": space}
            tuner = black_box(search, cost, **place, **SETTINGS[search])
            try:
                tuner.search(verbose=0)
            except KeyboardInterrupt:
                interrupt_at.remove(len(tuner.oracle.trials))
                continue
            return proposals(tuner)

    uninterrupted = run("uninterrupted", set())
    assert len(uninterrupted) >= 12
    interruptions = {1, 2, 5, 6, 9, 11, 12}
    assert run("interrupted", interruptions) == uninterrupted
    assert not interruptions


def rounds(tuner: Any) -> list[tuple[int, int]]:
    """Of each of Hyperband's trials, the epochs that it goes on from and those that it goes to."""
    return [(v["tuner/initial_epoch"], v["tuner/epochs"]) for v in proposals(tuner)]


def kinds(count: int) -> kt.HyperParameters:
    hp = kt.HyperParameters()
    hp.Choice("kind", list(range(count)))
    return hp


def test_hyperband_trains_the_best_of_few_configurations_to_the_end(tmp_path: Path) -> None:
    """Keras Tuner's ends with all of them at one epoch, since they do not fill a bracket."""
    ended = []

    def cost(hp: Any) -> float:
        ended.append(hp.get("kind"))
        if len(ended) in (2, 4):
            raise KeyboardInterrupt
        return abs(hp.get("kind") - 1)

    settings = {"hyperparameters": kinds(3), "max_epochs": 9, "directory": tmp_path}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            black_box("kt_plus.Hyperband", cost, **settings).search(verbose=0)
    tuner = black_box("kt_plus.Hyperband", cost, **settings)
    tuner.search(verbose=0)
    assert rounds(tuner) == [(0, 1)] * 3 + [(1, 3), (3, 9)]
    assert [values["kind"] for values in proposals(tuner)[3:]] == [1, 1]


def test_hyperband_promotes_those_that_did_not_fail(tmp_path: Path) -> None:
    """Keras Tuner's promotes none of nine if three have failed."""

    def cost(hp: Any) -> float:
        if hp.get("kind") not in (1, 5):
            raise kt.errors.FailedTrialError("too large")
        return float(hp.get("kind"))

    tuner = black_box(
        "kt_plus.Hyperband",
        cost,
        hyperparameters=kinds(9),
        max_epochs=9,
        max_consecutive_failed_trials=9,
        directory=tmp_path,
    )
    tuner.search(verbose=0)
    assert rounds(tuner) == [(0, 1)] * 9 + [(1, 3)] * 2 + [(3, 9)]
    assert [values["kind"] for values in proposals(tuner)[9:]] == [1, 5, 1]


def test_what_is_given_when_a_search_goes_on_counts(tmp_path: Path) -> None:
    """Keras Tuner's go on with what they were begun with, and do not say so."""
    place = {"directory": tmp_path, "project_name": "bayesian", "hyperparameters": kinds(9)}
    black_box("kt_plus.BayesianOptimization", lambda hp: 1.0, max_trials=2, **place).search()
    given = {"alpha": 0.1, "beta": 9.0, "num_initial_points": 4}
    tuner = black_box("kt_plus.BayesianOptimization", lambda hp: 1.0, **given, **place)
    assert {name: getattr(tuner.oracle, name) for name in given} == given
    strategy = tuner.oracle.strategy
    assert (strategy.noise, strategy.beta, strategy.random_trials) == (0.1, 9.0, 4)
    assert len(tuner.oracle.trials) == 2
    tuner.search(verbose=0)

    def cost(hp: Any) -> float:
        return float(hp.get("kind"))

    place |= {"project_name": "hyperband", "hyperparameters": kinds(99), "max_epochs": 3}
    for iterations, trials in ((1, 6), (2, 12), (1, 12)):
        settings = {"hyperband_iterations": iterations, **place}
        tuner = black_box("kt_plus.Hyperband", cost, **settings)
        tuner.search(verbose=0)
        assert len(tuner.oracle.trials) == trials
    with pytest.warns(UserWarning, match=r"begun with, max_epochs=3 and factor=3, although now"):
        tuner = black_box("kt_plus.Hyperband", cost, **{**place, "max_epochs": 9})
    assert (tuner.oracle.max_epochs, len(tuner.oracle.trials)) == (3, 12)


def test_a_strategy_that_waits_is_asked_again_when_something_has_changed(tmp_path: Path) -> None:
    asked = []

    class Alternating:
        """A trial only while none runs."""

        def propose(self, space: Any, history: Any, rng: Any) -> Any:
            asked.append(len(history))
            running = any(record.status == "running" for record in history)
            return kt_plus.WAIT if running else kt_plus.Proposal({})

    oracle = kt_plus.Oracle(kt.Objective("loss", "min"), 3, strategy=Alternating())
    oracle.idle_pause = 0.0
    oracle._set_project_dir(str(tmp_path), "search")
    trial = oracle.create_trial("one")
    waiting = [oracle.create_trial("two").status for _ in range(100)]
    assert (trial.status, set(waiting), asked) == ("RUNNING", {"IDLE"}, [0, 1])
    oracle.update_trial(trial.trial_id, {"loss": 1.0})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert oracle.create_trial("two").status == "RUNNING"
    assert asked == [0, 1, 1]
