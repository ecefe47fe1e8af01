from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import possums
import pytest

from include.modeling.features import complete_rows, engineer, make_transformer, scaling
from include.modeling.rows import read_rows
from include.schema import Categorical, Numeric

COLUMNS = {"colour": Categorical(), "width": Numeric(), "y": Numeric()}


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"colour": ["red", "blue", "red"], "width": [1.0, 2.0, 6.0], "y": [10.0, 20.0, 60.0]},
        index=pd.Index([7, 8, 9], name="id"),
    )


def test_features_by_hand(rows):
    features, _ = engineer(rows, COLUMNS, "y")

    # blue is 0, 1, 0: mean 1/3, standard deviation sqrt(2)/3; width is 1, 2, 6: mean 3, standard deviation sqrt(14/3)
    blue, width = np.array([-1, 2, -1]) / np.sqrt(2), np.array([-2, -1, 3]) / np.sqrt(14 / 3)
    expected = {"colour_blue": blue, "colour_red": -blue, "width": width, "y": rows["y"]}
    pd.testing.assert_frame_equal(features, pd.DataFrame(expected, index=rows.index))


def test_what_the_scaler_has_learnt(rows):
    _, transformer = engineer(rows, COLUMNS, "y")

    learnt = scaling(transformer)

    assert learnt.index.name == "feature"
    assert learnt["mean"].to_dict() == pytest.approx({"colour_blue": 1 / 3, "colour_red": 2 / 3, "width": 3})
    assert learnt["scale"].to_dict() == pytest.approx(
        {"colour_blue": 2**0.5 / 3, "colour_red": 2**0.5 / 3, "width": (14 / 3) ** 0.5}
    )


def test_the_rows_stay_as_they_were(rows):
    before = rows.copy()

    engineer(rows, COLUMNS, "y")

    pd.testing.assert_frame_equal(rows, before)


def test_new_rows_get_the_features_of_old_ones(rows):
    features, transformer = engineer(rows, COLUMNS, "y")

    again = transformer.transform(rows.iloc[[2, 0]].drop(columns="y")[["width", "colour"]])

    pd.testing.assert_frame_equal(again, features.drop(columns="y").iloc[[2, 0]])


def test_an_unknown_label_is_none_of_the_known_ones(rows):
    _, transformer = engineer(rows, COLUMNS, "y")

    with pytest.warns(UserWarning, match="unknown categories"):
        new = transformer.transform(pd.DataFrame({"colour": ["green"], "width": [3.0]}))

    # none of the known ones is 0 before scaling: (0 - mean) / scale
    assert new.iloc[0].to_dict() == pytest.approx({"colour_blue": -1 / 2**0.5, "colour_red": -(2**0.5), "width": 0})


def test_a_column_that_never_changes_becomes_zero(rows):
    features, _ = engineer(rows.assign(width=5.0), COLUMNS, "y")

    assert (features["width"] == 0).all()


def test_a_missing_column_is_named(rows):
    with pytest.raises(ValueError, match="width"):
        make_transformer(COLUMNS, "y").fit(rows.drop(columns="width"))


def test_rows_with_gaps_are_left_out_and_counted(caplog):
    rows = pd.DataFrame(
        {"site": pd.array([1, None, 3, 4], dtype="Int64"), "sex": ["f", None, None, "m"], "age": [1.0, 2.0, 3.0, 4.0]},
        index=pd.Index([7, 8, 9, 10], name="id"),
    )

    with caplog.at_level(logging.INFO):
        complete = complete_rows(rows)

    expected = pd.DataFrame({"site": [1, 4], "sex": ["f", "m"], "age": [1.0, 4.0]}, pd.Index([7, 10], name="id"))
    pd.testing.assert_frame_equal(complete, expected)
    assert "2 of 4 rows have gaps (site 1, sex 2) and are left out" in caplog.text


def test_rows_without_gaps_stay_as_they_are(rows, caplog):
    with caplog.at_level(logging.INFO):
        complete = complete_rows(rows)

    pd.testing.assert_frame_equal(complete, rows)
    assert "0 of 3 rows have gaps and are left out" in caplog.text


def test_the_possums():
    rows = complete_rows(read_rows(possums.CSV, possums.SCHEMA))

    features, _ = engineer(rows)

    assert len(features) == 101
    labels = [*(f"site_{site}" for site in range(1, 8)), "Pop_Vic", "Pop_other", "sex_f", "sex_m"]
    assert list(features.columns) == [*labels, "age", "hdlngth", "skullw", "totlngth", "footlgth", "taill"]
    scaled = features.drop(columns="taill")
    np.testing.assert_allclose(scaled.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(ddof=0), 1, atol=1e-12)
    pd.testing.assert_series_equal(features["taill"], rows["taill"])
