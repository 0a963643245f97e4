"""The policy as data and as a picture: what is drawn is what the policy was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest

import kt_plus
from kt_plus.results import plot_policy, policy_to_dataframe
from kt_plus.testing import SPACES
from kt_plus.testing.spaces import hyperparameters_of
from tests.errors import raises_in_three_parts

matplotlib.use("Agg")
from matplotlib import pyplot as plt

TRIALS = 40


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished search in which "conv" and much depth are good."""
    oracle = kt_plus.oracles.ReinforcementLearningOracle(
        "loss", TRIALS, seed=0, hyperparameters=hyperparameters_of(SPACES["nested"]), units=8
    )
    oracle._set_project_dir(str(tmp_path_factory.mktemp("policy")), "project")
    oracle.verbose = 0
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        values = trial.hyperparameters.values
        loss = 1.0 - 0.5 * (values["op"] == "conv") - 0.1 * values.get("depth", 0)
        oracle.update_trial(trial.trial_id, {"loss": loss})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return oracle


def test_the_frame_has_the_whole_policy_at_each_moment(oracle):
    frame = policy_to_dataframe(oracle, points=5)
    assert sorted(set(frame.trials)) == [0, 10, 20, 30, 40]
    totals = frame.groupby(["trials", "hyperparameter"]).probability.sum()
    np.testing.assert_allclose(totals, 1.0)
    assert set(frame.hyperparameter) == {d.name for d in SPACES["nested"].dimensions}
    start = frame[frame.trials == 0]
    np.testing.assert_allclose(start[start.hyperparameter == "op"].probability, 1 / 3)
    assert start.baseline.unique().tolist() == [0.0]


def test_the_frame_shows_what_was_learnt(oracle):
    frame = policy_to_dataframe(oracle, points=5)
    conv = frame[(frame.hyperparameter == "op") & (frame.value == "conv")].set_index("trials")
    assert conv.probability[40] > conv.probability[0] + 0.1
    assert conv.baseline[40] > 0  # more was expected of the last than of all in the mean
    assert (conv.entropy > 0).all()
    bottleneck = frame[frame.hyperparameter == "bottleneck"].set_index("trials").activity
    assert 0 < bottleneck[0].iloc[0] < 1


def test_the_last_moment_is_the_present_policy(oracle):
    policy = oracle.strategy.policy(oracle.space, oracle.history)
    assert oracle.strategy.policies(oracle.space, oracle.history, points=3)[-1] == policy


def test_the_picture_has_a_field_for_each_hyperparameter(oracle):
    figure = plot_policy(oracle, points=5)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert sorted(titles[:-1]) == sorted(d.name for d in SPACES["nested"].dimensions)
    assert titles[-1] == "entropy, baseline"
    op = next(ax for ax in figure.axes if ax.get_title() == "op")
    assert [text.get_text() for text in op.get_legend().get_texts()] == ["conv", "sepconv", "pool"]
    top = op.collections[-1].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(1.0)


def test_a_search_that_has_not_begun_is_drawn_too(tmp_path):
    oracle = kt_plus.oracles.ReinforcementLearningOracle(
        "loss", 20, hyperparameters=hyperparameters_of(SPACES["numeric"])
    )
    assert plot_policy(oracle).axes
    assert set(policy_to_dataframe(oracle).trials) == {0}


def test_another_search_is_refused():
    oracle = kt_plus.oracles.RandomSearchOracle("loss", 20)
    with raises_in_three_parts(
        kt_plus.errors.ResultsError,
        happened="does not learn a policy",
        expected="Expected a kt_plus.ReinforcementLearning",
    ):
        policy_to_dataframe(oracle)
