from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from include.errors import DataError
from include.modeling.features import complete_rows, engineer, scaling, transform, usable_rows
from include.schema import Categorical, Column, Numeric, Schema


def schema(**columns: Column) -> Schema:
    return Schema(columns | {"y": Numeric()}, "y", "height", "cm")


COLOURS = schema(colour=Categorical(), width=Numeric())


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"colour": ["red", "blue", "red"], "width": [1.0, 2.0, 6.0], "y": [10.0, 20.0, 60.0]},
        index=pd.Index([7, 8, 9], name="id"),
    )


def test_features_are_one_hot_encoded_and_scaled(rows):
    features, _ = engineer(rows, COLOURS)

    # blue is 0, 1, 0: mean 1/3, standard deviation sqrt(2)/3; width is 1, 2, 6: mean 3, standard deviation sqrt(14/3)
    blue, width = np.array([-1, 2, -1]) / np.sqrt(2), np.array([-2, -1, 3]) / np.sqrt(14 / 3)
    expected = {"colour_blue": blue, "colour_red": -blue, "width": width, "y": rows["y"]}
    pd.testing.assert_frame_equal(features, pd.DataFrame(expected, index=rows.index))


def test_scaling_has_the_mean_and_standard_deviation_of_each_feature(rows):
    _, transformer = engineer(rows, COLOURS)

    names = pd.Index(["colour_blue", "colour_red", "width"], name="feature")
    learned = {"mean": [1 / 3, 2 / 3, 3], "scale": [2**0.5 / 3, 2**0.5 / 3, (14 / 3) ** 0.5]}
    pd.testing.assert_frame_equal(scaling(transformer), pd.DataFrame(learned, names))


def test_the_rows_stay_as_they_were(rows):
    before = rows.copy()

    engineer(rows, COLOURS)

    pd.testing.assert_frame_equal(rows, before)


def test_new_rows_get_the_features_of_old_ones(rows):
    features, transformer = engineer(rows, COLOURS)

    again = transformer.transform(rows.iloc[[2, 0]].drop(columns="y")[["width", "colour"]])

    pd.testing.assert_frame_equal(again, features.drop(columns="y").iloc[[2, 0]])


def test_an_unknown_label_is_none_of_the_known_ones(rows):
    _, transformer = engineer(rows, COLOURS)

    with pytest.warns(UserWarning, match="unknown categories"):
        new = transformer.transform(pd.DataFrame({"colour": ["green"], "width": [3.0]}))

    # none of the known ones is 0 before scaling: (0 - mean) / scale
    assert new.iloc[0].to_dict() == pytest.approx({"colour_blue": -1 / 2**0.5, "colour_red": -(2**0.5), "width": 0})


def test_rows_with_gaps_are_left_out_and_counted(caplog):
    rows = pd.DataFrame({"site": ["1", None, "3", "4"], "sex": ["f", None, None, "m"], "age": 1.0}, [7, 8, 9, 10])

    with caplog.at_level(logging.INFO):
        complete = complete_rows(rows)

    pd.testing.assert_frame_equal(complete, rows.loc[[7, 10]])
    assert "2 of 4 rows have gaps (sex 2, site 1) and are left out" in caplog.text


@pytest.mark.parametrize(("gaps", "level"), [(2, "INFO"), (3, "WARNING")])
def test_leaving_out_more_than_a_fifth_of_the_rows_is_a_warning_with_the_cure(gaps, level, caplog):
    rows = pd.DataFrame({"age": [np.nan] * gaps + [1.0] * (10 - gaps), "y": 1.0})

    with caplog.at_level(logging.INFO):
        complete_rows(rows)

    (record,) = caplog.records
    assert record.levelname == level
    assert f"{gaps} of 10 rows have gaps (age {gaps}) and are left out" in record.getMessage()
    assert ('ROWS_WITH_GAPS = "keep"' in record.getMessage()) == (level == "WARNING")


@pytest.fixture
def with_gaps() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "site": ["3", None, "11", "3"],
            "sex": ["f", None, "m", "f"],
            "age": [1.0, np.nan, 3.0, 4.0],
            "y": [10.0, 20.0, 30.0, np.nan],
        },
        index=pd.Index([7, 8, 9, 10], name="id"),
    )


GAPS = replace(schema(site=Categorical(), sex=Categorical(), age=Numeric()), keep_gaps=True)


