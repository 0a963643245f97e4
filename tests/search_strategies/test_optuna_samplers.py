"""All samplers of Optuna in searches with a project: resuming, workers, failures, learning."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import pytest
from keras_tuner.engine import trial as kt_trial

import kt_plus
from kt_plus.engine.dimensions import Numeric
from kt_plus.engine.space import Space
from kt_plus.search_strategies import optuna_sampling as sampling
from kt_plus.testing import StrategySuite, simulate
from tests.errors import raises_in_three_parts

optuna = pytest.importorskip("optuna", reason="the extra optuna")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
partial, samplers = functools.partial, optuna.samplers

TRIALS = 25
Values = Mapping[str, Any]
PLANE = Space([Numeric("x", -1.0, 1.0), Numeric("y", -1.0, 1.0), Numeric("z", -1.0, 1.0)])


def mixed_space() -> keras_tuner.HyperParameters:
    """Numbers on both scales, choices, and a number that one choice activates."""
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    hp.Float("x", -1.0, 1.0)
    hp.Int("units", 8, 64, step=8)
    if hp.Choice("kind", ["plain", "deep", "wide"]):
        with hp.conditional_scope("kind", ["deep"]):
            hp.Int("depth", 1, 5)
    hp.Boolean("norm")
    return hp


def small_space() -> keras_tuner.HyperParameters:
    """40 configurations, 25 of which differ: samplers suggest some of them again."""
    hp = keras_tuner.HyperParameters()
    hp.Int("units", 1, 8)
    if hp.Choice("kind", ["plain", "deep"]):
        with hp.conditional_scope("kind", ["deep"]):
            hp.Int("depth", 1, 4)
    return hp


def score(values: Values) -> float:
    """Best at x = 0.3 and rate = 0.01."""
    loss = (values.get("x", 0.0) - 0.3) ** 2 + (math.log10(values.get("rate", 0.01)) + 2) ** 2
    return 0.01 * values["units"] - loss - (values["kind"] == "deep")


def fixed(seed: int) -> Any:
    return samplers.PartialFixedSampler(
        {"x": 0.5}, samplers.NSGAIISampler(population_size=4, seed=seed)
    )


def constrained(seed: int) -> Any:
    """The constraint is evaluated after a trial, on a study that was killed in between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return samplers.NSGAIISampler(
            population_size=4,
            seed=seed,
            constraints_func=lambda trial: (trial.params["units"] - 32,),
        )


