"""The user's `make_tuner`: what it may return, and what that means."""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
from collections.abc import Iterator
from typing import Any


def make(make_tuner: Any, overwrite: bool) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The tuner, and the arguments of its `search`.

    Args:
        make_tuner: The user's function, pickled or not.
        overwrite: Whether an `overwrite=True` of the user's counts; it does once in a search.

    Raises:
        TypeError: If the function returns something else.
        ValueError: If the tuner's search is not one that survives.
    """
    from kt_plus.engine.oracle import Oracle

    if isinstance(make_tuner, bytes):
        make_tuner = pickle.loads(make_tuner)
    with contextlib.nullcontext() if overwrite else _never_overwriting():
        made = make_tuner()
    tuner, fit_args, fit_kwargs = _parts(made)
    oracle = getattr(tuner.oracle, "_oracle", tuner.oracle)  # a worker's is behind its client
    if not isinstance(oracle, Oracle):
        raise ValueError(
            f"make_tuner() made a tuner with the oracle {type(oracle).__name__}. Expected one of "
            "kt_plus's, whose projects survive the death of a process: kt_plus.RandomSearch, "
            "kt_plus.Hyperband, ... take the same arguments as Keras Tuner's."
        )
    return tuner, fit_args, fit_kwargs


def _parts(made: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    import keras_tuner

    parts = (made,) if isinstance(made, keras_tuner.engine.base_tuner.BaseTuner) else made
    if isinstance(parts, tuple) and parts:
        tuner, *rest = parts
        fit_kwargs = rest.pop() if rest else {}
        fit_args = rest.pop() if rest else ()
        if isinstance(tuner, keras_tuner.engine.base_tuner.BaseTuner) and not rest:
            return tuner, tuple(fit_args or ()), dict(fit_kwargs or {})
    raise TypeError(
        f"make_tuner() returned {made!r}. Expected (tuner, fit_kwargs), such as "
        "(tuner, {'x': x, 'y': y, 'epochs': 20}), a TFX TunerFnResult, (tuner, fit_args, "
        "fit_kwargs), or a tuner alone."
    )


def reload_if_needed(tuner: Any) -> None:
    """Reads the project again if the tuner, being one of Keras Tuner's own, has not done so."""
    from kt_plus.engine import storage

    saved = storage.exists(os.path.join(str(tuner.project_dir), "oracle.json"))
    if saved and not tuner.oracle.trials:
        tuner.oracle.reload()


@contextlib.contextmanager
def _never_overwriting() -> Iterator[None]:
    """Makes `overwrite=True` count for nothing: the project is that of the running search."""
    from keras_tuner.engine.base_tuner import BaseTuner

    from kt_plus.engine.tuner import Tuner

    original = BaseTuner.__init__
    signature = inspect.signature(original)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.arguments["overwrite"] = False
        original(*bound.args, **bound.kwargs)

    BaseTuner.__init__, Tuner._overwrites = init, False
    try:
        yield
    finally:
        BaseTuner.__init__, Tuner._overwrites = original, True