def test_rows_with_gaps_are_kept_where_the_model_takes_them_but_for_those_without_target(with_gaps, caplog):
    with caplog.at_level(logging.INFO):
        usable = usable_rows(with_gaps, GAPS)

    pd.testing.assert_frame_equal(usable, with_gaps.iloc[:3])
    assert "1 of 4 rows have no y and are left out" in caplog.text


@pytest.mark.parametrize("keep_gaps", [True, False])
def test_rows_without_gaps_stay_as_they_are_and_nothing_is_logged(keep_gaps, rows, caplog):
    with caplog.at_level(logging.INFO):
        usable = usable_rows(rows, replace(COLOURS, keep_gaps=keep_gaps))

    pd.testing.assert_frame_equal(usable, rows)
    assert caplog.text == ""


def test_new_rows_without_the_target_are_all_kept(with_gaps):
    assert len(usable_rows(with_gaps.drop(columns="y"), GAPS)) == 4


def test_a_missing_number_stays_missing_and_a_missing_label_is_none_of_the_known_ones(with_gaps):
    features, transformer = engineer(usable_rows(with_gaps, GAPS), GAPS)

    assert list(features) == ["site_11", "site_3", "sex_f", "sex_m", "age", "y"]
    unscaled = pd.DataFrame(
        transformer["scale"].inverse_transform(features.drop(columns="y")), columns=[*features][:-1]
    )
    expected = {
        "site_11": [0, 0, 1],
        "site_3": [1, 0, 0],
        "sex_f": [1, 0, 0],
        "sex_m": [0, 0, 1],
        "age": [1, np.nan, 3],
    }
    pd.testing.assert_frame_equal(unscaled, pd.DataFrame(expected, dtype="float64"), atol=1e-12)


