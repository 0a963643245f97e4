"""The policy as data and as a picture: what is drawn is what the policy was."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras_tuner as kt
import matplotlib
import numpy as np
import pytest

import kt_plus
from kt_plus.results import plot_policy, policy, policy_to_dataframe
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
    assert [text.get_text() for text in op.get_legend().get_texts()] == ["pool", "sepconv", "conv"]
    top = op.collections[-1].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(1.0)


def test_each_field_says_what_its_axes_are(oracle):
    figure = plot_policy(oracle, points=5)
    *fields, last = [ax for ax in figure.axes if ax.get_title()]
    assert {(ax.get_xlabel(), ax.get_ylabel()) for ax in fields} == {("results", "probability")}
    assert (last.get_xlabel(), last.get_ylabel()) == ("results", "entropy (nats)")
    assert "baseline (deviations)" in [ax.get_ylabel() for ax in figure.axes]


def not_begun(hp: kt.HyperParameters) -> Any:
    return kt_plus.oracles.ReinforcementLearningOracle("loss", 20, hyperparameters=hp)


def crowded() -> kt.HyperParameters:
    """Twelve hyperparameters with names and values that a picture may stumble over."""
    hp = kt.HyperParameters()
    hp.Choice("application", [f"efficientnet_v2_b{i}_trained_on_imagenet" for i in range(30)])
    hp.Choice("_private $x_1$", ["_a", "$b$", "a value that is much longer than any other one"])
    hp.Float("a_rate_whose_name_is_so_long_that_it_fills_a_line_and_more_of_it", 1e-6, 1.0)
    hp.Int("only", 7, 7)
    for i in range(8):
        hp.Int(f"units_{i}", 16, 1024, step=16)
    return hp


def texts_of(ax: Any) -> list[Any]:
    legend = ax.get_legend()
    axes = [axis for axis in (ax.xaxis, ax.yaxis) if axis.get_visible()]  # a twin's x is not
    ticks = [text for axis in axes for text in (axis.label, *axis.get_ticklabels())]
    texts = [ax.title, *ticks, *(legend.get_texts() if legend else [])]
    texts += [text for child in ax.child_axes for text in child.get_yticklabels()]
    return [text for text in texts if text.get_text().strip()]


@pytest.mark.parametrize("hyperparameters", [2, 3, 12])
def test_nothing_written_in_the_picture_lies_on_anything_else(hyperparameters):
    hp = kt.HyperParameters()
    hp.merge(crowded().space[:hyperparameters])
    figure = plot_policy(not_begun(hp))
    figure.canvas.draw()
    fields = [ax for ax in figure.axes if ax.axison]
    boxes = [
        (text.get_text(), ax.get_title(), text.get_window_extent().padded(-1.5))
        for ax in fields
        for text in texts_of(ax)
    ]
    for (a, of_a, box), (b, of_b, other) in itertools.combinations(boxes, 2):
        assert not box.overlaps(other), f"{a!r} of {of_a!r} lies on {b!r} of {of_b!r}"
    for (text, title, box), ax in itertools.product(boxes, fields):
        assert not box.overlaps(ax.bbox), f"{text!r} of {title!r} lies on {ax.get_title()!r}"
        assert figure.bbox.padded(1).containsx(box.x0)
        assert figure.bbox.padded(1).containsx(box.x1)
    assert figure.get_size_inches()[0] <= 12  # a notebook shows so much without making it smaller


def test_of_many_categories_the_likeliest_are_named(oracle):
    shares = {f"v{i}": [1 / 30, (i + 1) / 465] for i in range(30)}
    shown = policy._with_the_rest_in_one(shares)
    assert list(shown) == ["v23", "v24", "v25", "v26", "v27", "v28", "v29", "23 others"]
    np.testing.assert_allclose(np.sum([*shown.values()], axis=0), 1.0)
    assert policy._with_the_rest_in_one({"a": [1.0]}) == {"a": [1.0]}


def test_values_keep_their_names_in_the_legend():
    figure = plot_policy(not_begun(crowded()))
    field = next(ax for ax in figure.axes if ax.get_title() == "_private $x_1$")
    names = [text.get_text() for text in field.get_legend().get_texts()]
    assert names == ["a value t…other one", "$b$", "_a"]
    field = next(ax for ax in figure.axes if ax.get_title() == "application")
    names = [text.get_text() for text in field.get_legend().get_texts()]
    assert names[0] == "23 others"
    assert len(set(names)) == 8


def test_the_colours_of_a_number_are_told_beside_it():
    figure = plot_policy(not_begun(crowded()))
    field = next(ax for ax in figure.axes if ax.get_title() == "units_3")
    (bar,) = field.child_axes
    assert [text.get_text() for text in bar.get_yticklabels()] == [
        "16",
        "272",
        "528",
        "752",
        "1024",
    ]


def test_a_search_that_has_not_begun_is_drawn_too(tmp_path):
    oracle = not_begun(hyperparameters_of(SPACES["numeric"]))
    figure = plot_policy(oracle)
    areas = figure.axes[0].collections
    assert max(area.get_paths()[0].vertices[:, 1].max() for area in areas) == pytest.approx(1.0)
    assert max(area.get_paths()[0].vertices[:, 0].max() for area in areas) == 1
    assert set(policy_to_dataframe(oracle).trials) == {0}


def test_another_search_is_refused():
    oracle = kt_plus.oracles.RandomSearchOracle("loss", 20)
    with raises_in_three_parts(
        kt_plus.errors.ResultsError,
        happened="does not learn a policy",
        expected="Expected a kt_plus.ReinforcementLearning",
    ):
        policy_to_dataframe(oracle)
