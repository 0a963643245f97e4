"""The direction of each metric and loss of Keras, and the objectives that users name by them."""

from __future__ import annotations

import re
from typing import Any, Literal

import keras_tuner
from keras_tuner.errors import FatalValueError

Direction = Literal["max", "min"]

MAXIMIZED = (
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "IoU",
    "MeanIoU",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "acc",
    "fbeta_score",
)
"""Classes of Keras whose values are better the larger they are, and aliases of such."""

MINIMIZED = (
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CTC",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "LogCoshError",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "RootMeanSquaredError",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "bce",
    "ce",
    "crossentropy",
    "huber_loss",
    "kld",
    "kullback_leibler_divergence",
    "logcosh",
    "mae",
    "mape",
    "mse",
    "msle",
)
"""Classes of Keras whose values are better the smaller they are, and aliases of such."""

UNDIRECTED = (
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "Sum",
    # Losses of Keras. Segmentation code often has a metric of the same name, which is maximized.
    "Dice",
    "Tversky",
)
"""Classes of Keras whose names alone do not tell a direction."""


def _names(name: str) -> set[str]:
    """Returns the names under which Keras logs a class, in lower case."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return {name.lower(), re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()}


DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(set().union(*map(_names, MAXIMIZED)), "max"),
    **dict.fromkeys(set().union(*map(_names, MINIMIZED)), "min"),
}
"""The direction of each name in lower case: Keras keeps a name as `compile` was given it."""


class NamedObjective(keras_tuner.Objective):  # type: ignore[misc]
    """An objective given by its name, whose direction is that of Keras's metric.

    Args:
        name: The name of a metric in the logs, such as "val_accuracy".

    Raises:
        ValueError: If no metric or loss of Keras has this name.
    """

    def __init__(self, name: str) -> None:
        direction = direction_of(name)
        if direction is None:
            raise ValueError(
                "`objective` must be the name of a metric or loss of Keras, or a "
                f"`kt_plus.Objective`, got {name!r}, whose direction is not known.{_hint(name)} "
                f'Give kt_plus.Objective({name!r}, "max") to maximize it, or "min" to minimize '
                "it. To resume a project, give the direction that its oracle.json has under "
                '"objective".'
            )
        super().__init__(name, direction)


def direction_of(name: str) -> Direction | None:
    """Returns the direction of a metric by its name in the logs; `None` if it is not known.

    It ignores the prefixes `val_` and `weighted_`, and the number of a metric of which there are
    several, as in `auc_1`. The prefix of an output stays: `out_accuracy` could as well be the name
    of a custom metric, as `one_minus_accuracy` is.

    Args:
        name: The name in the logs.

    Example:

    ```python
    direction_of("val_f1_score")  # "max"
    direction_of("val_usefulness")  # None
    ```
    """
    bare = _bare(name).lower()
    return DIRECTIONS.get(bare) or DIRECTIONS.get(re.sub(r"_\d+$", "", bare))


def resolve(objective: Any) -> Any:
    """Returns an objective as Keras Tuner takes it, with the direction of each name.

    Args:
        objective: A name, a `keras_tuner.Objective`, a list of these, or `None` for the value that
            `run_trial` returns, which Keras Tuner minimizes.

    Raises:
        ValueError: If a direction is not known, or is neither "max" nor "min".
    """
    if isinstance(objective, (list, tuple)):
        if not objective:
            raise ValueError(
                "`objective` must hold at least one objective, got an empty list. Give the name "
                "of a metric."
            )
        return [resolve(each) for each in objective]
    if isinstance(objective, str):
        return NamedObjective(objective)
    if objective is not None and not isinstance(objective, keras_tuner.Objective):
        raise ValueError(
            "`objective` must be the name of a metric, a `kt_plus.Objective` or a list of them, "
            f"got {objective!r}. Give a name such as 'val_loss'."
        )
    for each in parts(objective):
        # A direction such as "maximize" would count as "min" wherever it is compared with "max".
        if each is not None and each.direction not in ("max", "min"):
            raise ValueError(
                f'The direction of `objective` must be "max" or "min", got {each.direction!r} for '
                f'{each.name!r}. Give kt_plus.Objective({each.name!r}, "max") to maximize it.'
            )
    return objective


def parts(objective: Any) -> list[Any]:
    """Returns the single objectives of which an objective is the sum."""
    return list(getattr(objective, "objectives", [objective]))


def check_model(objective: Any, model: Any) -> None:
    """Raises if a metric of the model contradicts the direction taken from its name.

    Keras's loss function `cosine_similarity` as a metric has the name of its metric of the opposite
    direction. A direction that the user has given is not checked.

    Args:
        objective: The objective of a search.
        model: A model that has been trained.

    Raises:
        FatalValueError: If the direction would be reversed.
    """
    named = {_bare(o.name): o for o in parts(objective) if isinstance(o, NamedObjective)}
    listed = getattr(model, "metrics", None) or []
    for metric in [inner for m in listed for inner in (m, *getattr(m, "metrics", ()))]:
        # Keras's EarlyStopping reads the same attribute. Custom metrics lack it.
        found = {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None) or "")
        each = named.get(metric.name)
        if each is not None and found is not None and found != each.direction:
            raise FatalValueError(
                f"`objective` must have the direction of the model's metric, got {each.name!r}, "
                f'which stands for "{each.direction}", while {metric} has "{found}". Give '
                f'kt_plus.Objective({each.name!r}, "{found}").'
            )


def _bare(name: str) -> str:
    return name.removeprefix("val_").removeprefix("weighted_")


def _hint(name: str) -> str:
    """Returns a sentence on the metric of an output that a name may stand for."""
    words = _bare(name).split("_")
    for i in range(1, len(words)):
        output, metric = "_".join(words[:i]), "_".join(words[i:])
        if (direction := direction_of(metric)) is not None:
            return f' If it is {metric!r} of the output {output!r}, its direction is "{direction}".'
    return ""