@pytest.mark.parametrize("site", [[3, 11, 99], [3.0, 11.0, np.nan]], ids=["integers", "decimals"])
@pytest.mark.filterwarnings("error")
def test_new_rows_with_gaps_get_the_features_of_old_ones(site, with_gaps):
    features, transformer = engineer(usable_rows(with_gaps, GAPS), GAPS)

    new = transformer.transform(pd.DataFrame({"site": site, "sex": ["f", "m", None], "age": [1.0, 3.0, np.nan]}))

    expected = features.drop(columns="y").iloc[[0, 2, 1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(new, expected)


def test_listed_labels_do_as_well_with_gaps(with_gaps):
    columns = schema(site=Categorical(("11", "3", "5")), sex=Categorical(("m", "f", "x")), age=Numeric())
    listed = replace(columns, keep_gaps=True)

    features, _ = engineer(usable_rows(with_gaps, listed), listed)

    assert list(features) == ["site_11", "site_3", "site_5", "sex_m", "sex_f", "sex_x", "age", "y"]


def test_listed_labels_make_the_same_features_whatever_the_file_holds(rows):
    listed = schema(colour=Categorical(("red", "blue", "green")), width=Numeric())

    features, _ = engineer(rows, listed)
    only_red, _ = engineer(rows.assign(colour="red"), listed)

    assert list(features.columns) == ["colour_red", "colour_blue", "colour_green", "width", "y"]
    assert list(only_red.columns) == list(features.columns)
    assert (features["colour_green"] == 0).all()


@pytest.mark.parametrize(
    ("columns", "values", "name"),
    [
        ({"site": Categorical(), "site_1": Numeric()}, {"site": ["1", "2"], "site_1": [3.0, 4.0]}, "site_1"),
        ({"site": Categorical(("1", "2")), "site_1": Numeric()}, {"site": ["2", "2"], "site_1": [3.0, 4.0]}, "site_1"),
        ({"a": Categorical(), "a_b": Categorical()}, {"a": ["b_c", "d"], "a_b": ["c", "e"]}, "a_b_c"),
    ],
    ids=["a label and a column", "a listed label and a column", "two labels"],
)
def test_two_features_of_one_name_are_rejected(columns, values, name):
    rows = pd.DataFrame(values | {"y": [1.0, 2.0]})

    with pytest.raises(DataError, match=f"'{name}' would stand for two things.*Rename one of the columns"):
        engineer(rows, schema(**columns))


def test_a_feature_with_the_name_of_the_target_is_rejected():
    grades = Schema({"grade": Categorical(), "grade_A": Numeric()}, "grade_A", "grade", "points")
    rows = pd.DataFrame({"grade": ["A", "B"], "grade_A": [1.0, 2.0]})

    with pytest.raises(DataError, match="'grade_A' would stand for two things: the target, and the feature from"):
        engineer(rows, grades)


def test_columns_may_have_names_that_scikit_learn_uses_itself():
    names = schema(a__b=Categorical(), n_jobs=Categorical(), remainder=Numeric())

    features, _ = engineer(pd.DataFrame({"a__b": ["x"], "n_jobs": ["y"], "remainder": [1.0], "y": [2.0]}), names)

    assert list(features) == ["a__b_x", "n_jobs_y", "remainder", "y"]


def test_a_target_may_be_called_self():
    itself = Schema({"width": Numeric(), "self": Numeric()}, "self", "itself", "cm")

    features, _ = engineer(pd.DataFrame({"width": [1.0, 2.0], "self": [3.0, 4.0]}), itself)

    assert features["self"].tolist() == [3.0, 4.0]


def test_transform_names_the_labels_that_the_model_has_not_seen(rows, caplog):
    _, transformer = engineer(rows, COLOURS)
    new = pd.DataFrame({"colour": ["green", "red", "green"], "width": [1.0, 2.0, 3.0]})

    with caplog.at_level(logging.WARNING):
        features = transform(transformer, new, COLOURS)

    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["Column colour: the model has not seen 'green' (2 rows)"]
    pd.testing.assert_series_equal(features["colour_red"] > 0, pd.Series([False, True, False]), check_names=False)


@pytest.mark.parametrize("new", [[2, 3], [2.0, None], ["2.0", "1.0"], [2, "north"]], ids=str)
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_transformer_takes_labels_as_text_and_as_numbers(new):
    sites = schema(site=Categorical())
    _, transformer = engineer(pd.DataFrame({"site": ["1", "2", "1"], "y": [1.0, 2.0, 3.0]}), sites)

    features = transformer.transform(pd.DataFrame({"site": new}))

    assert (features["site_2"] > 0).tolist() == [True, False]


@pytest.mark.parametrize(
    "columns",
    [{"colour": Categorical()}, {"colour": Categorical(), "width": Categorical()}],
    ids=["taken out", "of another type"],
)
def test_a_model_that_takes_another_column_is_rejected(columns, rows):
    _, transformer = engineer(rows, COLOURS)

    with pytest.raises(DataError, match=r"takes the columns width, which COLUMNS .*Choose another version"):
        transform(transformer, rows, schema(**columns))


def test_a_column_that_the_model_does_not_take_may_be_missing(rows):
    _, transformer = engineer(rows, COLOURS)
    new = rows.assign(length=np.nan)

    assert len(transform(transformer, new, schema(colour=Categorical(), width=Numeric(), length=Numeric()))) == len(new)


def test_new_rows_that_all_have_gaps_are_rejected(rows):
    _, transformer = engineer(rows, COLOURS)

    with pytest.raises(DataError, match=r"None of the 3 rows is without gaps, so this model can predict none"):
        transform(transformer, rows.assign(width=np.nan), COLOURS)


def test_a_transformer_that_takes_labels_as_numbers_is_rejected(rows):
    _, transformer = engineer(rows, COLOURS)

    with pytest.raises(DataError, match="from an earlier version of this project"):
        transform(transformer[1:], rows, COLOURS)


@pytest.mark.parametrize("keep_gaps", [True, False])
def test_new_rows_are_left_out_by_the_rule_of_the_model_and_not_by_todays(keep_gaps, rows):
    _, transformer = engineer(rows, replace(COLOURS, keep_gaps=keep_gaps))
    new = pd.DataFrame({"colour": ["red", "blue"], "width": [1.0, np.nan]})

    features = transform(transformer, new, replace(COLOURS, keep_gaps=not keep_gaps))

    assert len(features) == (2 if keep_gaps else 1)


def test_of_many_labels_that_the_model_has_not_seen_some_are_named(rows, caplog):
    _, transformer = engineer(rows, COLOURS)
    new = pd.DataFrame({"colour": [f"shade {n}" for n in range(2000)], "width": 1.0})

    with caplog.at_level(logging.WARNING):
        transform(transformer, new, COLOURS)

    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.count("shade") == 10
    assert warning.endswith(", and 1,990 more labels")
