"""The benchmark of priors and earlier projects."""

from __future__ import annotations

import pytest

from benchmarks import knowledge
from benchmarks.tables import TABLES
from kt_plus import Prior


def test_a_good_prior_is_better_than_a_wrong_one(tmp_path):
    table = TABLES["synthetic"](0)
    believed = {}
    for known in ("good prior", "wrong prior"):
        prior = knowledge.options(known, "synthetic", 0, tmp_path)["prior"]
        assert all(isinstance(belief, Prior) for belief in prior.values())
        believed[known] = table.true({name: belief.value for name, belief in prior.items()})
    assert believed["good prior"] > believed["wrong prior"]


def test_the_opposite_of_a_table():
    table = TABLES["interaction"](0)
    values = {axis.name: axis.default for axis in table.hyperparameters().space}
    assert knowledge.Opposite(table).true(values) == -table.true(values)


@pytest.mark.full
def test_it_prints_one_table(capsys):
    arguments = "--seeds 2 --family synthetic --known nothing"
    knowledge.main([*arguments.split(), "project of another table"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in lines[1:]] == [
        "nothing",
        "project of another table",
    ]
