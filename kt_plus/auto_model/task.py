"""What is to be predicted, and how targets and outputs are translated."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.targets import Label, as_targets

Array = NDArray[Any]

NAMES = ("binary", "classification", "multi_label", "regression")
RARE = 0.1
"""A class with a smaller share of the examples than that of an even division is called rare."""


@dataclass(frozen=True)
class Task:
    """What is to be predicted, and how targets and outputs of a network are translated.

    Args:
        name: "binary" (a network with one sigmoid), "classification" (a softmax),
            "multi_label" (a sigmoid each) or "regression" (linear).
        outputs: The number of the network's outputs.
        reason: Why it is this task, in words.
        classes: The labels, in the order of the outputs.
        counts: How many examples have each of them.
        examples: The number of examples.
        one_hot: Whether the targets are rows of zeros with a single one.
        means: For regression, the mean of each target, which networks see standardised.
        scales: The standard deviations.
        columns: Whether the targets, and so the predictions, are a matrix.
    """

    name: str
    outputs: int
    reason: str
    classes: tuple[Label, ...] = ()
    counts: tuple[int, ...] = ()
    examples: int = 0
    one_hot: bool = False
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    columns: bool = False

    def __str__(self) -> str:
        names = {"multi_label": "multi-label classification", "binary": "binary classification"}
        text = f"{names.get(self.name, self.name)}: {self.reason}"
        if not self.classes:
            return text
        text += f"; {shares(self.classes, self.counts, self.examples)}"
        return text + (f"; imbalanced, {self.imbalance}" if self.imbalance else "")

    @property
    def imbalance(self) -> str:
        """Which classes are rare, in words; empty if none is."""
        if self.name == "multi_label":
            return ""
        even = self.examples / max(len(self.classes), 1)
        # A class of two is rare below 10 %, one of ten below 1 %.
        limit = 2 * RARE * even if len(self.classes) == 2 else RARE * even
        rare = [repr(c) for c, n in zip(self.classes, self.counts, strict=True) if n < limit]
        return f"rare: {', '.join(rare[:5])}{', ...' if len(rare) > 5 else ''}" if rare else ""

    @property
    def is_classes(self) -> bool:
        """Whether each example has exactly one label."""
        return self.name in ("binary", "classification")

    def encode(self, y: Any) -> Array:
        """The targets that a network is trained on.

        Raises:
            ValueError: If they do not fit the task, as with a label never seen before.
        """
        targets = as_targets(y)
        if targets.ndim != (2 if self.columns or self.one_hot else 1):
            wanted = f"({self.outputs} columns)" if self.columns or self.one_hot else "(one column)"
            raise ValueError(f"y has the shape {targets.shape}. Expected that of fit {wanted}.")
        if self.one_hot:
            targets = targets.argmax(axis=1)
        elif self.is_classes:
            targets = self._numbers_of(targets)
        if self.name == "classification":
            return targets.astype("int32")
        targets = targets.reshape(len(targets), -1)
        if targets.shape[1] != self.outputs:
            raise ValueError(
                f"y has {targets.shape[1]} columns. Expected {self.outputs}, as in fit."
            )
        if self.name == "regression":
            targets = (targets.astype("float64") - self.means) / self.scales
        return targets.astype("float32")

    def outcomes(self, outputs: Array) -> Array:
        """The probabilities, or the predicted numbers, that a network's outputs stand for.

        Those of two classes have a column for each.
        """
        outputs = np.asarray(outputs, "float64").reshape(-1, self.outputs)
        if self.name == "regression":
            outputs = outputs * self.scales + self.means
        return np.hstack([1.0 - outputs, outputs]) if self.name == "binary" else outputs

    def predictions(self, outcomes: Array) -> Array:
        """Labels, rows of 0 and 1, or numbers, as the targets of `fit` were."""
        if self.name == "regression":
            return outcomes if self.columns else outcomes[:, 0]
        if self.name == "multi_label":
            return (outcomes > 0.5).astype("int64")
        return label_array(self.classes)[outcomes.argmax(axis=1)]

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Task:
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})

    def _numbers_of(self, targets: Array) -> Array:
        numbers = {label: number for number, label in enumerate(self.classes)}
        labels = targets.tolist()
        unknown = sorted({repr(label) for label in labels if label not in numbers})
        if unknown:
            raise ValueError(
                f"y holds labels that fit has not seen: {', '.join(unknown[:5])}. Expected some of "
                f"{', '.join(map(repr, self.classes[:10]))}{', ...' if len(numbers) > 10 else ''}."
            )
        return np.array([numbers[label] for label in labels])


def check_name(argument: str, name: Any, known: tuple[str, ...]) -> None:
    """Raises unless it is "auto" or one of these, telling the nearest."""
    if name not in ("auto", *known):
        near = difflib.get_close_matches(str(name), known, 1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{argument}={name!r} was given. Expected 'auto' or one of {known}.{hint}")


def shares(classes: tuple[Label, ...], counts: tuple[int, ...], examples: int) -> str:
    """The share of each class; of the most and of the least frequent ones if there are many."""
    order = np.argsort(-np.asarray(counts), kind="stable")
    texts = [f"{classes[i]!r} {100 * counts[i] / max(examples, 1):.3g} %" for i in order]
    return ", ".join(texts if len(texts) <= 5 else [*texts[:2], "...", *texts[-2:]])


def label_array(labels: tuple[Label, ...]) -> Array:
    """The labels as an array, of objects if they are of several types."""
    kinds = {type(label) for label in labels}
    return np.array(labels) if len(kinds) == 1 else np.array(labels, object)
