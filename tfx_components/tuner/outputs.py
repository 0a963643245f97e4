"""What the component leaves: hyperparameters, results, the best model, and a report."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from absl import logging
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, path_utils

from kt_plus.engine.ledger import without_reserved
from kt_plus.results.reading import Search, Trial, read
from tfx_components.tuner import saved_model
from tfx_components.tuner.artifacts import HTML_FILE, JSON_FILE
from tfx_components.tuner.report import to_html

BEST_MODEL = "best_model"
SEARCH_REPORT = "search_report"

HYPERPARAMETERS_FILE = "best_hyperparameters.txt"
RESULTS_FILE = "tuner_results.json"
KERAS_FILE = os.path.join("assets.extra", "model.keras")
"""Where the Keras model lies within the SavedModel; `assets.extra` is meant for such."""

Outputs = Mapping[str, list[Any]]


class SearchFailedError(RuntimeError):
    """A search has ended without a single completed trial."""


def check_completed(search: Search) -> None:
    """Raises, with the reasons of the trials, unless at least one has completed."""
    if any(trial.status == "COMPLETED" for trial in search.trials):
        return
    reasons: dict[str, list[str]] = {}
    for trial in search.trials:
        lines = (trial.message or "(it gave no reason)").strip().splitlines()
        reasons.setdefault(lines[-1], []).append(trial.trial_id)
    told = [f"- trial {', '.join(ids[:10])}: {reason}" for reason, ids in reasons.items()]
    first = next((trial.message for trial in search.trials if trial.message), None)
    raise SearchFailedError(
        f"None of the {len(search.trials)} trials of the search has completed, so that there are "
        "no best hyperparameters. The trials said:\n"
        + "\n".join(told[:20])
        + (f"\nThe first of them in full:\n{first}" if first else "")
    )


def write_best_hyperparameters(tuner: Any, outputs: Outputs) -> None:
    """Writes the best trial's configuration, the one file in its folder, as Trainer wants it."""
    best = tuner.get_best_hyperparameters()[0].get_config()
    best["values"] = without_reserved(best["values"])
    folder = artifact_utils.get_single_uri(outputs[specs.BEST_HYPERPARAMETERS_KEY])
    io_utils.write_string_file(os.path.join(folder, HYPERPARAMETERS_FILE), json.dumps(best))
    logging.info("Best hyperparameters: %s", best["values"])


def write_tuner_results(search: Search, outputs: Outputs) -> None:
    """Writes every completed trial, the best first, as a list of rows."""
    completed = [trial for trial in search.trials if trial.status == "COMPLETED"]
    completed.sort(key=lambda trial: -search.sign * trial.score)
    rows = [{"trial_id": t.trial_id, "score": t.score, **t.values} for t in completed]
    folder = artifact_utils.get_single_uri(outputs[specs.TUNER_RESULTS_KEY])
    io_utils.write_string_file(os.path.join(folder, RESULTS_FILE), json.dumps(rows))


def write_best_model(
    tuner: Any, defined: Mapping[str, Any], fn_args: Any, outputs: Outputs
) -> None:
    """Writes the best model as a SavedModel for serving, with the Keras model within.

    What cannot be exported, such as a model of scikit-learn's, is warned of: the results of
    a long search are worth more than its model, which can be trained again.

    Args:
        tuner: The finished tuner.
        defined: What the user's module defines; its `signatures(model, fn_args)`, if it has
            one, says what the SavedModel serves.
        fn_args: What TFX tells the user's functions.
        outputs: The component's outputs.
    """
    artifact = artifact_utils.get_single_instance(outputs[BEST_MODEL])
    folder = path_utils.serving_model_dir(artifact.uri)
    try:
        model = tuner.get_best_models()[0]
        _export(model, folder, defined.get("signatures"), fn_args)
        _write_keras_model(model, os.path.join(folder, KERAS_FILE))
    except Exception as error:
        logging.warning(
            "The best model could not be exported, so that best_model is empty; train it from "
            "best_hyperparameters instead. %s: %s",
            type(error).__name__,
            error,
        )
        if fileio.exists(folder):
            fileio.rmtree(folder)
    artifact.set_int_custom_property("exported", int(fileio.exists(folder)))


def _export(model: Any, folder: str, signatures: Any, fn_args: Any) -> None:
    if signatures is None:
        model.export(folder, verbose=False)
    else:
        saved_model.save(model, folder, signatures(model, fn_args))


def _write_keras_model(model: Any, path: str) -> None:
    with tempfile.TemporaryDirectory() as local:
        file = os.path.join(local, "model.keras")
        model.save(file)
        fileio.makedirs(os.path.dirname(path))
        fileio.copy(file, path, overwrite=True)


def write_search_report(tuner: Any, search: Search, outputs: Outputs) -> None:
    """Writes everything that is known of every trial, for programs and for people."""
    content = report(tuner, search)
    artifact = artifact_utils.get_single_instance(outputs[SEARCH_REPORT])
    text = json.dumps(content, indent=1, allow_nan=False)
    io_utils.write_string_file(os.path.join(artifact.uri, JSON_FILE), text)
    io_utils.write_string_file(os.path.join(artifact.uri, HTML_FILE), to_html(content))
    statuses = [trial["status"] for trial in content["trials"]]
    artifact.set_int_custom_property("trials", len(statuses))
    artifact.set_int_custom_property("completed", statuses.count("COMPLETED"))
    artifact.set_int_custom_property("failed", statuses.count("FAILED"))
    artifact.set_float_custom_property("best_score", float(content["best_score"]))
    artifact.set_string_custom_property("best_trial", content["best_trial"])


def report(tuner: Any, search: Search) -> dict[str, Any]:
    """A search in terms of JSON: its trials in the order in which they started."""
    scored = [trial for trial in search.trials if trial.status == "COMPLETED"]
    best = max(scored, key=lambda trial: search.sign * trial.score)
    return {
        "schema": 1,
        "tuner": type(tuner).__name__,
        "objective": [{"name": n, "direction": d} for n, d in search.objectives],
        "max_trials": getattr(tuner.oracle, "max_trials", None),
        "seed": getattr(tuner.oracle, "seed", None),
        "best_trial": best.trial_id,
        "best_score": best.score,
        "epochs": sum(trial.note.epochs for trial in search.trials if trial.note),
        "trials": [_trial(trial) for trial in search.trials],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    note = trial.note
    told: dict[str, Any] = {
        "trial_id": trial.trial_id,
        "status": trial.status,
        "score": trial.score,
        "hyperparameters": without_reserved(trial.values),
        "error": trial.message,
    }
    if note is None:  # plain Keras Tuner keeps no more
        return told
    stop = note.stop or note.dry_stop
    return told | {
        "curves": [
            {"first_epoch": c.first_epoch, "values": list(map(_finite, c.values))}
            for c in note.curves
        ],
        "epochs": note.epochs,
        "horizon": note.horizon,
        "seconds": note.seconds,
        "attempts": note.attempts,
        "started": note.started,
        "ended": note.ended,
        "parent": note.parent,
        "changed": list(note.changed),
        "rung": note.rung,
        "initial": note.initial,
        "stop_reason": note.stop_reason,
        "dry_stop_reason": note.dry_stop_reason,
        "stop": {name: _finite(value) for name, value in vars(stop).items()} if stop else None,
    }


def _finite(value: Any) -> Any:
    """The value, as text if it is NaN or infinite, for which JSON has no number."""
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value


def search_of(tuner: Any) -> Search:
    """The search as its project tells it."""
    return read(tuner)
