"""The program that is ended in the middle of a search; only its processes import TensorFlow."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import kt_plus


def make_tuner() -> Any:
    from tests.distribute.searches import hang, once, sums

    place = Path(sys.argv[1])
    return sums(place, once(place, "06", 1, hang))()


if __name__ == "__main__":
    # In the background of a shell it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kt_plus.distribute.search(make_tuner, workers=2)
