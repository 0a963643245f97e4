"""Tables with columns of every kind become numbers, then features, inside plain Keras."""

from __future__ import annotations

import json

import keras
import numpy as np
import pandas as pd
import pytest

from kt_plus.auto_model.columns import MOST_CATEGORIES, TableEncoder
from kt_plus.auto_model.preprocessing import PrepareTable, Standardize

pytestmark = pytest.mark.versions

N = 40
RNG = np.random.default_rng(0)


def mixed() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "number": RNG.normal(5, 2, N),
            "whole": RNG.integers(0, 9, N),
            "flag": RNG.random(N) > 0.5,
            "text": RNG.choice(["x", "y", "z"], N),
            "gap": pd.Series(["a", "b", "a", None] * (N // 4), dtype=object),
            "category": pd.Categorical(RNG.choice([10, 20], N)),
            "time": pd.date_range("2024-01-01", periods=N, freq="7h"),
            "zoned": pd.date_range("2024-01-01", periods=N, freq="31h", tz="Europe/Berlin"),
            "period": pd.period_range("2020-01", periods=N, freq="M"),
            "duration": pd.to_timedelta(np.arange(N), "h"),
            "nullable": pd.array([1, None, 3, 4] * (N // 4), dtype="Int64"),
            "objects": pd.Series([1, None, 2.5, 3] * (N // 4), dtype=object),
            "id": [f"n{i}" for i in range(N)],
            "constant": 1.0,
        }
    )
    frame.loc[3, "number"] = np.nan
    frame.loc[4, "time"] = pd.NaT
    return frame


FRAME = mixed()
ENCODER = TableEncoder.fit(FRAME)


def prepared(matrix: np.ndarray, codes: list[int], tmp_path=None) -> np.ndarray:
    inputs = keras.Input((matrix.shape[1],))
    model = keras.Model(inputs, PrepareTable.fit(matrix, codes)(inputs))
    found = model.predict(matrix, verbose=0)
    if tmp_path is not None:
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert (loaded.predict(matrix, verbose=0) == found).all()
    return found


def test_every_kind_of_column_becomes_numbers():
    matrix = ENCODER.encode(FRAME)
    assert matrix.dtype == "float32"
    assert matrix.shape == (N, len(ENCODER.names)) == (N, len(ENCODER.codes))
    columns = dict(zip(ENCODER.names, matrix.T, strict=True))
    assert columns["number"] == pytest.approx(FRAME["number"], nan_ok=True)
    assert columns["flag"].tolist() == FRAME["flag"].astype(float).tolist()
    assert columns["duration"].tolist() == (3600.0 * np.arange(N)).tolist()
    assert columns["nullable"][:4] == pytest.approx([1, np.nan, 3, 4], nan_ok=True)
    assert columns["objects"][:4] == pytest.approx([1, np.nan, 2.5, 3], nan_ok=True)
    # 'a' is the most frequent, and None has a code after the last category.
    assert columns["gap"][:4].tolist() == [1, 2, 1, 3]
    assert ENCODER.codes[ENCODER.names.index("gap")] == 3
    assert columns["time: days since 2000-01-01"][:2] == pytest.approx([8766, 8766 + 7 / 24])
    assert columns["time: sine of the day"][1] == pytest.approx(
        np.sin(2 * np.pi * 7 / 24), abs=1e-5
    )
    assert np.isnan(columns["time: cosine of the year"][4])
    assert ENCODER.left_out == ("'id' (none of its texts occurs twice)",)


def test_the_encoder_is_kept_as_json_and_does_not_mind_order():
    again = TableEncoder.from_config(json.loads(json.dumps(ENCODER.get_config())))
    assert again == ENCODER
    shuffled = FRAME[FRAME.columns[::-1]].assign(new=1)
    assert np.array_equal(again.encode(shuffled), ENCODER.encode(FRAME), equal_nan=True)
    assert again.encode(FRAME[:0]).shape == (0, len(ENCODER.names))


def test_features_are_finite_scaled_and_saved_with_the_network(tmp_path):
    features = prepared(ENCODER.encode(FRAME), ENCODER.codes, tmp_path)
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= 3
    ones = features[:, -8:]  # three texts, two categories and None, two more
    assert set(np.unique(ones)) == {0, 1}
    assert ones.sum(axis=1).tolist() == [3] * N


def test_what_is_unseen_or_missing_at_prediction_is_taken():
    other = FRAME[:2].copy()
    other["text"] = ["never seen", None]
    other["number"] = np.nan
    other["category"] = pd.Categorical([20, 99])
    encoded = ENCODER.encode(other)
    assert encoded[:, ENCODER.names.index("text")].tolist() == [0, 0]
    assert encoded[:, ENCODER.names.index("category")].tolist()[1] == 0
    matrix = ENCODER.encode(FRAME)
    inputs = keras.Input((matrix.shape[1],))
    model = keras.Model(inputs, PrepareTable.fit(matrix, ENCODER.codes)(inputs))
    assert np.isfinite(model.predict(encoded, verbose=0)).all()


def test_what_is_missing_throughout_is_so_in_any_type():
    for nothing in (np.nan, None, pd.NaT, pd.NA):
        other = FRAME[:2].assign(**{name: [nothing] * 2 for name in FRAME.columns})
        encoded = ENCODER.encode(other)
        codes = np.array(ENCODER.codes) > 0
        assert np.isnan(encoded[:, ~codes]).all()
        assert encoded[:, ENCODER.names.index("gap")].tolist() == [3, 3]
    objects = pd.DataFrame({"a": pd.Series([1, pd.NA, 3, 2.5], dtype=object)})
    encoded = TableEncoder.fit(objects).encode(objects)[:, 0]
    assert encoded == pytest.approx([1, np.nan, 3, 2.5], nan_ok=True)


def test_numbers_are_prepared_in_full_precision_under_a_mixed_policy():
    matrix = np.array([[1e5], [2e5], [3e5]], "float32")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((1,))
        model = keras.Model(inputs, PrepareTable.fit(matrix, [0])(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.ops.convert_to_numpy(model(matrix))[:, 0] == pytest.approx(
        [-0.95, 0, 0.95], abs=0.02
    )


def test_the_formulas():
    matrix = np.array([[0.0, 5, 1], [1, 5, 2], [2, 5, np.nan], [3, 5, 2], [100, 5, 2]], "float32")
    prepare = PrepareTable.fit(matrix, [0, 0, 2])
    assert prepare.numbers == (0,)  # the second is constant
    scaled = (matrix[:, 0] - 2) / 2
    clipped = scaled / np.sqrt(1 + (scaled / 3) ** 2)
    features = prepared(matrix, [0, 0, 2])
    assert features[:, 0] == pytest.approx(clipped, rel=1e-5)
    assert features[:, 1:].tolist() == [[1, 0], [0, 1], [0, 0], [0, 1], [0, 1]]
    gaps = np.array([[1, 1, 0.0], [np.nan, np.nan, 1], [3, 4, np.nan]], "float32")
    assert PrepareTable.fit(gaps, [0, 0, 0]).missing == (
        0,
        2,
    )  # the second lacks what the first does


def test_rare_categories_are_as_unseen_ones():
    texts = [f"c{i:03d}" for i in range(60) for _ in range(2 + (i < 30))] + ["once"]
    encoder = TableEncoder.fit(pd.DataFrame({"text": texts}))
    assert encoder.codes == [MOST_CATEGORIES]
    codes = encoder.encode(pd.DataFrame({"text": texts}))[:, 0]
    assert codes[0] == 1
    assert codes[-1] == 0
    assert set(codes) == set(range(MOST_CATEGORIES + 1))


def test_images_are_standardised_by_channel(tmp_path):
    images = RNG.integers(0, 255, (30, 4, 4, 3)).astype("uint8")
    images[..., 2] = 7  # a constant channel
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, Standardize.fit(images)(inputs))
    found = model.predict(images, verbose=0)
    assert found.mean(axis=(0, 1, 2)) == pytest.approx(0, abs=1e-5)
    assert found.std(axis=(0, 1, 2)) == pytest.approx([1, 1, 0], abs=1e-5)


def test_an_array_is_a_table_of_numbers():
    matrix = np.array([[1, np.nan], [2, 3.0]])
    encoder = TableEncoder.fit(matrix)
    assert encoder.encode(matrix).tolist()[1] == [2, 3]
    assert encoder.names == ["0", "1"]
    with pytest.raises(ValueError, match=r"shape \(1, 3\).* Expected numbers in 2 columns"):
        encoder.encode(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [np.nan] * 3, "b": [1, 2, 3]}, "The columns 'a' of x are NaN in all examples"),
        ({"a": [None] * 3}, "The columns 'a' of x are NaN"),
        ({"a": [1.0, np.inf, 2]}, "The columns 'a' of x hold infinite numbers"),
        ({"a": [1.0, 1e300, 2]}, "The columns 'a' of x hold infinite numbers, or larger"),
        ({"a": ["x", 1, 2]}, "Column 'a' of x holds values of the kind 'mixed-integer'"),
        ({"a": [[1], [2], [3]]}, r"holds values of the kind 'mixed' \(list\)"),
        ({"a": [1j, 2, 3]}, "kind 'complex'"),
        ({"a": ["x", "y", "z"]}, "No column of x can be used: 'a'"),
    ],
)
def test_columns_that_cannot_be_used_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder.fit(pd.DataFrame(columns))


def test_frames_unlike_that_of_fit_are_refused():
    with pytest.raises(ValueError, match=r"x lacks the columns 'text', which it had in fit"):
        ENCODER.encode(FRAME.drop(columns="text"))
    with pytest.raises(ValueError, match=r"Column 'number' of x holds texts .* Expected numbers"):
        ENCODER.encode(FRAME.assign(number="five"))
    with pytest.raises(ValueError, match=r"x is a ndarray. Expected a pandas DataFrame"):
        ENCODER.encode(np.zeros((3, 14)))
    with pytest.raises(ValueError, match=r"several columns of the same name: \['a'\]"):
        TableEncoder.fit(pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]))
    with pytest.raises(ValueError, match=r"All 2 columns of x are constant"):
        PrepareTable.fit(np.ones((3, 2), "float32"), [0, 0])
