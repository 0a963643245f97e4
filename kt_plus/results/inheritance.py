"""Which layers of the trials of a search have inherited their weights, and how."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kt_plus.engine import storage
from kt_plus.results.frame import _pandas
from kt_plus.results.reading import read

if TYPE_CHECKING:
    import pandas as pd

FILE = "inheritance.json"


def inheritance_to_dataframe(search: Any) -> pd.DataFrame:
    """What each layer of each trial has inherited, one in a row.

    When to use it: with `inherit_weights`, to see what a child began with.

    Args:
        search: A tuner, or the directory of its project.

    Returns:
        A data frame with the columns `trial_id`; `parent`, the trial that it inherited from;
        `layer`; `how`: "copied", "widened" (by Net2Wider), "cropped", "deepened" (a new layer that
        begins as an identity) or "fresh" (as it was drawn); `why`, in words; `source`, the layer
        of the parent. A trial that was to inherit and could not has one row, without a layer.

    Raises:
        ResultsError: If there is no project.
        ImportError: If pandas is not installed.

    Example:

    ```python
    layers = kt_plus.results.inheritance_to_dataframe(tuner)
    layers.groupby("trial_id").how.value_counts()
    ```
    """
    pd, found = _pandas(), read(search)
    rows: list[dict[str, Any]] = []
    for trial in found.trials:
        path = os.path.join(found.directory, f"trial_{trial.trial_id}", FILE)
        content = storage.read_json(path)
        if content is None:
            continue
        facts = {"trial_id": trial.trial_id, "parent": content["parent"]}
        fresh = [{"how": "fresh", "why": content.get("reason")}]
        layers = content["report"]["layers"] if "report" in content else fresh
        rows += [{**facts, **layer} for layer in layers]
    columns = ["trial_id", "parent", "layer", "how", "why", "source"]
    return pd.DataFrame(rows, columns=columns)
