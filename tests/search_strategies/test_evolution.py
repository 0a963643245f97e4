"""Evolution: who survives, who is selected, how children are made, and its defaults."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kt_plus.engine.dimensions import Discrete, Numeric
from kt_plus.engine.history import History, Proposal, Record
from kt_plus.engine.space import Space
from kt_plus.search_strategies.evolution import (
    Fittest,
    Mutation,
    Tournament,
    Youngest,
    evolution,
)
from kt_plus.search_strategies.exhaustive import RandomSampling
from kt_plus.testing import SPACES, simulate
from tests.errors import raises_in_three_parts


def trials(*scores: float) -> list[Record]:
    return [Record(str(i), {"x": i}, score, "completed") for i, score in enumerate(scores)]


def ids(population) -> list[str]:
    return [record.trial_id for record in population]


# Survival


def test_ageing_keeps_the_youngest_however_good_the_old_were():
    assert ids(Youngest(2)(trials(0.9, 0.8, 0.1, 0.2))) == ["2", "3"]
    assert ids(Youngest(9)(trials(0.9, 0.8))) == ["0", "1"]
    assert ids(Youngest(3)([])) == []


def test_elitism_keeps_the_fittest_however_old():
    assert ids(Fittest(2)(trials(0.9, 0.1, 0.8, 0.2))) == ["0", "2"]
    assert ids(Fittest(9)(trials(0.1, 0.8))) == ["1", "0"]
    assert ids(Fittest(3)([])) == []


def test_the_oldest_of_equally_fit_trials_survive():
    assert ids(Fittest(2)(trials(0.5, 0.5, 0.5))) == ["0", "1"]


@pytest.mark.parametrize(("removal", "expected"), [("oldest", {"8", "9"}), ("worst", {"0", "1"})])
def test_parents_come_from_the_survivors(removal, expected):
    space = SPACES["numeric"]
    rng = np.random.default_rng(0)
    scores = [0.9, 0.8, *[0.1] * 6, 0.2, 0.3]
    history = History(
        Record(str(i), space.draw(rng), score, "completed") for i, score in enumerate(scores)
    )
    strategy = evolution(10, population_size=2, tournament_size=1, random_trials=1, removal=removal)
    parents = {strategy.propose(space, history, rng).parent for _ in range(50)}
    assert parents == expected


# Selection


def test_a_tournament_of_the_whole_population_has_the_best_as_its_winner():
    rng, population = np.random.default_rng(0), trials(0.1, 0.7, 0.9, 0.3)
    assert {Tournament(4)(population, rng).trial_id for _ in range(50)} == {"2"}
    assert {Tournament(99)(population, rng).trial_id for _ in range(50)} == {"2"}


def test_a_tournament_of_one_is_a_random_choice():
    rng, population = np.random.default_rng(0), trials(0.1, 0.7, 0.9, 0.3)
    counts = Counter(Tournament(1)(population, rng).trial_id for _ in range(4000))
    assert min(counts.values()) > 900
    assert len(counts) == 4


def test_a_tournament_is_without_replacement():
    rng, population = np.random.default_rng(0), trials(*np.linspace(0, 1, 5))
    counts = Counter(Tournament(2)(population, rng).trial_id for _ in range(5000))
    # The k-th best of 5 wins if it is drawn and no better one is: (5 - k) / 10.
    assert [counts[i] / 5000 for i in "43210"] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], abs=0.02)


def test_a_score_that_is_not_a_number_never_wins():
    rng, population = np.random.default_rng(0), trials(float("nan"), 0.1, float("nan"))
    assert {Tournament(3)(population, rng).trial_id for _ in range(50)} == {"1"}
    assert ids(Fittest(1)(population)) == ["1"]


# Variation


def children(variation: Mutation, parents: list[Record], count: int = 300):
    rng, space = np.random.default_rng(0), SPACES["nested"]
    return [variation(space, parents, Tournament(1), rng) for _ in range(count)]


def test_without_crossover_one_gene_of_one_parent_is_mutated():
    space = SPACES["nested"]
    values = {"op": "conv", "depth": 2, "bottleneck": True, "a_rate": 0.25}
    parent = Record("7", values, 0.5, "completed")
    mutated = Counter()
    for child in children(Mutation(crossover=0.0), [parent]):
        old, new = space.active(values), space.active(child.values)
        (gene,) = (d for d in old if d in new and new[d] != old[d])
        mutated[gene.name] += 1
        assert all(not d.is_active(values) for d in new.keys() - old.keys())
        assert child.parent == "7"
        assert child.changed == tuple(n for n, v in child.values.items() if values.get(n) != v)
    assert mutated.keys() == values.keys()


MOTHER = Record("1", {"activation": "relu", "norm": False, "units": 16}, 0.5, "completed")
FATHER = Record("2", {"activation": "tanh", "norm": True, "units": 64}, 0.6, "completed")


def crosses(mutated_crosses: float) -> list[tuple[Proposal, int]]:
    """Children of two parents, and how many of their values are of neither."""
    rng, variation, made = np.random.default_rng(0), Mutation(1.0, mutated_crosses), []
    for _ in range(1000):
        child = variation(SPACES["flat"], [MOTHER, FATHER], Tournament(1), rng)
        given = [{MOTHER.values[name], FATHER.values[name]} for name in child.values]
        foreign = sum(v not in g for v, g in zip(child.values.values(), given, strict=True))
        made.append((child, foreign))
    return made


def test_a_crossed_child_has_every_value_of_either_parent():
    made = crosses(mutated_crosses=0.0)
    assert {foreign for _, foreign in made} == {0}
    # Half of the crossings are of a parent with itself; of the others, 6 of 8 mix.
    mixed = [c for c, _ in made if c.values not in (MOTHER.values, FATHER.values)]
    assert len(mixed) / 1000 == pytest.approx(3 / 8, abs=0.05)


def test_a_mutated_cross_has_one_value_more_at_most():
    made = crosses(mutated_crosses=1.0)
    assert {foreign for _, foreign in made} == {0, 1}
    for child, _ in made:
        parent = {"1": MOTHER, "2": FATHER}[child.parent]
        assert set(child.changed) == {n for n, v in child.values.items() if parent.values[n] != v}


def test_half_of_the_crosses_are_mutated_by_default():
    shares = [np.mean([foreign for _, foreign in crosses(share)]) for share in (1.0, 0.5)]
    assert shares[1] / shares[0] == pytest.approx(0.5, abs=0.08)
    assert Mutation(0.8) == Mutation(0.8, mutated_crosses=0.5)


def test_crossover_happens_as_often_as_asked():
    space = Space([Discrete(f"h{i}", tuple(range(50))) for i in range(20)])
    mother = Record("1", {f"h{i}": 0 for i in range(20)}, 0.5, "completed")
    father = Record("2", {f"h{i}": 1 for i in range(20)}, 0.5, "completed")
    rng = np.random.default_rng(0)
    made = [Mutation(0.3, 0.0)(space, [mother, father], Tournament(1), rng) for _ in range(2000)]
    # Half of the crossings are of a parent with itself.
    mixed = sum(len({0, 1} & set(child.values.values())) == 2 for child in made)
    several = sum(min(list(c.values.values()).count(i) for i in (0, 1)) > 1 for c in made)
    assert mixed >= several
    assert several / 2000 == pytest.approx(0.15, abs=0.03)


def test_a_parent_crossed_with_itself_is_mutated():
    values = SPACES["nested"].defaults()
    parent = Record("0", values, 0.5, "completed")
    for child in children(Mutation(1.0, mutated_crosses=1.0), [parent], 100):
        old, new = (SPACES["nested"].active(v) for v in (values, child.values))
        assert len([d for d in old if d in new and new[d] != old[d]]) == 1


def test_a_value_that_the_model_never_asked_for_is_not_mutated():
    values = SPACES["flat"].defaults()
    parent = Record("0", values, 0.5, "completed", unused=frozenset({"norm", "units"}))
    rng = np.random.default_rng(0)
    changed = {
        Mutation(0.0)(SPACES["flat"], [parent], Tournament(1), rng).changed for _ in range(50)
    }
    assert changed == {("activation",)}


# The whole


@pytest.mark.parametrize("kind", SPACES)
def test_with_random_trials_alone_it_is_random_search(kind):
    evolved = simulate(evolution(40, random_trials=40), SPACES[kind], 40, workers=3)
    drawn = simulate(RandomSampling(), SPACES[kind], 40, workers=3)
    assert [p for _, p in evolved] == [p for _, p in drawn]


def test_evolution_begins_after_the_random_trials():
    strategy = evolution(50, random_trials=7)
    parents = [p.parent for _, p in simulate(strategy, SPACES["numeric"], 30)]
    assert parents[:7] == [None] * 7
    assert None not in parents[7:]


def test_children_are_made_while_others_are_still_running():
    strategy = evolution(60, random_trials=5)
    search = list(simulate(strategy, SPACES["numeric"], 60, workers=16))
    assert [len(history.completed) for history, _ in search[:16]] == [0] * 16
    assert [proposal.parent for _, proposal in search[:16]] == [None] * 16
    assert None not in [proposal.parent for _, proposal in search[16:]]


def test_it_goes_on_at_random_while_nothing_has_completed():
    history = History(Record(str(i), {"x": i}, status="failed") for i in range(30))
    space = Space([Numeric("x", 0, 1000, 1, integer=True)])
    proposal = evolution(50, random_trials=5).propose(space, history, np.random.default_rng(0))
    assert proposal.parent is None


def test_it_climbs_where_random_search_does_not():
    space = Space([Numeric(f"x{i}", 0.0, 1.0) for i in range(6)])

    def height(values) -> float:
        return -sum((x - 0.3) ** 2 for x in values.values())

    def best(strategy, seed: int) -> float:
        search = simulate(strategy, space, 120, seed=seed, score=height)
        return max(height(proposal.values) for _, proposal in search)

    evolved = [best(evolution(120), seed) for seed in range(5)]
    drawn = [best(RandomSampling(), seed) for seed in range(5)]
    assert np.median(evolved) > 0.5 * np.median(drawn)  # both are below 0
    assert min(evolved) > min(drawn)


def test_an_earlier_search_is_a_population_to_begin_with():
    rng, space = np.random.default_rng(0), SPACES["numeric"]
    earlier = [Record(f"old/{i}", space.draw(rng), i / 10, "completed") for i in range(10)]
    proposal = evolution(100).propose(space, History(earlier), rng)
    assert proposal.parent is None or proposal.parent.startswith("old/")
    proposal = evolution(100, random_trials=5).propose(space, History(earlier), rng)
    assert proposal.parent.startswith("old/")


def test_a_trial_that_runs_or_failed_takes_no_place_in_the_population():
    space, rng = SPACES["numeric"], np.random.default_rng(0)
    done = [Record(str(i), space.draw(rng), 0.5, "completed") for i in range(3)]
    others = [Record(str(i), space.draw(rng), None, "running") for i in range(3, 20)]
    others[::2] = [replace(record, status="failed") for record in others[::2]]
    strategy = evolution(30, population_size=3, tournament_size=1, random_trials=1)
    history = History([*done, *others])
    assert {strategy.propose(space, history, rng).parent for _ in range(60)} == {"0", "1", "2"}


# Defaults and bad input


@pytest.mark.parametrize(
    ("max_trials", "population", "entrants", "beginning"),
    [(1, 10, 3, 5), (10, 10, 3, 5), (100, 50, 16, 10), (10_000, 100, 33, 10), (None, 100, 33, 10)],
)
def test_defaults_follow_the_budget(max_trials, population, entrants, beginning):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strategy = evolution(max_trials)
    assert strategy.survive == Youngest(population)
    assert strategy.select == Tournament(entrants)
    assert strategy.random_trials == beginning
    assert strategy.vary == Mutation(0.8)


def test_a_small_population_has_a_tournament_that_fits():
    assert evolution(100, population_size=1).select == Tournament(1)
    assert evolution(100, population_size=2).select == Tournament(2)


def test_arguments_are_obeyed():
    strategy = evolution(
        100,
        population_size=7,
        tournament_size=3,
        random_trials=2,
        crossover=0.25,
        removal="worst",
    )
    assert strategy.survive == Fittest(7)
    assert strategy.select == Tournament(3)
    assert strategy.vary == Mutation(0.25)
    assert strategy.random_trials == 2


def test_a_population_that_the_budget_never_fills_is_warned_of():
    with pytest.warns(UserWarning, match=r"population_size=50 .* max_trials=20.*Choose") as caught:
        evolution(20, population_size=50)
    assert len(caught) == 1


@pytest.mark.parametrize("name", ["population_size", "tournament_size", "random_trials"])
@pytest.mark.parametrize("value", [0, -3, 2.5, True, "abc", float("nan"), float("inf"), [3]])
def test_a_size_that_is_no_whole_number_above_0_is_refused(name, value):
    with raises_in_three_parts(
        ValueError, happened=f"{name}={value!r}", expected="Expected a whole number of at least 1"
    ):
        evolution(100, **{name: value})


def test_a_tournament_larger_than_the_population_is_refused():
    with raises_in_three_parts(
        ValueError, happened="tournament_size=9", expected="population_size=5"
    ):
        evolution(100, population_size=5, tournament_size=9)
    with raises_in_three_parts(
        ValueError, happened="tournament_size=90", expected="population_size=50"
    ):
        evolution(100, tournament_size=90)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "often", None])
def test_a_crossover_that_is_no_chance_is_refused(value):
    with raises_in_three_parts(
        ValueError, happened=f"crossover={value!r}", expected="Expected a chance from 0 to 1"
    ):
        evolution(100, crossover=value)


@pytest.mark.parametrize("value", ["youngest", None, 3])
def test_an_unknown_removal_is_refused(value):
    with raises_in_three_parts(
        ValueError, happened=f"removal={value!r}", expected="Expected 'oldest' or 'worst'"
    ):
        evolution(100, removal=value)
