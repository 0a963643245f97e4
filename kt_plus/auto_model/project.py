"""What a fit leaves in its project folder, to be resumed and loaded, beside the search."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kt_plus.engine import storage
from kt_plus.engine.seeds import search_seed
from kt_plus.errors import ResumeError

Array = NDArray[Any]

STATE = "auto_model.json"
MODEL = "auto_model.keras"
SCHEMA = 1
LARGEST_HASHED = 2**27
"""Of larger arrays only every so many examples are hashed: bytes."""


class Project:
    """The folder of one fit.

    Args:
        directory: Where projects are kept.
        project_name: The folder of this one.
        overwrite: Whether to disregard what is there.
    """

    def __init__(self, directory: str, project_name: str, overwrite: bool = False) -> None:
        self.folder = os.path.join(directory, project_name)
        found = None if overwrite else storage.read_json(os.path.join(self.folder, STATE))
        self.state: dict[str, Any] = found or {"schema": SCHEMA, "seconds": 0.0, "members": []}
        if self.state["schema"] != SCHEMA:
            raise ResumeError(
                f"{self.folder} was written by another version of kt_plus. Give another "
                "project_name, or overwrite=True."
            )

    def check(self, data: str) -> None:
        """Raises if the project is of other data.

        Args:
            data: The fingerprint of these.
        """
        if self.state.setdefault("data", data) != data:
            raise ResumeError(
                f"{self.folder} holds a search on other data, targets, weights or shares of "
                "validation. Expected the same, to go on with. Give another project_name, or "
                "overwrite=True to start again."
            )

    def seed(self, given: int | None) -> int:
        """The seed of the project; of a new one, the given one or any."""
        return int(self.state.setdefault("seed", search_seed(given)))

    def save(self, **changes: Any) -> None:
        """Writes the state with some changes."""
        self.state.update(changes)
        storage.write_json(os.path.join(self.folder, STATE), self.state)

    def save_model(self, model: Any, name: str = MODEL) -> None:
        """Writes a model, whole or not at all."""
        storage.make_folder(self.folder)
        with storage.replaced(os.path.join(self.folder, name)) as partial:
            model.save(partial)

    def load_model(self, name: str = MODEL) -> Any:
        """The model of that name; `None` if it was not written."""
        path = os.path.join(self.folder, name)
        return keras.models.load_model(path) if storage.exists(path) else None

    def finished(self) -> Mapping[str, Any]:
        """The state of a finished fit.

        Raises:
            ValueError: If there is none.
        """
        if "held_out" not in self.state:
            raise ValueError(
                f"{self.folder} holds no finished AutoModel. Expected the directory and "
                "project_name that were given to AutoModel, after `fit` has returned."
            )
        return self.state


def fingerprint(*arrays: Any) -> str:
    """A hash of data, by which a project knows its own."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        array = np.asarray(array)
        digest.update(f"{array.shape} {array.dtype}".encode())
        step = 1 + array.nbytes // LARGEST_HASHED
        digest.update(np.ascontiguousarray(array[::step] if array.ndim else array).data)
    return digest.hexdigest()