class Counting(samplers.RandomSampler):
    """A user's sampler that counts in attributes of the study and of finished trials."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        attributes = study._storage.get_study_system_attrs(study._study_id)
        count = attributes.get("count", 0) + 1
        study._storage.set_study_system_attr(study._study_id, "count", count)
        finished = [t.system_attrs.get("end", ()) for t in study.get_trials(deepcopy=False)]
        seen = sum(end[0] for end in finished if end)
        return {"rate": 10.0 ** -((1 + 0.1 * count + 0.01 * seen) % 4)}

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        count = study._storage.get_study_system_attrs(study._study_id).get("count", 0)
        study._storage.set_trial_system_attr(trial._trial_id, "end", (count, state.name))


def needs(package: str, sampler: Any) -> Any:
    """A parameter that is skipped where the package is not installed."""
    missing = importlib.util.find_spec(package) is None
    return pytest.param(sampler, marks=pytest.mark.skipif(missing, reason=f"needs {package}"))


def sobol(**settings: Any) -> Any:
    return partial(samplers.QMCSampler, warn_independent_sampling=False, **settings)


def cma(**settings: Any) -> Any:
    settings = {"popsize": 4, "warn_independent_sampling": False, **settings}
    return partial(samplers.CmaEsSampler, **settings)


EVERY = {
    "random": samplers.RandomSampler,
    "TPE": partial(samplers.TPESampler, n_startup_trials=5),
    "univariate TPE": partial(samplers.TPESampler, n_startup_trials=5, multivariate=False),
    "NSGA-II": partial(samplers.NSGAIISampler, population_size=4),
    "NSGA-III": partial(samplers.NSGAIIISampler, population_size=4),
    "Sobol": sobol(),
    "scrambled Sobol": sobol(scramble=True),
    "scrambled Halton": sobol(scramble=True, qmc_type="halton"),
    "CMA-ES": cma(),
    "separable CMA-ES": cma(use_separable_cma=True),
    "CMA-ES with margin": cma(with_margin=True),
    "Gaussian process": partial(
        samplers.GPSampler, n_startup_trials=5, warn_independent_sampling=False
    ),
    "partially fixed": fixed,
    "constrained": constrained,
    "a user's": Counting,
}
NEEDS = {"CMA-ES": "cmaes", "separable CMA-ES": "cmaes", "CMA-ES with margin": "cmaes"}
NEEDS["Gaussian process"] = "torch"
ALL = [needs(NEEDS.get(name, "optuna"), name) for name in EVERY if name != "Gaussian process"]
# It takes 20 seconds.
ALL.append(pytest.param("Gaussian process", marks=[pytest.mark.full, *needs("torch", "").marks]))


class Search:
    """A search with a project, whose process dies after each step if `is_killed`.

    Args:
        folder: Where the project is.
        sampler: Optuna's sampler.
        space: Makes the space.
        workers: How many trials run at a time.
        is_killed: Whether the oracle is made again from the project after each step.
    """

    def __init__(
        self,
        folder: Path,
        sampler: Any,
        space: Callable[[], Any] = mixed_space,
        workers: int = 1,
        is_killed: bool = False,
    ) -> None:
        self.folder, self.sampler, self.space = folder, sampler, space
        self.workers, self.is_killed = workers, is_killed
        self.running: list[str] = []
        self.open()

    def open(self) -> None:
        """Makes the oracle from the project. Trials that were running run again."""
        self.oracle = kt_plus.oracles.OptunaSearchOracle(
            keras_tuner.Objective("score", "max"),
            TRIALS,
            seed=3,
            hyperparameters=self.space(),
            max_consecutive_failed_trials=9,
            sampler=self.sampler,
        )
        self.oracle._set_project_dir(str(self.folder), "search")
        self.oracle.idle_pause = 0.0
        if (self.folder / "search" / "oracle.json").exists():
            self.oracle.reload()
        for trial_id in self.running:
            assert self.oracle.create_trial("worker of " + trial_id).trial_id == trial_id

    def run(self) -> Search:
        """Runs all trials. Some of them fail."""
        while self._begin() or self.running:
            if len(self.running) == self.workers or len(self.oracle.trials) == TRIALS:
                self._end(self.running.pop(0))
            if self.is_killed:
                self.open()
        return self

    def _begin(self) -> bool:
        trial = self.oracle.create_trial(f"worker of {len(self.oracle.trials):02d}")
        if trial.status == "RUNNING":
            self.running.append(trial.trial_id)
        return trial.status == "RUNNING"

    def _end(self, trial_id: str) -> None:
        trial = kt_trial.Trial.from_state(self.oracle.trials[trial_id].get_state())
        trial.status = "FAILED" if int(trial_id) % 7 == 5 else "COMPLETED"
        if trial.status == "COMPLETED":
            self.oracle.update_trial(trial_id, {"score": score(trial.hyperparameters.values)})
        self.oracle.end_trial(trial)

    @property
    def proposals(self) -> list[dict[str, Any]]:
        trials = self.oracle.trials
        return [dict(trials[i].hyperparameters.values) for i in self.oracle.start_order]

    @property
    def memos(self) -> list[Mapping[str, Any]]:
        return [self.oracle.notes[i].memo or {} for i in self.oracle.start_order]

    def attributes(self, ending: str) -> list[Any]:
        """The attribute of each trial whose name ends so, `None` where a trial has none."""
        found = [m.get("trial", {}) for m in self.memos]
        return [next((v for k, v in a.items() if k.endswith(ending)), None) for a in found]


def comparable(memo: Mapping[str, Any]) -> dict[str, Any]:
    """The memo with the state of CMA-ES as text, since equal states differ as pickles."""
    attributes = dict(memo.get("trial", {}))
    parts = [attributes.pop(k) for k in sorted(attributes) if ":optimizer:" in k]
    if parts:
        state = dict(vars(pickle.loads(bytes.fromhex("".join(parts)))))
        state.update(vars(state.pop("_cma")) if "_cma" in state else {})
        # cmaes leaves the values of future generations uninitialized.
        unequal = ("_rng", "_funhist_values")
        attributes["optimizer"] = {k: repr(v) for k, v in state.items() if k not in unequal}
    return {**memo, "trial": attributes}


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is not valid JSON")


@pytest.mark.parametrize("workers", [3, pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", ALL)
def test_a_killed_search_resumes_exactly(tmp_path: Path, name: str, workers: int) -> None:
    whole = Search(tmp_path / "whole", EVERY[name], workers=workers).run()
    parts = Search(tmp_path / "parts", EVERY[name], workers=workers, is_killed=True).run()
    assert len(whole.proposals) == TRIALS
    assert parts.proposals == whole.proposals
    assert [comparable(m) for m in parts.memos] == [comparable(m) for m in whole.memos]
    for file in (tmp_path / "parts").rglob("trial.json"):
        json.loads(file.read_text(), parse_constant=no_constant)


@pytest.mark.parametrize("name", ["NSGA-II", needs("cmaes", "CMA-ES"), "Sobol"])
def test_it_resumes_exactly_where_suggestions_were_tried(tmp_path: Path, name: str) -> None:
    whole = Search(tmp_path / "whole", EVERY[name], small_space, 2).run()
    parts = Search(tmp_path / "parts", EVERY[name], small_space, 2, is_killed=True).run()
    assert parts.proposals == whole.proposals
    assert len({str(sorted(values.items())) for values in whole.proposals}) == TRIALS


@pytest.mark.parametrize(
    "name",
    ["NSGA-II", "NSGA-III", *(needs("cmaes", n) for n in NEEDS if n != "Gaussian process")],
)
def test_generations_advance(tmp_path: Path, name: str) -> None:
    search = Search(tmp_path, EVERY[name], workers=2).run()
    generations = [g for g in search.attributes(":generation") if g is not None]
    assert generations == sorted(generations)
    assert generations[-1] >= 3
    failed = {"NSGA-II": 0, "NSGA-III": 0}.get(name)
    if failed is not None:  # a generation has four trials that did not fail, and those running
        assert all(4 <= generations.count(g) <= 8 for g in set(generations[:-6]))


def test_trials_without_attributes_have_no_memo(tmp_path: Path) -> None:
    search = Search(tmp_path, EVERY["TPE"]).run()
    assert [search.oracle.notes[i].memo for i in search.oracle.start_order] == [None] * TRIALS


def best(sampler: Any, seed: int, trials: int = 100) -> float:
    sphere = lambda values: -sum((v - 0.3) ** 2 for v in values.values())  # noqa: E731
    strategy = sampling.optuna_sampling(sampler)
    search = simulate(strategy, PLANE, trials, seed=seed, score=sphere)
    return max(sphere(proposal.values) for _, proposal in search)


@pytest.mark.parametrize(
    ("sampler", "margin"),
    [
        (partial(samplers.NSGAIISampler, population_size=8), 0.5),
        pytest.param(cma(popsize=None), 0.1, marks=needs("cmaes", None).marks),
    ],
    ids=["NSGA-II", "CMA-ES"],
)
def test_they_learn(sampler: Any, margin: float) -> None:
    """The distance from the optimum is this share of random search's at most."""
    losses = {
        kind: np.mean([-best(kind, seed) for seed in range(4)])
        for kind in (sampler, samplers.RandomSampler)
    }
    assert losses[sampler] < margin * losses[samplers.RandomSampler]


