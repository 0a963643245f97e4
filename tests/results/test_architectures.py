"""Pictures of networks: the best one, another one, all of them by size."""

from __future__ import annotations

import pytest

import kt_plus
from kt_plus.errors import ResultsError
from kt_plus.results import plot_architecture, plot_trade_off
from kt_plus.results.architectures import Network, pareto_front
from kt_plus.search_spaces import ChainSpace

pyplot = pytest.importorskip("matplotlib.pyplot")


class Sized(kt_plus.RandomSearch):
    """Finds a network the better, the more parameters it has."""

    def run_trial(self, trial, *args, **kwargs):
        return {"loss": 1 / self.hypermodel.graph(trial.hyperparameters).parameters}


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    space = ChainSpace((5,), 3, data="table", widths=(4, 8))
    tuner = Sized(space, "loss", max_trials=6, seed=0, directory=tmp_path_factory.mktemp("search"))
    tuner.search(verbose=0)
    return tuner


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def sizes(search):
    trials = search.oracle.trials.values()
    return {t.trial_id: search.hypermodel.graph(t.hyperparameters).parameters for t in trials}


def test_the_best_network_is_drawn(search):
    of = sizes(search)
    best = max(of, key=of.__getitem__)
    title = plot_architecture(search).get_title()
    assert title.startswith(f"trial {best}, loss ")
    assert title.endswith(f": {of[best]:,} parameters")
    assert plot_architecture(search.project_dir, space=search.hypermodel).get_title() == title


def test_any_network_is_drawn_where_one_wants(search):
    ax = pyplot.subplots()[1]
    assert plot_architecture(search, "3", ax) is ax
    assert f"{sizes(search)['3']:,} parameters" in ax.get_title()


def test_each_network_is_a_point_and_the_front_a_line(search):
    ax = plot_trade_off(search)
    points, front = (collection.get_offsets() for collection in ax.collections)
    assert sorted(int(x) for x, _ in points) == sorted(sizes(search).values())
    assert sorted({int(x) for x, _ in front}) == sorted(set(sizes(search).values()))
    assert plot_trade_off(search, "flops").get_xlabel().startswith("multiply-adds")


def test_the_front_is_what_no_smaller_network_beats():
    networks = [
        Network(size, score, "") for size, score in ((5, 3), (1, 1), (2, 0), (5, 4), (9, 4))
    ]
    assert [(n.size, n.score) for n in pareto_front(networks, 1)] == [(1, 1), (5, 4)]
    assert [(n.size, n.score) for n in pareto_front(networks, -1)] == [(1, 1), (2, 0)]


def test_what_cannot_be_drawn_is_told(search, tmp_path):
    with pytest.raises(ResultsError, match="has no trial '77'"):
        plot_architecture(search, "77")
    with pytest.raises(ResultsError, match=r"space=kt_plus\.search_spaces\.ChainSpace"):
        plot_architecture(search.project_dir)
    with pytest.raises(ResultsError, match="Expected 'parameters' or 'flops'"):
        plot_trade_off(search, "seconds")
    new = Sized(search.hypermodel, "loss", directory=tmp_path)
    for plot in (plot_architecture, plot_trade_off):
        with pytest.raises(ResultsError, match=r"[Rr]un the search first"):
            plot(new)
