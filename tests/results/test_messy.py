"""No function of results breaks on a project that much has happened to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus import results
from tests.invented_search import Foretelling, tuner

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped, failed, running, inheriting, hand-edited and damaged trials, and plain ones."""
    folder = tmp_path_factory.mktemp("messy")
    kind = kt_plus.EvolutionarySearch
    tuner(folder, kind, stopping=Foretelling(), fails=("03", "11")).search(verbose=0)
    project = folder / "invented"

    def edit(trial_id: str, note: Any = None, values: Any = None, **entries: Any) -> None:
        path = project / f"trial_{trial_id}" / "trial.json"
        content = {**json.loads(path.read_text()), **entries}
        content["kt_plus"] = {**content["kt_plus"], **(note or {})}
        content["hyperparameters"]["values"].update(values or {})
        path.write_text(json.dumps(content))

    (project / "trial_05" / "trial.json").write_text('{"trial_id": "05", ')
    edit("06", status="RUNNING", score=None, note={"ended": None})
    edit("07", score=float("nan"))
    edit("08", score=float("-inf"))
    edit("09", score=-1e9)
    edit("10", note={"inherited": 12, "parent": "02"})
    edit("12", values={"limit": 77.0, "kind": "unheard of", "new": "text"})
    edit("13", note={"curves": [], "unheard": True, "parent": "no such trial"})
    edit("14", status="COMPLETED", score=None)
    edit("16", values={"limit": [1, 2]})
    path = project / "trial_15" / "trial.json"
    content = json.loads(path.read_text())
    del content["kt_plus"], content["hyperparameters"]["values"]["limit"]
    path.write_text(json.dumps(content))
    return project


LOOKS: dict[str, Callable[[Path, Path], Any]] = {
    "to_dataframe": lambda project, _: results.to_dataframe(project),
    "runs_to_dataframe": lambda project, _: results.runs_to_dataframe(project),
    "to_optuna": lambda project, _: results.to_optuna(project),
    "to_tensorboard": lambda project, folder: results.to_tensorboard(project, folder / "logs"),
    "importance": lambda project, _: results.plot_importance(project),
    "trials": lambda project, _: results.plot_best_so_far(project, "trials"),
    "epochs": lambda project, _: results.plot_best_so_far(project, "epochs"),
    "seconds": lambda project, _: results.plot_best_so_far(project, "seconds"),
    "curves": lambda project, _: results.plot_learning_curves(project),
    "coordinates": lambda project, _: results.plot_parallel_coordinates(project),
    "family": lambda project, _: results.plot_family_tree(project),
    "searches": lambda project, _: results.plot_searches({"a": project, "b": project}),
    "agreement": lambda project, _: results.rank_agreement(project),
    "trial": lambda project, _: results.plot_trial(project, "10", epoch=3),
    "report": lambda project, folder: kt_plus.report(project, folder / "report.html"),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_it_can_be_looked_at(look: Any, project: Path, tmp_path: Path) -> None:
    if look in (LOOKS["to_optuna"], LOOKS["importance"]):
        pytest.importorskip("optuna")
        pytest.importorskip("sklearn")
    before = {path: path.read_bytes() for path in project.rglob("*.json")}
    with pytest.warns(UserWarning, match=r"trial_(05|16).*damaged"):
        found = look(project, tmp_path)
    assert {path: path.read_bytes() for path in project.rglob("*.json")} == before
    if hasattr(found, "figure"):
        found.figure.savefig(tmp_path / "picture.png")
        matplotlib.pyplot.close(found.figure)


def test_all_but_the_damaged_one_are_listed(project: Path) -> None:
    with pytest.warns(UserWarning, match="damaged") as told:
        frame = results.to_dataframe(project)
    assert [str(warning.message).count("trial_") for warning in told] == [1, 1]
    assert "trial_16" in str(told[1].message)
    assert "'limit' is [1, 2]" in str(told[1].message)
    assert set(frame.index) == {f"{i:02}" for i in range(30)} - {"05", "16"}
    assert frame["status"]["06"] == "running"
    assert frame["inherited"]["10"] == 12
