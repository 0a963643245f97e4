"""The same on a Ray cluster: one that is started here, with a process for each actor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import kt_plus
from kt_plus.distribute.ray_cluster import POLL_PAUSE
from tests.distribute import searches
from tests.distribute.searches import check_complete, processes, sums

pytestmark = pytest.mark.full


@pytest.mark.slow
def test_a_worker_an_actor_and_the_chief_die_on_a_ray_cluster(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    worker = searches.once(tmp_path, "02", 1, searches.kill_self)
    actor = searches.once(tmp_path, "04", 1, searches.kill_actor)
    chief = searches.once(tmp_path, "06", 1, searches.kill_chief)

    def sabotage(tuner: Any, trial: Any, epoch: int) -> None:
        worker(tuner, trial, epoch)
        actor(tuner, trial, epoch)
        chief(tuner, trial, epoch)

    resources = {"num_cpus": 0.5}
    tuner = kt_plus.distribute.search(
        sums(tmp_path, sabotage), workers=2, backend="ray", resources=resources
    )
    check_complete(tuner, tmp_path)
    started = processes(tmp_path)
    assert len(started["chief"]) == 2
    assert len(started["worker0"]) + len(started["worker1"]) == 4
    time.sleep(5 * POLL_PAUSE)
    assert not ray.is_initialized(), "a question that came too late has started another cluster"


@pytest.mark.slow
def test_resources_that_no_machine_has() -> None:
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=r"this machine has .* CPU, 0 GPU, and no Ray"):
        kt_plus.distribute.search(
            lambda: None, 1, backend="ray", resources={"num_cpus": 1e4, "num_gpus": 1}
        )
