"""Stopping rules in whole searches: dry runs, replays, resuming, and what is learnt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus.performance_estimation.stopping import (
    Divergence,
    MedianRule,
    Patience,
    SuccessiveHalvingRule,
    replay,
)
from tests.errors import raises_in_three_parts
from tests.invented_search import EPOCHS, Foretelling, curve, tuner

REPOSITORY = Path(__file__).parents[2]
RULES = {
    "median": MedianRule(3, 2),
    "halving": SuccessiveHalvingRule(eta=2, min_epochs=2),
    "forecast": Foretelling(),
    "several": Divergence() | (MedianRule(2, 2) & ~Patience(2)),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
LEARNERS = {
    "evolution": (kt_plus.EvolutionarySearch, {"random_trials": 5}),
    "bayesian": (kt_plus.BayesianOptimization, {"num_initial_points": 8, "max_trials": 14}),
    "hyperband": (kt_plus.Hyperband, {"max_epochs": EPOCHS, "factor": 2}),
}
every_learner = pytest.mark.parametrize("learner", LEARNERS)


def searched(directory: Path, *args: Any, **settings: Any) -> Any:
    found = tuner(directory, *args, **settings)
    found.search(verbose=0)
    return found


def stops(found: Any, kind: str = "stop") -> dict[str, tuple[int, str]]:
    notes = {trial_id: getattr(note, kind) for trial_id, note in found.oracle.notes.items()}
    return {trial_id: (n.epoch, n.reason) for trial_id, n in notes.items() if n is not None}


@every_rule
@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_dry_run_its_replay_and_the_search_itself_stop_the_same(
    rule: Any, direction: str, tmp_path: Path
) -> None:
    plain, dry, real = (
        searched(tmp_path / name, direction=direction, stopping=stopping)
        for name, stopping in (("plain", None), ("dry", rule.dry_run()), ("real", rule))
    )
    assert 3 < len(stops(real)) < 30
    assert stops(plain) == stops(dry) == stops(plain, "dry_stop") == stops(real, "dry_stop") == {}
    assert stops(dry, "dry_stop") == stops(real)
    assert list(plain.oracle.history) == list(dry.oracle.history)
    for source in (dry, dry.project_dir, Path(plain.project_dir), plain.oracle.history):
        found = replay(source, rule)
        assert found.stops == stops(real)
        assert found.epochs == sum(note.epochs for note in real.oracle.notes.values())
        assert found.recorded_epochs == 30 * EPOCHS
        best = [searched.oracle.history.best.fitness for searched in (plain, real)]
        assert found.regret == best[0] - best[1]
        assert found.unknown == ()
    again = replay(real, rule)
    assert again.stops == stops(real)
    assert len(replay(real, Patience(EPOCHS)).unknown) == len(stops(real))


def test_a_dry_run_beside_a_rule_that_stops(tmp_path: Path) -> None:
    both = searched(tmp_path, stopping=MedianRule(3, 6) | Foretelling().dry_run())
    assert stops(both)
    assert stops(both, "dry_stop")
    assert all(epoch >= 6 for epoch, _ in stops(both).values())
    assert min(epoch for epoch, _ in stops(both, "dry_stop").values()) == 4
    again = tuner(tmp_path, stopping=MedianRule(3, 6) | Foretelling().dry_run())
    assert (stops(again), stops(again, "dry_stop")) == (stops(both), stops(both, "dry_stop"))


def test_a_dry_run_is_gone_on_with(tmp_path: Path) -> None:
    rule = MedianRule(3, 2).dry_run()
    whole = searched(tmp_path / "whole", stopping=rule)
    searched(tmp_path / "parts", stopping=rule, max_trials=11)
    parts = searched(tmp_path / "parts", stopping=rule)
    assert sorted(map(int, stops(parts, "dry_stop"))) == sorted(map(int, stops(whole, "dry_stop")))


def test_what_a_rule_forecast_is_kept_in_the_users_sign(tmp_path: Path) -> None:
    found = searched(tmp_path, direction="min", stopping=Foretelling())
    again = tuner(tmp_path, direction="min", stopping=Foretelling())
    assert stops(again) == stops(found)
    kept = [again.oracle.notes[trial_id].stop for trial_id in stops(again)]
    assert len(kept) > 5
    for stop in kept:
        assert stop.low < stop.mean < stop.high < 0
        assert stop.incumbent < stop.mean
        assert stop.reason == f"P(beating {stop.incumbent:.4g}) = {stop.probability:.2f}"
    reasons = [r.verdict.reason for r in again.oracle.history if r.verdict]
    assert reasons[0].startswith("stopped at epoch ")


@every_learner
def test_a_search_learns_from_stopped_trials_what_it_is_told_to(
    learner: str, tmp_path: Path
) -> None:
    search, settings = LEARNERS[learner]
    proposed = {}
    for choice in ("observed", "predicted", "excluded"):
        options = {"stopping": Foretelling(), "stopped_trials": choice, **settings}
        found = searched(tmp_path / choice, search, **options)
        oracle, learnt = found.oracle, found.oracle.knowledge.learnt
        assert stops(found)
        for trial_id in oracle.trials:
            note = oracle.notes[trial_id]
            known, seen = learnt.get(trial_id), oracle.history.get(trial_id)
            assert seen.score == oracle.trials[trial_id].score
            assert learnt.tried(seen.values)
            if note.stop is None or choice == "observed":
                assert known == seen
            elif choice == "predicted":
                assert known.score == note.stop.mean > seen.score
            else:
                assert (known.score, known.status) == (None, "failed")
        ranked = [trial.score for trial in oracle.get_best_trials(None)]
        assert ranked == sorted((trial.score for trial in oracle.trials.values()), reverse=True)
        assert oracle.get_best_trials()[0].trial_id == oracle.history.best.trial_id
        if "max_trials" in settings or learner == "evolution":
            assert len(oracle.trials) == settings.get("max_trials", 30)
        values = [
            json.dumps(t.hyperparameters.values, sort_keys=True) for t in oracle.trials.values()
        ]
        assert len(set(values)) == len(values)
        proposed[choice] = values
        again = tuner(tmp_path / choice, search, **options)
        assert list(again.oracle.knowledge.learnt) == list(learnt)
    assert len({tuple(values) for values in proposed.values()}) > 1  # it makes a difference


@pytest.mark.versions
@every_learner
@pytest.mark.parametrize("choice", ["predicted", "excluded"])
def test_going_on_learns_the_same(learner: str, choice: str, tmp_path: Path) -> None:
    search, settings = LEARNERS[learner]
    options = {"stopping": Foretelling(), "stopped_trials": choice, **settings}

    class Interrupted(search):  # type: ignore[misc,valid-type]
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            if trial.trial_id.lstrip("0") == "9":
                raise KeyboardInterrupt

    whole = searched(tmp_path / "whole", search, **options)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "parts", Interrupted, **options)
    parts = searched(tmp_path / "parts", search, **options)
    assert list(parts.oracle.history) == list(whole.oracle.history)


def test_training_that_goes_on_regardless_is_told_again(tmp_path: Path) -> None:
    answers: list[str] = []

    class Deaf(kt_plus.RandomSearch):
        def on_trial_begin(self, trial: Any) -> None:
            super().on_trial_begin(trial)
            for epoch in range(5):
                report = {"curve:score": 0.5, "horizon": 9}
                answer = self.oracle.update_trial(trial.trial_id, report, step=epoch)
                answers.append(answer.status)

    class Third(kt_plus.stopping.Stopper):
        def judge(self, trial: kt_plus.Record, history: kt_plus.History) -> kt_plus.Verdict:
            return kt_plus.Verdict(len(trial.curve) == 3, "the third")

    found = tuner(tmp_path, Deaf, max_trials=1, stopping=Third())
    found.oracle.verbose = 0
    found.on_trial_begin(found.oracle.create_trial("tuner0"))
    assert answers == ["RUNNING", "RUNNING", "STOPPED", "STOPPED", "STOPPED"]
    assert found.oracle.notes["0"].stop.epoch == 3


def test_an_excluded_trial_is_no_parent(tmp_path: Path) -> None:
    for choice in ("observed", "excluded"):
        options = {"stopping": MedianRule(1, 1), "stopped_trials": choice, "random_trials": 8}
        for surrogate in (None, "gaussian_process"):
            options["surrogate"] = surrogate
            where = tmp_path / f"{choice}, {surrogate}"
            found = searched(where, kt_plus.EvolutionarySearch, **options)
            parents = {note.parent for note in found.oracle.notes.values()} - {None}
            assert parents
            stopped = parents & stops(found).keys()
            assert not stopped or choice == "observed"
            # With a model, parents are the best trials of all, which the rule has let run.
            assert stopped or choice == "excluded" or surrogate is not None


def test_hyperband_promotes_no_excluded_trial_while_there_is_another(tmp_path: Path) -> None:
    options = {"stopping": SuccessiveHalvingRule(2), "stopped_trials": "excluded", "factor": 2}
    found = searched(tmp_path, kt_plus.Hyperband, max_epochs=EPOCHS, **options)
    values = [trial.hyperparameters.values for trial in found.oracle.trials.values()]
    promoted = {v["tuner/trial_id"] for v in values if "tuner/trial_id" in v}
    assert promoted
    assert max(v["tuner/round"] for v in values) > 1  # its rounds are filled all the same
    assert stops(found)


def test_what_is_predicted_is_never_told_as_the_best(tmp_path: Path) -> None:
    found = searched(tmp_path, stopping=Foretelling(), stopped_trials="predicted")
    best = found.oracle.get_best_trials()[0]
    assert best.score == max(trial.score for trial in found.oracle.trials.values())
    hp = found.get_best_hyperparameters()[0]
    assert max(curve(hp.values)) == best.score


@pytest.mark.slow
def test_killed_in_the_middle_of_a_trial_it_goes_on_with_the_same_stops(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.killed_search", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for kind, told in json.loads(done.stdout.splitlines()[-1]).items():
        whole, killed, resumed = told["whole"], told["killed"], told["resumed"]
        assert len(whole) == 16
        stopped = [trial_id for trial_id, trial in whole.items() if trial[kind]]
        assert len(stopped) > 3
        running = [trial_id for trial_id, trial in killed.items() if trial["status"] == "RUNNING"]
        assert running == [max(stopped)]
        assert killed[running[0]][kind] == whole[running[0]][kind]
        assert resumed == whole


@pytest.mark.parametrize("stopping", ["atuo", "median", 5, True, [MedianRule()]])
def test_what_is_no_rule_is_refused(stopping: Any, tmp_path: Path) -> None:
    with raises_in_three_parts(
        ValueError, happened=f"stopping={stopping!r}", expected="Expected 'auto', None, or a rule"
    ):
        tuner(tmp_path, stopping=stopping)
    assert not (tmp_path / "invented").exists()


def test_a_rule_that_was_not_made_is_refused(tmp_path: Path) -> None:
    with raises_in_three_parts(ValueError, happened="MedianRule", expected="Call it: MedianRule()"):
        tuner(tmp_path, stopping=MedianRule)


@pytest.mark.parametrize("choice", ["predict", None, 1])
def test_an_unknown_choice_of_what_to_learn_is_refused(choice: Any, tmp_path: Path) -> None:
    with raises_in_three_parts(
        ValueError, happened=f"stopped_trials={choice!r}", expected="'predicted'"
    ):
        tuner(tmp_path, stopped_trials=choice)


def test_a_project_without_curves_cannot_be_replayed(tmp_path: Path) -> None:
    import keras_tuner as kt

    class Plain(kt.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.Float("x", 0.0, 1.0))

    plain = Plain(max_trials=2, directory=tmp_path, project_name="plain")
    plain.search(verbose=0)
    for source in (plain, plain.project_dir):
        with raises_in_three_parts(
            kt_plus.errors.ResultsError, happened="no learning curves", expected="plain Keras Tuner"
        ):
            replay(source, MedianRule())

    class Silent(kt_plus.RandomSearch):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            return float(trial.hyperparameters.Float("x", 0.0, 1.0))

    silent = Silent(max_trials=2, directory=tmp_path, project_name="silent")
    silent.search(verbose=0)
    with raises_in_three_parts(
        kt_plus.errors.ResultsError, happened="no learning curves", expected="reported an epoch"
    ):
        replay(silent, MedianRule())


def test_earlier_projects_are_what_a_replay_compares_with_too(tmp_path: Path) -> None:
    first = searched(tmp_path / "first", max_trials=6)
    second = searched(
        tmp_path / "second", max_trials=6, seed=1, history=first.project_dir, stopping=Foretelling()
    )
    found = replay(second.project_dir, Foretelling())
    assert found.stops == stops(second)
    assert (found.trials, found.recorded_epochs) == (
        12,
        sum(note.epochs for note in second.oracle.notes.values()),
    )


def test_a_replay_changes_nothing_on_disk(tmp_path: Path) -> None:
    found = searched(tmp_path, max_trials=4)
    files = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*") if p.is_file()}
    replay(found.project_dir, MedianRule())
    assert files == {
        p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*") if p.is_file()
    }
