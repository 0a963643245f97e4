"""Where the recorded results are that the benchmarks replay."""

from __future__ import annotations

import os
from pathlib import Path


class DataMissing(FileNotFoundError):
    """The recorded results that a benchmark replays are not on this machine."""


def data_file(name: str, without: str = "the table `synthetic`") -> Path:
    """Finds a file of recorded results.

    Args:
        name: File name, for instance `"nas_bench_macro.npz"`.
        without: What the error recommends to those who do not have the file.

    Raises:
        DataMissing: If the file is in neither `$KT_PLUS_DATA` nor `../shared/data`
            beside the repository.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("KT_PLUS_DATA", beside))
    if not (folder / name).is_file():
        raise DataMissing(
            f"No file {name} in {folder}. This benchmark replays recorded training runs "
            "and expects them there. Set the environment variable KT_PLUS_DATA to the "
            f"folder that holds them, or use {without}, which needs no data."
        )
    return folder / name
