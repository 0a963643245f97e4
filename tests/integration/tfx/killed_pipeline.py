"""A program that is killed in the middle of its search: `python -m ... FOLDER LOG`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.tfx.pipelines import MODULE, Iris
from tfx_components import SearchConfig, Tuner


def interrupted(iris: Iris, log: Path, max_trials: int = 6) -> Tuner:
    """A search whose epochs take a while."""
    search = SearchConfig("evolutionary_search", "val_accuracy", max_trials=max_trials, seed=3)
    config = {"log": str(log), "pause": 0.5, "epochs": 2}
    tuner = Tuner(**iris.begin(), module_file=MODULE, search=search, custom_config=config)
    return tuner.with_id("Interrupted")


if __name__ == "__main__":
    _, folder, log = sys.argv
    del sys.argv[1:]  # which TFX's components read as their own
    iris = Iris(Path(folder))
    iris.run(interrupted(iris, Path(log)))
