"""A search under fire, shortened: `python -m benchmarks.soak` is the long one."""

from __future__ import annotations

import pytest

from benchmarks import soak
from tests.benchmarks.test_scripts import cells

pytestmark = pytest.mark.full


@pytest.mark.slow
def test_nothing_is_lost_when_processes_are_killed_at_random(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = "--repetitions 2 --trials 24 --workers 3 --every 1.5 --after-progress"
    soak.main([*settings.split(), "--methods", "kt_plus"])
    number, killed, whole, same, *_ = cells(capsys.readouterr().out)["kt_plus"]
    assert number == whole == same == "2"
    assert sum(map(int, killed.split(" + "))) >= 4


@pytest.mark.slow
def test_keras_training_survives_being_killed_at_random(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = "--repetitions 1 --trials 6 --workers 2 --every 3 --after-progress --methods keras"
    soak.main(settings.split())
    number, _, whole, same, *_ = cells(capsys.readouterr().out)["keras"]
    assert number == whole == same == "1"
