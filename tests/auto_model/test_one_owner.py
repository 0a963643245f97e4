"""One fit at a time in a project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kt_plus
from kt_plus.engine import ownership
from kt_plus.engine.ownership import FIT, SEARCH, Ownership
from kt_plus.errors import ProjectInUseError
from tests.auto_model.small import small
from tests.owners import fork, owned_elsewhere, owner_of, wait

pytestmark = pytest.mark.slow


def test_a_fit_in_a_project_that_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(**options: object) -> kt_plus.AutoModel:
        budget = {"max_trials": 1, "max_epochs": 2, "ensemble": 1, "seed": 0}
        auto = kt_plus.AutoModel(space=small, directory=str(tmp_path), **budget, **options)
        return auto.fit(x, y, verbose=0)

    def take(name: str) -> None:
        with Ownership(str(folder), name).held():
            pass

    monkeypatch.setattr(ownership, "GRACE", 0.2)
    folder = tmp_path / "auto_model"
    x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    fit()
    for name in (FIT, SEARCH):
        assert owner_of(folder, name).ended
        with owned_elsewhere(folder, name=name) as pid:
            before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            for options in ({}, {"overwrite": True}):
                with pytest.raises(ProjectInUseError, match=f"process {pid} on"):
                    fit(**options)
            after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            changed = {path.name for path in before if before[path] != after.get(path)}
            assert changed <= {"fit.json"}  # the description of the fit that was refused
            assert before.keys() == after.keys()
            kt_plus.AutoModel.load(str(tmp_path)).predict(x)
    fit(overwrite=True).predict(x)
    assert [wait(fork(lambda name=name: take(name))) for name in (FIT, SEARCH)] == [0, 0]
