"""Carries the choice of Keras from a process to the processes that it starts.

Keras 3 chooses its backend once, when it is imported. TensorFlow chooses between Keras 3 and
Keras 2 by `TF_USE_LEGACY_KERAS`: at its import for `from tensorflow.keras import ...`, at the first
use of an alias for `tf.keras`. tensorflow_transform sets that variable when it is imported, often
after the choice. A child process inherits the variable before it imports TensorFlow, and
would therefore choose Keras 2 where its parent uses Keras 3.
"""

from __future__ import annotations

import json
import os
import sys
from types import ModuleType
from typing import Any

BACKEND = "KERAS_BACKEND"
LEGACY = "TF_USE_LEGACY_KERAS"
CHOICE = "KT_PLUS_TF_KERAS"
"""Environment variable with the choices of the parent, as JSON."""

ALIASES = ("keras", "initializers", "losses", "metrics", "optimizers")
"""Attributes of TensorFlow that become a module of Keras at their first use."""


def variables() -> dict[str, str]:
    """Returns the environment variables by which a child process chooses as this one did."""
    chosen = {LEGACY: os.environ[LEGACY]} if LEGACY in os.environ else {}
    keras: Any = sys.modules.get("keras")
    if keras is not None:
        chosen[BACKEND] = keras.backend.backend()
    at_import, aliases = _choices()
    # Where the variable still says the same, the child needs no help, nor an early import.
    if any(legacy != _is_legacy() for legacy in (at_import, *aliases.values())):
        choice = {"import": at_import, "aliases": aliases, "variable": os.environ.get(LEGACY)}
        chosen[CHOICE] = json.dumps(choice)
    return chosen


def adopt() -> None:
    """Chooses as the parent did. Call it in a child process before the first import of Keras."""
    content = os.environ.pop(CHOICE, None)
    if content is None:
        return
    choice = json.loads(content)
    _set("1" if choice["import"] else None)
    import tensorflow

    for alias, legacy in choice["aliases"].items():
        _set("1" if legacy else None)
        dir(getattr(tensorflow, alias))  # its first use
    _set(choice["variable"])


def _choices() -> tuple[bool, dict[str, bool]]:
    """Returns whether TensorFlow chose Keras 2 at its import, and for each alias used so far."""
    tensorflow = sys.modules.get("tensorflow")
    at_import = getattr(tensorflow, "_tf_uses_legacy_keras", _is_legacy())
    aliases = {}
    for alias in ALIASES:
        module = getattr(tensorflow, alias, None)
        if type(module) is ModuleType:  # before its first use an alias is a lazy subclass
            # `import tensorflow.keras` replaces the alias by what was chosen at the import.
            replaced = module.__name__.startswith("tensorflow.")
            aliases[alias] = at_import if replaced else module.__name__.startswith("tf_keras")
    return at_import, aliases


def _is_legacy() -> bool:
    """Returns whether the variable asks for Keras 2 now, as TensorFlow reads it."""
    return os.environ.get(LEGACY) in ("true", "True", "1")


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(LEGACY, None)
    else:
        os.environ[LEGACY] = value