def test_a_scrambled_sequence_is_one_sequence() -> None:
    from scipy.stats import qmc

    strategy = sampling.optuna_sampling(sobol(scramble=True))
    *_, (history, last) = simulate(strategy, PLANE, 17, seed=1, score=lambda values: 0.0)
    trials = [*(record.values for record in history), last.values]
    points = [[values[name] for name in ("x", "y", "z")] for values in trials[1:]]
    seed = history[0].memo["seed"]
    expected = 2 * qmc.Sobol(3, seed=seed).random(16) - 1
    np.testing.assert_allclose(points, expected, atol=1e-12)


def test_a_rejected_proposal_leaves_no_trace() -> None:
    strategy, rng = sampling.optuna_sampling(Counting), np.random.default_rng
    *_, (history, _) = simulate(strategy, Space([Numeric("rate", 1e-4, 1.0, sampling="log")]), 6)
    space = Space([Numeric("rate", 1e-4, 1.0, sampling="log")])
    once, again = (strategy.propose(space, history, rng(4)) for _ in range(2))
    assert again == once
    assert once.memo["study"] == {"count": history[-1].memo["study"]["count"] + 1}
    assert sampling.optuna_sampling(Counting).propose(space, history, rng(4)) == once


def test_other_values_than_the_suggested_ones_keep_only_what_is_true_of_them() -> None:
    study = pytest.importorskip("kt_plus.search_strategies.optuna_study")
    nsga = {"NSGAIISampler:generation": 2, "point": [0.5]}
    cma_es = {"cma:generation": 1, "cma:optimizer:0": "80"}
    assert study.true_of_other_values(nsga) == {"NSGAIISampler:generation": 2}
    assert study.true_of_other_values(cma_es) == cma_es
    assert study.true_of_other_values({"cmawm:generation": 1, "x_for_tell": [0.5]}) == {}


