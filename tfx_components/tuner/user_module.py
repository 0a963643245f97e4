"""The user's module: what it must define, and the tuner that comes of it."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras_tuner
from absl import logging
from tfx.components.trainer import fn_args_utils
from tfx.components.util import udf_utils
from tfx.dsl.io import fileio
from tfx.types import standard_component_specs as specs
from tfx.utils import io_utils, json_utils

from tfx_components.tuner.search_config import RUNTIME_PARAMETERS, SearchConfig

TUNER_FN = "tuner_fn"
BUILD_MODEL = "build_model"
HYPERMODEL = "hypermodel"
FIT_KWARGS = "fit_kwargs"
SIGNATURES = "signatures"

SEARCH = "search"
PROJECT = "search"
"""The name of the project in the working folder."""


def runtime_key(name: str) -> str:
    """The execution parameter that brings a value of the configuration at run time."""
    return f"search_{name}"


def check_source(path: str, declarative: bool) -> None:
    """Raises unless the module's source can be read and defines what the component will call.

    It is not executed: what it imports need not be installed where the pipeline is built.

    Args:
        path: The module's file; one that cannot be read here is left to the run.
        declarative: Whether the pipeline says the search, rather than the module.

    Raises:
        ValueError: If something is missing.
        SyntaxError: If it is not Python.
    """
    try:
        with fileio.open(path, "rb") as file:
            source = file.read()
    except Exception as error:  # TensorFlow's file systems raise classes of their own
        logging.info("%s is not checked, since it cannot be read from here: %s", path, error)
        return
    defined = _defined(ast.parse(source, path).body)
    if "*" not in defined:
        _check_defined(path, defined, declarative)


def _check_defined(where: str, defined: set[str] | Mapping[str, Any], declarative: bool) -> None:
    if not declarative:
        if TUNER_FN not in defined:
            raise ValueError(
                f"{where} defines no tuner_fn. Expected a function tuner_fn(fn_args) that returns "
                "a TunerFnResult; or give the component a `search`, and let the module define "
                "build_model(hp) and fit_kwargs(fn_args)."
            )
        return
    models = [name for name in (BUILD_MODEL, HYPERMODEL) if name in defined]
    if len(models) != 1:
        raise ValueError(
            f"{where} defines {' and '.join(models) or 'no model'}. Since `search` is given, "
            "expected either a function build_model(hp), or build_model(hp, fn_args), that returns "
            "a compiled model, or hypermodel, a keras_tuner.HyperModel or a function of fn_args "
            "that returns one."
        )
    if FIT_KWARGS not in defined:
        raise ValueError(
            f"{where} defines no fit_kwargs. Since `search` is given, expected a function "
            "fit_kwargs(fn_args) that returns the arguments of the model's fit, such as "
            "{'x': train, 'validation_data': evaluation, 'epochs': 20}."
        )


def _defined(body: list[ast.stmt]) -> set[str]:
    """The names that statements define at the top level; "*" if they import all of a module."""
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in statement.names)
        else:
            for node in ast.walk(statement):  # assignments, also within `if` and `try`
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    names.add(node.name)
                elif isinstance(node, (ast.Import, ast.ImportFrom)):
                    names.update(alias.asname or alias.name for alias in node.names)
    return names


@contextlib.contextmanager
def installed(exec_properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Makes a packaged module importable, here and in processes started from here.

    Yields:
        The execution properties with the module's plain name.
    """
    key = exec_properties.get(specs.MODULE_PATH_KEY)
    name, wheels = udf_utils.decode_user_module_key(key)
    with udf_utils.TempPipInstallContext([io_utils.ensure_local(wheel) for wheel in wheels]):
        yield {**exec_properties, specs.MODULE_PATH_KEY: name} if key else dict(exec_properties)


