"""AutoModel beside scikit-learn's usual models: `python -m benchmarks.auto_model --help`.

All are given the same training examples, and judged on the same quarter of the data that none has
seen: by accuracy, or for diabetes by the share of the variance that is explained (R2).
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets, ensemble, exceptions, linear_model, model_selection

import kt_plus
from benchmarks.reporting import print_table, versions

DATA: dict[str, Callable[..., Any]] = {
    "digits": datasets.load_digits,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
}


class Split(NamedTuple):
    """The examples to learn from, and those to judge by."""

    x: np.ndarray
    x_test: np.ndarray
    y: np.ndarray
    y_test: np.ndarray


def split(name: str, seed: int) -> Split:
    """Three quarters and one quarter, each class with its share in both."""
    x, y = DATA[name](return_X_y=True)
    return Split(
        *model_selection.train_test_split(
            x, y, test_size=0.25, random_state=seed, stratify=None if name == "diabetes" else y
        )
    )


def usual_models(is_regression: bool) -> dict[str, Any]:
    """Scikit-learn's, with default settings."""
    if is_regression:
        boosting = ensemble.HistGradientBoostingRegressor(random_state=0)
        return {"HistGradientBoosting": boosting, "Ridge": linear_model.Ridge()}
    boosting = ensemble.HistGradientBoostingClassifier(random_state=0)
    return {
        "HistGradientBoosting": boosting,
        "LogisticRegression": linear_model.LogisticRegression(),
    }


def score(y: np.ndarray, found: np.ndarray, is_regression: bool) -> tuple[float, float]:
    """Accuracy or R2, and its standard error over the test examples."""
    if not is_regression:
        hits = (found == y).astype(float)
        return float(hits.mean()), float(hits.std(ddof=1) / np.sqrt(len(y)))
    # R2 is the mean of these to first order, its spread that of the squared errors.
    parts = 1 - (found - y) ** 2 / y.var()
    return float(parts.mean()), float(parts.std(ddof=1) / np.sqrt(len(y)))


def auto_model(data: Split, name: str, minutes: float, seed: int) -> tuple[np.ndarray, str]:
    """What the network found predicts, and what was done to find it."""
    shape = (-1, 8, 8) if name == "digits" else (-1, data.x.shape[1])
    with tempfile.TemporaryDirectory() as directory:
        auto = kt_plus.AutoModel(minutes=minutes, seed=seed, directory=directory)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The model is no")
            auto.fit(data.x.reshape(shape), data.y, verbose=0)
        trials = len(auto.tuner.oracle.end_order)
        return auto.predict(
            data.x_test.reshape(shape)
        ), f"{trials} trial{'s' if trials != 1 else ''}"


def rows(name: str, minutes: float, seed: int) -> Iterator[list[str]]:
    """One line for each model."""
    data, is_regression = split(name, seed), name == "diabetes"
    for label, model in usual_models(is_regression).items():
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
            found = model.fit(data.x, data.y).predict(data.x_test)
        yield row(name, seed, label, data, found, time.perf_counter() - began, "")
    began = time.perf_counter()
    found, note = auto_model(data, name, minutes, seed)
    yield row(name, seed, "kt_plus.AutoModel", data, found, time.perf_counter() - began, note)


def row(
    name: str, seed: int, label: str, data: Split, found: np.ndarray, seconds: float, note: str
) -> list[str]:
    """The cells of one line."""
    mean, error = score(data.y_test, found, name == "diabetes")
    return [name, str(seed), label, f"{mean:.4f}", f"{error:.4f}", f"{seconds:.1f}", note]


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--minutes", type=float, default=5.0, help="for each fit of AutoModel")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of division and search")
    arguments = parser.parse_args(argv)
    print(versions(), flush=True)
    table = [["data", "seed", "model", "score", "standard error", "s", ""]]
    for name in arguments.data:
        for seed in arguments.seeds:
            for cells in rows(name, arguments.minutes, seed):
                print(*cells, flush=True)
                table.append(cells)
    print_table(table)


if __name__ == "__main__":
    main()