def test_cma_es_learns_from_the_values_that_are_tried(tmp_path: Path) -> None:
    """The optimizer is replayed from parameters: other values would have given another one."""
    pytest.importorskip("cmaes", reason="the extra optuna")
    search = Search(tmp_path, cma(), small_space).run()
    varied = [m for m in search.memos if m.get("trial")]
    assert len(varied) > 15
    study = search.oracle.strategy._cache["study"]
    for trial, values in zip(study._study.trials, search.proposals, strict=False):
        assert trial.params["units"] == values["units"]


def test_a_lost_trial_ends_no_search(tmp_path: Path) -> None:
    """Attributes of the study name trials by position, and are left out if these have changed."""
    search = Search(tmp_path, EVERY["NSGA-II"]).run()
    next(tmp_path.rglob("trial_03/trial.json")).write_text("{")
    with pytest.warns(UserWarning, match="damaged"):
        search.open()
    search.oracle.max_trials = TRIALS + 6
    for _ in range(5):
        assert search._begin()
        search._end(search.running.pop())
    generations = [g for g in search.attributes(":generation") if g is not None]
    assert generations == sorted(generations)
    assert generations[-1] >= 4


def test_attributes_that_json_cannot_hold_are_refused() -> None:
    class Wrong(samplers.RandomSampler):
        def before_trial(self, study: Any, trial: Any) -> None:
            study._storage.set_trial_system_attr(trial._trial_id, "own", {1, 2})

    from kt_plus.engine.history import History

    strategy = sampling.optuna_sampling(Wrong)
    with raises_in_three_parts(TypeError, happened="{1, 2}", expected="JSON-serializable"):
        strategy.propose(PLANE, History(), np.random.default_rng(0))


def test_a_sampler_that_is_shared_by_proposals_is_refused() -> None:
    inner = samplers.RandomSampler(seed=1)
    with raises_in_three_parts(TypeError, happened="RandomSampler", expected="new samplers"):
        sampling.optuna_sampling(sobol(independent_sampler=inner))


@pytest.mark.full
class TestNSGAII(StrategySuite):
    def make_strategy(self) -> Any:
        return sampling.optuna_sampling(EVERY["NSGA-II"])


@pytest.mark.full
class TestScrambledSobol(StrategySuite):
    def make_strategy(self) -> Any:
        return sampling.optuna_sampling(EVERY["scrambled Sobol"])


@pytest.mark.parametrize("name", sampling.REQUIREMENTS)
def test_a_missing_package_is_an_error_at_once(name: str) -> None:
    package = sampling.REQUIREMENTS[name]
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(ImportError, match=f"{name} needs {package}. Run: pip install"):
        sampling.optuna_sampling(getattr(samplers, name))
