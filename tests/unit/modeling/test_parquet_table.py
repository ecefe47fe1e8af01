from __future__ import annotations

import io

import pandas as pd
import possums
import pytest

from include.errors import DataError
from include.modeling.rows import DataFile, read_rows

FRAME = pd.read_csv(possums.CSV)


def parquet(frame: pd.DataFrame, **options: object) -> DataFile:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, **options)
    return DataFile("s3://data/possums.parquet", buffer.getvalue())


def read(frame: pd.DataFrame) -> pd.DataFrame:
    return read_rows(parquet(frame), possums.SCHEMA)


def test_parquet_gives_the_same_rows_as_csv():
    pd.testing.assert_frame_equal(read(FRAME), read_rows(possums.FILE, possums.SCHEMA))


@pytest.mark.parametrize(
    "frame",
    [FRAME.set_index("case"), FRAME.astype({"sex": "category", "site": "int8"}), FRAME.rename(columns=str.upper)],
    ids=["the row number as index", "categories and small integers", "names in capitals"],
)
def test_the_types_of_the_file_do_not_matter(frame):
    pd.testing.assert_frame_equal(read(frame), read_rows(possums.FILE, possums.SCHEMA))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            FRAME.assign(totlngth=FRAME["totlngth"].astype(object).where(FRAME.index != 2, "long").astype(str)),
            "row 3, ",
        ),
        (FRAME.assign(totlngth=FRAME["totlngth"].where(FRAME.index != 2, 999.0)), "row 3, column totlngth: 999.0"),
        (FRAME.assign(sex="x"), "row 1, column sex: 'x' is none of f, m"),
        (FRAME.drop(columns="age"), "there is no column 'age'"),
        (FRAME.assign(age=[[1]] * len(FRAME)), "column age: not numbers or text"),
        (FRAME.head(0), "has no rows"),
    ],
    ids=["text", "out of bounds", "a label that is not listed", "a missing column", "lists", "no rows"],
)
def test_a_bad_value_is_refused_with_its_row(frame, words):
    with pytest.raises(DataError) as error:
        read(frame)

    assert "s3://data/possums.parquet" in str(error.value)
    assert words in str(error.value)


def test_something_else_is_refused():
    with pytest.raises(DataError, match="is not a Parquet file"):
        read_rows(DataFile("a.parquet", b"a,b"), possums.SCHEMA)
