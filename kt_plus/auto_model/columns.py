"""Tables as matrices of numbers: pandas frames with columns of every kind, and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_plus.auto_model.targets import Label, plain

Array = NDArray[Any]

MOST_CATEGORIES = 50
"""The rarer categories of a column are treated as unseen ones are."""

ORIGIN = "2000-01-01"
CYCLES = ("year", "week", "day")
"""A time is given as days since the origin, and as a sine and a cosine in each of these."""


@dataclass(frozen=True)
class Column:
    """One column of a frame, as it was when the encoder was fitted.

    Args:
        name: Its name.
        kind: "number", "category" or "datetime".
        categories: The categories, from code 1 on; code 0 stands for all others.
        missing: The code of a missing category; 0 if none was missing.
    """

    name: Label
    kind: str
    categories: tuple[Label, ...] = ()
    missing: int = 0

    @property
    def names(self) -> list[str]:
        """The names of the numbers that it becomes."""
        if self.kind != "datetime":
            return [str(self.name)]
        cycles = [f"{self.name}: {f} of the {c}" for c in CYCLES for f in ("sine", "cosine")]
        return [f"{self.name}: days since {ORIGIN}", *cycles]

    @property
    def codes(self) -> int:
        """The number of categories, a missing one included; 0 for what is no category."""
        return len(self.categories) + bool(self.missing)

    def encode(self, series: Any) -> Array:
        """One row of numbers for each example; NaN where a number or a time is missing."""
        if series.isna().all():  # of whatever type
            nothing = self.missing if self.kind == "category" else np.nan
            return np.full((len(series), len(self.names)), nothing, "float64")
        kind = kind_of(series)
        if kind != self.kind:
            raise ValueError(
                f"Column {self.name!r} of x holds {_in_words(kind)}. Expected "
                f"{_in_words(self.kind)}, as in fit."
            )
        if self.kind == "category":
            return self._codes_of(series)[:, None]
        if self.kind == "datetime":
            return _times(series)
        return _numbers(series, self.name)[:, None]

    def _codes_of(self, series: Any) -> Array:
        found = series.astype("category").cat
        known = {category: code for code, category in enumerate(self.categories, 1)}
        codes = [known.get(plain(category), 0) for category in found.categories]
        return np.array([*codes, self.missing], "float64")[found.codes.to_numpy()]


@dataclass(frozen=True)
class TableEncoder:
    """Turns a frame into a matrix of 32-bit numbers, one or several for each column.

    Numbers, truth values and durations (in seconds) stay numbers; a category becomes its code;
    a time becomes seven numbers. What is missing becomes NaN, or a category of its own. The
    rest (imputation, scaling, a column for each category) is done inside the network.

    Args:
        columns: The columns that are used; for an array, none: its columns are numbers.
        width: The number of columns of an array.
        left_out: Why other columns are not used.
    """

    columns: tuple[Column, ...] = ()
    width: int = 0
    left_out: tuple[str, ...] = ()

    @classmethod
    def fit(cls, x: Any) -> TableEncoder:
        """Looks at the columns of a frame or of an array.

        Raises:
            ValueError: If a column cannot be used, as one whose values are all missing.
        """
        if not is_frame(x):
            _check_columns_hold_something(np.asarray(x), range(x.shape[1]))
            return cls(width=x.shape[1])
        columns, left_out = [], []
        empty = [name for name, series in _series(x) if series.isna().all()]
        if empty:
            raise_empty(empty)
        for name, series in _series(x):
            column = _column(name, series)
            if isinstance(column, str):
                left_out.append(column)
            else:
                columns.append(column)
        if not columns:
            why = "; ".join(left_out) or "there is none"
            raise ValueError(f"No column of x can be used: {why}.")
        return cls(tuple(columns), left_out=tuple(left_out))

    @property
    def names(self) -> list[str]:
        """The names of the columns of the matrix."""
        if not self.columns:
            return [str(number) for number in range(self.width)]
        return [name for column in self.columns for name in column.names]

    @property
    def codes(self) -> list[int]:
        """For each column of the matrix the number of categories it holds the codes of, or 0."""
        if not self.columns:
            return [0] * self.width
        return [column.codes for column in self.columns for _ in column.names]

    def encode(self, x: Any) -> Array:
        """The matrix.

        Raises:
            ValueError: If `x` has not the columns that it had in `fit`.
        """
        if not self.columns:
            return self._of_array(x)
        if not is_frame(x):
            raise ValueError(
                f"x is a {type(x).__name__}. Expected a pandas DataFrame with the columns of fit."
            )
        series = dict(_series(x))
        absent = [repr(c.name) for c in self.columns if c.name not in series]
        if absent:
            raise ValueError(f"x lacks the columns {', '.join(absent)}, which it had in fit.")
        parts = [column.encode(series[column.name]) for column in self.columns]
        return np.hstack(parts).astype("float32")

    def get_config(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TableEncoder:
        columns = [
            Column(**{**column, "categories": tuple(column["categories"])})
            for column in config["columns"]
        ]
        return cls(tuple(columns), config["width"], tuple(config["left_out"]))

    def _of_array(self, x: Any) -> Array:
        matrix = np.asarray(x)
        if matrix.ndim != 2 or matrix.shape[1] != self.width or matrix.dtype.kind not in "biuf":
            raise ValueError(
                f"x has the shape {matrix.shape} and the type {matrix.dtype}. Expected numbers in "
                f"{self.width} columns, as in fit."
            )
        _check_finite(matrix, range(self.width))
        return matrix.astype("float32")


def is_frame(x: Any) -> bool:
    """Whether it is a pandas data frame, found out without importing pandas."""
    return hasattr(x, "iloc") and hasattr(x, "columns")


def kind_of(series: Any) -> str:
    """The kind of a pandas series: "number", "category", "datetime", "empty" or what else.

    Texts are categories. Texts that tell times can be made times by `pandas.to_datetime`.
    """
    from pandas.api import types

    dtype = series.dtype
    if types.is_datetime64_any_dtype(dtype) or dtype.kind == "M" or str(dtype).startswith("period"):
        return "datetime"
    if str(dtype) == "category":
        return "category"
    if types.is_complex_dtype(dtype):
        return "complex"
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "number"  # truth values are among them
    inferred = types.infer_dtype(series, skipna=True)
    kinds = {
        "string": "category",
        "bytes": "category",
        "datetime": "datetime",
        "date": "datetime",
        "datetime64": "datetime",
        "empty": "empty",
    }
    numbers = ("boolean", "decimal", "floating", "integer", "mixed-integer-float", "timedelta")
    return "number" if inferred in numbers else kinds.get(inferred, inferred)


def raise_empty(names: list[Any]) -> None:
    """Raises for columns without any value."""
    raise ValueError(
        f"The columns {', '.join(map(repr, names[:10]))} of x are NaN in all examples. Expected "
        "columns that hold something. Leave them out."
    )


def _series(frame: Any) -> Iterator[tuple[Label, Any]]:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise ValueError(f"x has several columns of the same name: {twice}. Rename them.")
    for place, name in enumerate(frame.columns):
        yield plain(name), frame.iloc[:, place]


def _column(name: Label, series: Any) -> Column | str:
    """What a column is encoded as, or in words why it is left out."""
    kind = kind_of(series)
    if kind not in ("number", "category", "datetime"):
        types = sorted({type(value).__name__ for value in series.dropna()})
        raise ValueError(
            f"Column {name!r} of x holds values of the kind {kind!r} ({', '.join(types[:5])}). "
            "Expected numbers, truth values, texts or other categories, or times. Convert it, for "
            f"example by x[{name!r}].astype(str), or leave it out."
        )
    if kind == "number":
        _numbers(series, name)
    if kind != "category":
        return Column(name, kind)
    counts = series.value_counts()
    counts = counts[counts >= 2]
    if not len(counts):
        return f"{name!r} (none of its texts occurs twice)"
    # Ties in an order that does not depend on that of the examples.
    frequent = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    categories = tuple(plain(category) for category, _ in frequent[:MOST_CATEGORIES])
    return Column(name, kind, categories, len(categories) + 1 if series.isna().any() else 0)


def _numbers(series: Any, name: Label) -> Array:
    import pandas as pd

    if pd.api.types.infer_dtype(series, skipna=True).startswith("timedelta"):
        series = pd.to_timedelta(series).dt.total_seconds()
    if series.dtype.kind == "O":
        series = series.where(series.notna(), np.nan)  # pandas.NA is no number
    numbers = np.asarray(series.astype("float64"), "float64")
    _check_finite(numbers[:, None], [name])
    return numbers


def _times(series: Any) -> Array:
    """Days since the origin, and the phase in the year, the week and the day, of wall time."""
    import pandas as pd

    if str(series.dtype).startswith("period"):
        series = series.dt.to_timestamp()
    times = pd.to_datetime(series).dt.tz_localize(None)
    days = ((times - pd.Timestamp(ORIGIN)) / pd.Timedelta(days=1)).to_numpy("float64")
    of_day = days % 1.0
    of_week = (times.dt.day_of_week.to_numpy("float64") + of_day) / 7
    of_year = (times.dt.day_of_year.to_numpy("float64") - 1 + of_day) / 366
    columns = [days]
    for phase in (of_year, of_week, of_day):
        columns += [np.sin(2 * np.pi * phase), np.cos(2 * np.pi * phase)]
    return np.stack(columns, axis=1)


def _check_columns_hold_something(matrix: Array, names: Any) -> None:
    _check_finite(matrix, names)
    if matrix.dtype.kind == "f":
        empty = [name for name, column in zip(names, matrix.T, strict=True) if _all_nan(column)]
        raise_empty(empty) if empty else None


def _all_nan(column: Array) -> bool:
    return bool(np.isnan(column).all())


def _check_finite(matrix: Array, names: Any) -> None:
    """Raises for numbers that are infinite, or that 32 bits cannot hold; NaN is a missing one."""
    with np.errstate(invalid="ignore"):
        large = (np.abs(matrix) > np.finfo("float32").max).any(axis=0)
    if large.any():
        found = [repr(name) for name, is_large in zip(names, large, strict=True) if is_large]
        raise ValueError(
            f"The columns {', '.join(found[:10])} of x hold infinite numbers, or larger ones than "
            "3.4e38. Expected finite numbers, or NaN where one is missing. Replace them."
        )


def _in_words(kind: str) -> str:
    words = {"number": "numbers", "category": "texts or other categories", "datetime": "times"}
    return words.get(kind, f"values of the kind {kind!r}")
