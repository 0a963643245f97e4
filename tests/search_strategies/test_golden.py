"""What each strategy proposes, pinned: a change of it is noticed, and made on purpose only.

`python -m tests.search_strategies.test_golden` writes golden.json anew. Do so when a
strategy, the space's operations or the seeding of proposals were changed on purpose, and
say in the CHANGELOG that seeds now lead elsewhere; never to make this test pass.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kt_plus.engine.dimensions import Condition, Discrete, Numeric
from kt_plus.engine.space import Space
from kt_plus.search_strategies.evolution import evolution
from kt_plus.search_strategies.exhaustive import Grid, RandomSampling
from kt_plus.search_strategies.reinforcement_learning import reinforcement_learning
from kt_plus.search_strategies.successive_halving import successive_halving
from kt_plus.testing import simulate

pytestmark = pytest.mark.versions

FILE = Path(__file__).with_name("golden.json")

STRATEGIES = {
    "ageing evolution": evolution(40),
    "evolution without the worst": evolution(40, population_size=8, removal="worst"),
    "evolution by mutation alone": evolution(40, random_trials=5, crossover=0.0),
    "random sampling": RandomSampling(),
    "grid": Grid(samples=3),
    "PPO": reinforcement_learning(40),
    "PPO, independent": reinforcement_learning(40, controller="independent"),
    "REINFORCE": reinforcement_learning(40, algorithm="reinforce"),
    "REINFORCE in batches of 4": reinforcement_learning(40, algorithm="reinforce", batch_size=4),
    "successive halving": successive_halving(4, configurations=22),
    "ASHA": successive_halving(4, configurations=None, factor=3, asynchronous=True),
    "evolution in ASHA": successive_halving(
        3, configurations=30, asynchronous=True, source="evolution"
    ).without_surrogate(),
}

CONVOLUTION, DENSE = Condition("op", ("conv",)), Condition("op", ("dense",))
NORM = Condition("norm", (True,))
SPACE = Space(
    [
        Discrete("op", ("conv", "dense"), initial="dense"),
        Numeric("layers", 1, 4, 1, integer=True, initial=2),
        Numeric("filters", 8, 128, 2, "log", integer=True, conditions=(CONVOLUTION,)),
        Discrete("kernel", (3, 5, 7), ordered=True, conditions=(CONVOLUTION,)),
        Numeric("units", 16, 512, None, "log", integer=True, conditions=(DENSE,)),
        Discrete("norm", (False, True)),
        Numeric("momentum", 0.5, 0.99, None, "reverse_log", conditions=(NORM,)),
        Numeric("rate", 1e-4, 1e-1, None, "log", initial=1e-3),
    ]
)


def score(values: Any) -> float:
    """An invented score, without any function whose last digit depends on the machine."""
    wide = values["filters"] / 128 if values["op"] == "conv" else values["units"] / 1024
    return wide + 0.1 * values["layers"] - values["rate"] + (0.3 if values["norm"] else 0.0)


def first_forty(strategy: Any) -> list[dict[str, Any]]:
    search = simulate(strategy, SPACE, 40, workers=2, seed=11, score=score)
    return [
        {"values": dict(p.values), "parent": p.parent, "changed": list(p.changed)}
        | ({"rung": p.rung} if p.rung else {})
        for _, p in search
    ]


@pytest.mark.parametrize("name", STRATEGIES)
def test_proposals_are_those_of_the_file(name):
    expected = json.loads(FILE.read_text())[name]
    found = first_forty(STRATEGIES[name])
    assert len(found) == len(expected) == 40
    for i, (proposal, golden) in enumerate(zip(found, expected, strict=True)):
        assert proposal["values"].keys() == golden["values"].keys(), i
        for key, value in golden["values"].items():
            # Logarithms may differ in the last digit between machines.
            exact = pytest.approx(value, rel=1e-9) if type(value) is float else value
            assert proposal["values"][key] == exact, (i, key)
        for key in ("parent", "changed", "rung"):
            assert proposal.get(key) == golden.get(key), (i, key)


def test_the_file_has_every_strategy():
    assert json.loads(FILE.read_text()).keys() == STRATEGIES.keys()


def refresh() -> None:
    """Writes the file, a proposal a line."""
    sections = []
    for name, strategy in STRATEGIES.items():
        lines = ",\n".join(f"  {json.dumps(proposal)}" for proposal in first_forty(strategy))
        sections.append(f"{json.dumps(name)}: [\n{lines}\n]")
    FILE.write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    refresh()
