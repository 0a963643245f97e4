"""The Tuner component: TFX's own, and more."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration import data_types
from tfx.proto import trainer_pb2, tuner_pb2
from tfx.types import component_spec, standard_artifacts, system_executions
from tfx.types import standard_component_specs as specs
from tfx.utils import json_utils

from tfx_components.tuner import outputs, user_module, working_folder
from tfx_components.tuner.artifacts import SearchReport
from tfx_components.tuner.executor import Executor
from tfx_components.tuner.search_config import RUNTIME_PARAMETERS, SearchConfig

Parameter = component_spec.ExecutionParameter


class TunerSpec(component_spec.ComponentSpec):
    """What the component takes and makes: all that the stock one does under the same names."""

    PARAMETERS = {  # noqa: RUF012
        **specs.TunerSpec.PARAMETERS,
        specs.MODULE_PATH_KEY: Parameter(type=str, optional=True),
        user_module.SEARCH: Parameter(type=str, optional=True),
        working_folder.RESUME: Parameter(type=int, optional=True),
        working_folder.WORKING_DIR: Parameter(type=str, optional=True),
        **{
            user_module.runtime_key(name): Parameter(type=kind, optional=True)
            for name, kind in RUNTIME_PARAMETERS.items()
        },
    }
    INPUTS = specs.TunerSpec.INPUTS
    OUTPUTS = {  # noqa: RUF012
        **specs.TunerSpec.OUTPUTS,
        outputs.BEST_MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        outputs.SEARCH_REPORT: component_spec.ChannelParameter(type=SearchReport),
    }
    TYPE_ANNOTATION = system_executions.Train


class Tuner(base_component.BaseComponent):
    """Hyperparameter search in a pipeline, in place of `tfx.components.Tuner`.

    When to use it: wherever the stock component is used; changing the import is enough. Trials
    then run in parallel if asked to, a run that was killed goes on when the pipeline is run
    again, and the best model and a report of every trial are outputs. With `search` the module
    needs no `tuner_fn`: it defines the model and the data, the pipeline says the search.

    Outputs:

    - `best_hyperparameters`: what Trainer takes, without the engine's reserved values.
    - `tuner_results`: every completed trial, the best first, as the stock component writes it.
    - `best_model`: a `Model` with the weights of the best trial's best epoch, for Trainer's
      `base_model`, Evaluator and Pusher.
    - `search_report`: a `SearchReport` with every trial's status, score, curves, lineage and
      reasons, as JSON and as HTML.

    Args:
        examples: A channel of `Examples`.
        schema: A channel of `Schema`, where raw examples are given.
        transform_graph: A channel of `TransformGraph`, where transformed ones are.
        base_model: A channel of `Model` to start from.
        module_file: The path of a Python file that defines `tuner_fn(fn_args)`, which returns a
            `TunerFnResult`; or, with `search`, `build_model(hp)` or `hypermodel`, and
            `fit_kwargs(fn_args)`. In both cases it may define `signatures(model, fn_args)`: what
            the SavedModel of `best_model` serves.
        tuner_fn: The import path of such a `tuner_fn`, instead of `module_file`.
        train_args: The splits and the number of steps to train on.
        eval_args: The splits and the number of steps to evaluate on.
        tune_args: `num_parallel_trials`: how many trials run at a time, in processes of the
            machine that runs the component, with a share of its processors, and its GPUs in turn.
        custom_config: Handed to the module's functions, as `fn_args.custom_config`.
        search: The search, with `module_file` only.
        resume: Whether a search that was interrupted, with the same inputs, module and
            configuration, goes on when the pipeline is run again. It is kept in a working folder
            until it has succeeded, which is then removed.
        working_dir: Where working folders are made; by default in the component's folder under
            the pipeline root. On Kubeflow, where that folder is another one at each run, give
            one, such as "gs://bucket/searches".

    Raises:
        ValueError: If the arguments, or the module, do not fit together.

    Example:

    ```python
    from tfx_components import SearchConfig, Tuner

    tuner = Tuner(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        module_file="model.py",
        search=SearchConfig("evolutionary_search", "val_accuracy", max_trials=30),
        tune_args=tfx.proto.TuneArgs(num_parallel_trials=4),
    )
    ```
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel | None = None,
        transform_graph: types.BaseChannel | None = None,
        base_model: types.BaseChannel | None = None,
        module_file: str | None = None,
        tuner_fn: str | None = None,
        train_args: trainer_pb2.TrainArgs | None = None,
        eval_args: trainer_pb2.EvalArgs | None = None,
        tune_args: tuner_pb2.TuneArgs | None = None,
        custom_config: dict[str, Any] | None = None,
        *,
        search: SearchConfig | None = None,
        resume: bool = True,
        working_dir: str | data_types.RuntimeParameter | None = None,
    ) -> None:
        _check(module_file, tuner_fn, search, resume)
        runtime = search.runtime_parameters if search else {}
        spec = TunerSpec(
            examples=examples,
            schema=schema,
            transform_graph=transform_graph,
            base_model=base_model,
            module_file=module_file,
            tuner_fn=tuner_fn,
            train_args=train_args or trainer_pb2.TrainArgs(),
            eval_args=eval_args or trainer_pb2.EvalArgs(),
            tune_args=tune_args,
            custom_config=json_utils.dumps(custom_config),
            search=search.to_json() if search else None,
            resume=int(resume),
            working_dir=working_dir,
            best_hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
            tuner_results=types.Channel(type=standard_artifacts.TunerResults),
            best_model=types.Channel(type=standard_artifacts.Model),
            search_report=types.Channel(type=SearchReport),
            **{user_module.runtime_key(name): value for name, value in runtime.items()},
        )
        super().__init__(spec=spec)
        if udf_utils.should_package_user_modules():
            udf_utils.add_user_module_dependency(self, specs.MODULE_FILE_KEY, specs.MODULE_PATH_KEY)


def _check(module_file: Any, tuner_fn: Any, search: Any, resume: Any) -> None:
    if bool(module_file) == bool(tuner_fn):
        raise ValueError(
            f"module_file={module_file!r} and tuner_fn={tuner_fn!r} were given. "
            "Expected exactly one of them."
        )
    if search is not None and not isinstance(search, SearchConfig):
        raise ValueError(
            f"search={search!r} was given. Expected a tfx_components.SearchConfig, such as "
            'SearchConfig("evolutionary_search", "val_accuracy", max_trials=30).'
        )
    if search is not None and not module_file:
        raise ValueError(
            f"search and tuner_fn={tuner_fn!r} were given, which both say the search. Give "
            "module_file, the file that defines the model and fit_kwargs, or leave search out."
        )
    if not isinstance(resume, bool):
        raise ValueError(f"resume={resume!r} was given. Expected True or False.")
    if isinstance(module_file, str):
        user_module.check_source(module_file, declarative=search is not None)
