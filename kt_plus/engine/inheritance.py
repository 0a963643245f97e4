"""A trial that begins with the weights of the trial that it was derived from.

The parent is built anew from its hyperparameters, which stand in the project directory, and gets
the weights of its best epoch, as `get_best_models` would do it: so any process that sees the
directory can do it, and nothing else than what Keras Tuner keeps anyway has to be kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator
from typing import Any

from keras_tuner.engine.trial import Trial

from kt_plus.engine import storage
from kt_plus.engine.checkpoints import build
from kt_plus.engine.ledger import RESERVED, Note
from kt_plus.performance_estimation.inheritance import Report, UnreadableModel, WeightInheritance
from kt_plus.performance_estimation.inheritance.keras_models import check_readable, read
from kt_plus.performance_estimation.inheritance.network import Network

INHERIT = RESERVED + "inherit_from"
"""Under this name stands the trial whose weights a trial is to begin with."""

INHERITED = RESERVED + "inherited"
"""Under this name a worker tells what has become of it, as JSON."""

FILE = "inheritance.json"
"""What each layer of a trial has inherited, beside its trial.json."""


class Inheritance:
    """Lets the models of trials begin with their parents' weights.

    Args:
        tuner: The tuner, which builds and loads models.
        options: How they inherit.
    """

    def __init__(self, tuner: Any, options: WeightInheritance) -> None:
        self._tuner, self._options = tuner, options
        self._trial = self._parent = ""
        self._network: Network | None = None
        self._shapes: Any = None
        self._warned = False

    @contextlib.contextmanager
    def by(self, trial: Any) -> Iterator[None]:
        """Within it, the model that is built next is that of the trial, and inherits."""
        parent = trial.hyperparameters.values.get(INHERIT)
        if parent is not None:
            self._trial, self._parent = trial.trial_id, parent
            self._prepare(parent)
        try:
            yield
        finally:
            self._network = None

    def _prepare(self, parent: str) -> None:
        try:
            self._network = self._read(parent)
        except UnreadableModel as error:
            self._begin_anew(str(error))
        except Exception as error:  # whatever a model of the user's, or a damaged file, may raise
            self._begin_anew(f"the checkpoint of trial {parent} could not be read: {error!r}.")

    def apply(self, model: Any) -> None:
        """Gives the model of the trial what it inherits."""
        network, self._network = self._network, None
        if network is None:
            return
        try:
            build(model, self._shapes)
            report = self._options.transfer(network, model)
        except UnreadableModel as error:
            self._begin_anew(str(error))
        except Exception as error:
            self._begin_anew(f"its weights could not be set: {error!r}.")
        else:
            self._keep({"report": report.get_config()})

    def _read(self, parent: str) -> Network:
        folder = self._tuner.get_trial_dir(parent)
        trial = Trial.from_state(storage.read_json(os.path.join(folder, "trial.json")))
        self._shapes = storage.read_json(self._tuner._get_build_config_fname(parent))
        try:
            model = self._tuner.load_model(trial)
        except Exception:
            check_readable(self._tuner._try_build(trial.hyperparameters))  # or there is more to say
            raise
        return read(model)[0]

    def _begin_anew(self, reason: str) -> None:
        self._keep({"reason": reason})
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"Trial {self._trial} is trained from scratch, not from the weights of its parent, "
                f"trial {self._parent}: {reason} For further trials {FILE}, in the folder of each, "
                "tells whether it is the same.",
                stacklevel=2,
            )

    def _keep(self, content: dict[str, Any]) -> None:
        path = os.path.join(self._tuner.get_trial_dir(self._trial), FILE)
        storage.write_json(path, {"parent": self._parent, **content})


def told(trial_dir: str) -> str:
    """What a worker tells the chief: whether a trial has inherited, and what."""
    kept = storage.read_json(os.path.join(trial_dir, FILE)) or {}
    if "report" not in kept:
        reason = kept.get("reason", "the training loop did not ask for it")
        return json.dumps({"inherited": False, "summary": f"from scratch: {reason}"})
    return json.dumps({"inherited": True, "summary": str(Report.from_config(kept["report"]))})


def take(note: Note, answer: str | None, parent: Note | None, sign: int) -> None:
    """Keeps with a trial what the worker has told of what it inherited.

    Args:
        note: What is kept of the trial.
        answer: What the worker has told; `None` if the trial was to inherit nothing.
        parent: What is kept of its parent.
        sign: 1 if the objective is maximised, -1 if it is minimised.
    """
    note.inherited, note.inheritance = 0, None
    if answer is None or parent is None:
        return
    content = json.loads(answer)
    note.inheritance = content["summary"]
    if content["inherited"]:
        note.inherited = parent.inherited + epochs_of_best(parent, sign)


def epochs_of_best(note: Note, sign: int) -> int:
    """After how many epochs a trial had the weights that are kept: those of its best one."""
    points = [
        (sign * value, -curve.first_epoch - place)
        for curve in note.curves
        for place, value in enumerate(curve.values)
        if value == value
    ]
    return 1 - max(points)[1] if points else 0


def directive(note: Note, known: Any) -> dict[str, str]:
    """The reserved value that lets a trial inherit from its parent, if that is of this search."""
    return {INHERIT: note.parent} if note.parent in known and note.rung == 0 else {}
