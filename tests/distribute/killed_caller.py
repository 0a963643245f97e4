"""The program that is killed in its parallel search; only its processes import TensorFlow."""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path
from typing import Any

import kt_plus

EPOCH_SECONDS = 0.1


def slow(tuner: Any, trial: Any, epoch: int) -> None:
    time.sleep(EPOCH_SECONDS)


def make_tuner(directory: str | Path) -> Any:
    from tests.distribute.searches import sums

    return sums(directory, slow)()


if __name__ == "__main__":
    kt_plus.distribute.search(functools.partial(make_tuner, sys.argv[1]), workers=2)
