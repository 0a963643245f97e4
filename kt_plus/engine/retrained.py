"""Where the trials that were trained again are kept, and their scores."""

from __future__ import annotations

import os

from kt_plus.engine import storage

FOLDER = "retrained"
"""Within the project: one project for each trial that was trained again, under its id."""

TRIAL = "0"
"""The id of the one trial of such a project."""


def trial_file(project_dir: str) -> str:
    """The file of the one trial of such a project."""
    return os.path.join(project_dir, f"trial_{TRIAL}", "trial.json")


def scores(project_dir: str) -> dict[str, float]:
    """The scores from scratch of a search, by the ids of its trials."""
    folder = os.path.join(project_dir, FOLDER)
    found = {}
    for trial_id in storage.folders(folder):
        content = storage.read_json(trial_file(os.path.join(folder, trial_id)))
        if content is not None and content["status"] == "COMPLETED":
            found[trial_id] = content["score"]
    return found
