"""How good predictions are: what each example costs, and the usual summaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kt_plus.auto_model.task import Task

Array = NDArray[Any]

SMALLEST = 1e-7
"""No probability counts as smaller, as in Keras, lest one mistake cost everything."""


def losses(task: Task, targets: Array, outputs: Array, weights: Array | None = None) -> Array:
    """What each example costs: cross-entropy in nats, or the squared error in variances.

    Args:
        task: The task.
        targets: As networks are trained on them.
        outputs: As networks give them.
        weights: How many times as much each counts.
    """
    costs = _costs(task, targets, outputs)
    return costs if weights is None else costs * weights


def _costs(task: Task, targets: Array, outputs: Array) -> Array:
    outputs = np.asarray(outputs, "float64").reshape(len(outputs), -1)
    if task.name == "regression":
        return ((outputs - targets) ** 2).mean(axis=1)
    outputs = outputs.clip(SMALLEST, 1 - SMALLEST)
    if task.name == "classification":
        return -np.log(outputs[np.arange(len(outputs)), targets])
    return -np.where(targets > 0.5, np.log(outputs), np.log1p(-outputs)).mean(axis=1)


def summary(
    task: Task, targets: Array, outputs: Array, weights: Array | None = None
) -> dict[str, float]:
    """The measures that are usual for the task, by name.

    For regression, errors are in the units of the targets, and `r2` is the share of the
    variance that is explained, averaged over the targets. Weights are those of the loss alone.
    """
    loss = float(losses(task, targets, outputs, weights).mean())
    if task.name == "regression":
        return {"loss": loss, **_of_numbers(task, targets, outputs)}
    if task.name == "multi_label":
        return {"loss": loss, **_of_marks(targets, outputs)}
    wanted = targets.reshape(-1).astype(int)
    found = task.outcomes(outputs).argmax(axis=1)
    recalls = [float((found[wanted == k] == k).mean()) for k in np.unique(wanted)]
    measures = {"accuracy": float((found == wanted).mean())}
    measures["balanced_accuracy"] = float(np.mean(recalls))
    if task.name == "binary":
        measures["auc"] = auc(wanted, np.asarray(outputs).reshape(-1))
    return {"loss": loss, **measures}


def auc(wanted: Array, scores: Array) -> float:
    """The chance that an example of the class scores above one of the other; NaN without either."""
    positive = int(wanted.sum())
    negative = len(wanted) - positive
    if not positive or not negative:
        return math.nan
    ranks = stats.rankdata(scores)[wanted > 0].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))


def _of_numbers(task: Task, targets: Array, outputs: Array) -> dict[str, float]:
    wanted, found = task.outcomes(targets), task.outcomes(outputs)
    errors = found - wanted
    spread = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = float((1 - (errors**2).sum(axis=0) / spread).mean())
    rmse, mae = float(np.sqrt((errors**2).mean())), float(np.abs(errors).mean())
    return {"rmse": rmse, "mae": mae, "r2": r2}


def _of_marks(targets: Array, outputs: Array) -> dict[str, float]:
    found = np.asarray(outputs) > 0.5
    wanted = targets > 0.5
    hits = (found & wanted).sum(axis=0)
    marked = found.sum(axis=0) + wanted.sum(axis=0)
    f1 = np.where(marked > 0, 2 * hits / np.maximum(marked, 1), 1.0)
    return {
        "accuracy": float((found == wanted).mean()),
        "exact": float((found == wanted).all(axis=1).mean()),
        "f1": float(f1.mean()),
    }


@dataclass(frozen=True)
class Comparison:
    """A model beside a baseline, on the same examples that neither was trained on.

    Args:
        name: The baseline.
        ours: The model's mean loss.
        theirs: The baseline's.
        error: The standard error of the difference.
    """

    name: str
    ours: float
    theirs: float
    error: float

    @classmethod
    def of(cls, name: str, ours: Array, theirs: Array) -> Comparison:
        """Compares what each example costs under both."""
        differences = theirs - ours
        several = len(differences) > 1
        error = differences.std(ddof=1) / math.sqrt(len(differences)) if several else math.inf
        return cls(name, float(ours.mean()), float(theirs.mean()), float(error))

    @property
    def is_better(self) -> bool:
        """Whether the model is better by more than one standard error."""
        return self.theirs - self.ours > self.error

    def __str__(self) -> str:
        if self.is_better:
            verdict = "The model is better than"
        elif self.ours < self.theirs:
            verdict = "The model is not clearly better (within one standard error) than"
        else:
            verdict = "The model is no better than"
        return (
            f"{verdict} {self.name}: loss {self.ours:.4g} against {self.theirs:.4g}, standard "
            f"error of the difference {self.error:.2g}."
        )