def version(exec_properties: Mapping[str, Any]) -> str:
    """What changes when the user's module does."""
    key = exec_properties.get(specs.MODULE_PATH_KEY)
    if key and "@" in key:
        return key.rpartition("/")[2]  # the name of the wheel tells the hash of the sources
    path = exec_properties.get(specs.MODULE_FILE_KEY)
    if not path:
        name = key or exec_properties[specs.TUNER_FN_KEY].rpartition(".")[0]
        spec = importlib.util.find_spec(name)
        path = spec.origin if spec else None
    if not path or not fileio.exists(path):
        return ""
    with fileio.open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def namespace(exec_properties: Mapping[str, Any]) -> dict[str, Any]:
    """What the user's module defines."""
    if exec_properties.get(specs.MODULE_PATH_KEY) or exec_properties.get(specs.MODULE_FILE_KEY):
        return udf_utils.get_fn(dict(exec_properties), "__dict__")
    path = exec_properties[specs.TUNER_FN_KEY]
    return vars(importlib.import_module(path.rpartition(".")[0]))


def search_config(exec_properties: Mapping[str, Any]) -> SearchConfig | None:
    """The search that the pipeline says, with the runtime parameters' values."""
    if not exec_properties.get(SEARCH):
        return None
    given = {name: exec_properties.get(runtime_key(name)) for name in RUNTIME_PARAMETERS}
    runtime = {name: value for name, value in given.items() if value is not None}
    return SearchConfig.from_json(exec_properties[SEARCH], runtime)


@dataclass(frozen=True)
class TunerMaker:
    """Makes the tuner and the arguments of its search, in any process.

    Args:
        inputs: The component's inputs, as JSON.
        exec_properties: Its parameters.
        folder: The working folder.
    """

    inputs: str
    exec_properties: Mapping[str, Any]
    folder: str

    @property
    def fn_args(self) -> fn_args_utils.FnArgs:
        """What TFX tells the user's functions."""
        return fn_args_utils.get_common_fn_args(
            json_utils.loads(self.inputs), dict(self.exec_properties), self.folder
        )

    def __call__(self) -> tuple[Any, dict[str, Any]]:
        defined, fn_args = namespace(self.exec_properties), self.fn_args
        config = search_config(self.exec_properties)
        if config is not None:
            _check_defined("The module", defined, declarative=True)
            tuner = config.make_tuner(_model(defined, fn_args), self.folder, PROJECT)
            return tuner, dict(defined[FIT_KWARGS](fn_args))
        name = (self.exec_properties.get(specs.TUNER_FN_KEY) or TUNER_FN).rpartition(".")[2]
        result = defined[name](fn_args)
        tuner = getattr(result, "tuner", None)
        if not isinstance(tuner, keras_tuner.engine.base_tuner.BaseTuner):
            raise TypeError(
                f"{name} returned {result!r}. Expected a TunerFnResult with a tuner of kt_plus "
                "or Keras Tuner, and the arguments of its search."
            )
        return tuner, dict(result.fit_kwargs or {})


def _model(defined: Mapping[str, Any], fn_args: Any) -> Any:
    """The model that the module defines, as Keras Tuner takes it."""
    if BUILD_MODEL in defined:
        build = defined[BUILD_MODEL]
        if _takes_fn_args(build):
            return lambda hp: build(hp, fn_args)
        return build
    hypermodel = defined[HYPERMODEL]
    if isinstance(hypermodel, type) and issubclass(hypermodel, keras_tuner.HyperModel):
        return hypermodel()
    if not isinstance(hypermodel, keras_tuner.HyperModel) and callable(hypermodel):
        hypermodel = hypermodel(fn_args)
    if not isinstance(hypermodel, keras_tuner.HyperModel):
        raise TypeError(
            f"hypermodel is {hypermodel!r}. Expected a keras_tuner.HyperModel, or a function of "
            "fn_args that returns one."
        )
    return hypermodel


def _takes_fn_args(build: Any) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(build).parameters.values()
    needed = [p for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    return len(needed) == 2
