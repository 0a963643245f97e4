"""Runs the search of a Tuner component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from absl import logging
from tfx.dsl.components.base import base_executor
from tfx.proto import tuner_pb2
from tfx.types import standard_component_specs as specs
from tfx.utils import json_utils, proto_utils

import kt_plus
from kt_plus.engine.ownership import Ownership
from kt_plus.errors import ProjectInUseError
from kt_plus.results.reading import read
from tfx_components.tuner import outputs as written
from tfx_components.tuner import user_module, working_folder
from tfx_components.tuner.user_module import TunerMaker


class Executor(base_executor.BaseExecutor):
    """Makes the user's tuner, searches, and writes what was found."""

    def Do(
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the search, from where an earlier run of the same one has left it.

        Raises:
            ProjectInUseError: If another run of the same search works in the working folder.
            SearchFailedError: If no trial has completed.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        module_version = user_module.version(exec_properties)
        resumes = bool(exec_properties.get(working_folder.RESUME, 1))
        folder = (
            working_folder.folder_of(input_dict, output_dict, exec_properties, module_version)
            if resumes
            else self._get_tmp_dir()
        )
        with Ownership(folder).held():
            with user_module.installed(exec_properties) as properties:
                maker = TunerMaker(json_utils.dumps(input_dict), properties, folder)
                tuner = search(maker, workers=_workers(exec_properties))
                _write(tuner, maker, output_dict)
            working_folder.remove(folder)


def search(maker: TunerMaker, workers: int) -> Any:
    """Runs the search in the working folder, and returns its tuner.

    Args:
        maker: Makes the tuner.
        workers: How many trials run at a time, each in a process of its own if more than one.

    Raises:
        SearchFailedError: If no trial has completed.
    """
    folder = maker.folder
    working_folder.forget_damaged(folder)
    fragile = working_folder.of_keras_tuner(folder)
    working_folder.make(folder)
    try:
        tuner = kt_plus.distribute.search(maker, workers) if workers > 1 else _search_here(maker)
    except ProjectInUseError:
        raise  # the project that another process searches in is not to be removed
    except Exception:
        for failed in _forget_failed(folder, fragile):
            written.check_completed(failed)
        raise
    try:
        written.check_completed(read(tuner))
    except written.SearchFailedError:
        working_folder.remove(folder)
        raise
    tuner.results_summary()
    return tuner


def _search_here(maker: TunerMaker) -> Any:
    tuner, fit_kwargs = maker()
    if not str(tuner.project_dir).startswith(maker.folder):
        logging.warning(
            "The tuner keeps its project in %s, outside of the component's working folder: what "
            "an earlier run has left there, with other inputs too, goes on. Give it "
            "directory=fn_args.working_dir.",
            tuner.project_dir,
        )
    tuner.search_space_summary()
    tuner.search(**fit_kwargs)
    return tuner


def _forget_failed(folder: str, fragile: bool) -> list[Any]:
    """Removes what would only fail again: no trial completed, or Keras Tuner could not go on.

    Returns:
        The searches in which trials have failed.
    """
    found = [read(project) for project in working_folder.projects(folder)]
    trials = [trial for search in found for trial in search.trials]
    if fragile or not any(trial.status == "COMPLETED" for trial in trials):
        working_folder.remove(folder)
    else:
        logging.info("Run the pipeline again, and the search goes on in %s.", folder)
    return [search for search in found if any(trial.message for trial in search.trials)]


def _workers(exec_properties: Mapping[str, Any]) -> int:
    given = exec_properties.get(specs.TUNE_ARGS_KEY)
    if not given:
        return 1
    tune_args = tuner_pb2.TuneArgs()
    proto_utils.json_to_proto(given, tune_args)
    return max(int(tune_args.num_parallel_trials), 1)


def _write(tuner: Any, maker: TunerMaker, output_dict: dict[str, list[Any]]) -> None:
    found = read(tuner)
    written.write_best_hyperparameters(tuner, output_dict)
    written.write_tuner_results(found, output_dict)
    written.write_search_report(tuner, found, output_dict)
    defined = user_module.namespace(maker.exec_properties)
    written.write_best_model(tuner, defined, maker.fn_args, output_dict)
