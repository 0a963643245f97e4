"""Where a search is kept while it runs, so that the same one goes on there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from absl import logging
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs as specs

from kt_plus.engine.ownership import FILES
from kt_plus.engine.storage import empty_folder

FOLDER = "searches"
RESUME = "resume"
WORKING_DIR = "working_dir"

NO_MATTER = (
    specs.TUNE_ARGS_KEY,
    specs.MODULE_FILE_KEY,
    specs.MODULE_PATH_KEY,
    RESUME,
    WORKING_DIR,
)
"""Parameters that may differ when a search goes on; the module counts by its content."""


def folder_of(
    inputs: Mapping[str, list[Any]],
    outputs: Mapping[str, list[Any]],
    exec_properties: Mapping[str, Any],
    module_version: str,
) -> str:
    """The working folder of a search, the same for the same inputs and configuration."""
    told = {
        "inputs": {key: [_describe(one) for one in inputs[key]] for key in sorted(inputs)},
        "parameters": {n: v for n, v in exec_properties.items() if n not in NO_MATTER and v},
        "module": module_version,
    }
    content = json.dumps(told, sort_keys=True, default=str)
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:20]
    home = exec_properties.get(WORKING_DIR) or _home(outputs)
    return os.path.join(home, FOLDER, fingerprint)


def make(folder: str) -> None:
    """Makes the folder, and says whether a search goes on in it."""
    if projects(folder):
        logging.info("The search of an earlier run goes on, in %s.", folder)
    fileio.makedirs(folder)


def remove(folder: str) -> None:
    """Removes the folder; where that fails, the outputs are there all the same."""
    try:
        if fileio.exists(folder):
            fileio.rmtree(folder)
    except Exception as error:
        logging.warning("The working folder %s could not be removed: %r", folder, error)


def projects(folder: str) -> list[str]:
    """The directories of Keras Tuner's projects in a folder."""
    if not fileio.exists(folder):
        return []
    return [root for root, _, files in fileio.walk(folder) if "oracle.json" in files]


def of_keras_tuner(folder: str) -> bool:
    """Whether plain Keras Tuner, which survives less than kt_plus, has written a project there."""
    return any("kt_plus" not in _read(os.path.join(p, "oracle.json")) for p in projects(folder))


def forget_damaged(folder: str) -> None:
    """Removes a folder with files that plain Keras Tuner was writing when it was killed.

    It could not be loaded again, at this or any later run. kt_plus leaves no such files.
    """
    if not of_keras_tuner(folder):
        return
    names = ("oracle.json", "trial.json", "tuner0.json")
    paths = [os.path.join(r, n) for r, _, files in fileio.walk(folder) for n in files if n in names]
    damaged = [path for path in paths if not _read(path)]
    if damaged:
        logging.warning(
            "%s was being written when the last run was killed: the search starts afresh. The "
            "searches of kt_plus, such as kt_plus.RandomSearch, go on instead.",
            damaged[0],
        )
        empty_folder(folder, keep=FILES)  # this run owns it already


def _read(path: str) -> dict[str, Any]:
    """The content of a JSON file, empty if it is damaged."""
    with fileio.open(path, "r") as file:
        try:
            return dict(json.loads(file.read()))
        except ValueError:
            return {}


def _home(outputs: Mapping[str, list[Any]]) -> str:
    """The component's folder under the pipeline root."""
    uri = outputs[specs.BEST_HYPERPARAMETERS_KEY][0].uri.rstrip("/")
    output, last = os.path.split(uri)
    return os.path.dirname(output if last.isdigit() else uri)  # TFX's own runners add a number


def _describe(artifact: Any) -> Any:
    """An input: where it is and which files it has.

    The place alone does not tell: with a new metadata store the same places come again.
    """
    uri = artifact.uri.rstrip("/")
    found = fileio.walk(uri) if fileio.exists(uri) else ()
    files = [os.path.join(root, name) for root, _, names in found for name in names]
    return [uri, getattr(artifact, "split_names", None), sorted(map(_stamp, files))]


def _stamp(path: str) -> list[Any]:
    """A file's name, size and time of change."""
    stat = fileio.stat(path)
    size = getattr(stat, "length", None) or getattr(stat, "st_size", 0)
    changed = getattr(stat, "mtime_nsec", None) or getattr(stat, "st_mtime_ns", 0)
    return [path, int(size), int(changed)]
