from __future__ import annotations

import io

import pandas as pd
import possums
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import DataError
from include.modeling.rows import DataFile, read_rows
from include.schema import Categorical, Numeric, Schema

FRAME = pd.read_csv(possums.CSV)
SITES = Schema({"site": Categorical(), "tail": Numeric()}, "tail", "tail length", "cm")


def parquet(frame: pd.DataFrame, **options: object) -> DataFile:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, **options)
    return DataFile("s3://data/possums.parquet", buffer.getvalue())


def read(frame: pd.DataFrame) -> pd.DataFrame:
    return read_rows(parquet(frame), possums.SCHEMA)


TYPED = {
    "as pandas writes it": FRAME,
    "the row number as index": FRAME.set_index("case"),
    "the row number as index, in capitals": FRAME.rename(columns={"case": "CASE"}).set_index("CASE"),
    "the row number as a range": FRAME.set_index(pd.RangeIndex(1, 105, name="case")).drop(columns="case"),
    "categories and small integers": FRAME.astype({"sex": "category", "site": "int8"}),
    "names in capitals": FRAME.rename(columns=str.upper),
    "other columns": FRAME.assign(**{"age.years": 1, "lists": [[1]] * len(FRAME)}),
}


@pytest.mark.parametrize("frame", TYPED.values(), ids=TYPED)
def test_the_rows_are_those_of_the_csv_file(frame):
    pd.testing.assert_frame_equal(read(frame), read_rows(possums.FILE, possums.SCHEMA))


BAD = {
    "text": (FRAME.astype({"totlngth": str}).replace({"totlngth": {"95.5": "long"}}), "row 3, column totlngth: 'long'"),
    "out of bounds": (FRAME.assign(totlngth=FRAME["totlngth"].replace(95.5, 999)), "row 3, column totlngth: 999.0"),
    "a missing column": (FRAME.drop(columns="age"), "there is no column 'age'"),
    "lists": (FRAME.assign(age=[[1]] * len(FRAME)), "column age: not numbers or text"),
    "no rows": (FRAME.head(0), "has no rows"),
}


@pytest.mark.parametrize(("frame", "words"), BAD.values(), ids=BAD)
def test_a_bad_value_is_rejected_with_its_row(frame, words):
    with pytest.raises(DataError) as error:
        read(frame)

    assert "s3://data/possums.parquet" in str(error.value)
    assert words in str(error.value)


def test_other_columns_are_not_read(monkeypatch):
    asked = []
    read_file = pq.ParquetFile.read

    def recorded(file, columns):
        asked.extend(columns)
        return read_file(file, columns)

    monkeypatch.setattr(pq.ParquetFile, "read", recorded)

    read(FRAME.assign(notes="a long text"))

    assert sorted(asked) == sorted(possums.SCHEMA.names)


def without_pandas_types(frame: pd.DataFrame) -> DataFile:
    """As other programs write it: nothing in the file says that integers with gaps are Int64."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(), buffer)
    return DataFile("possums.parquet", buffer.getvalue())


LARGE = 2**53 + 1  # the first integer that float64 doesn't have


def test_labels_keep_their_digits_next_to_a_gap():
    frame = pd.DataFrame({"site": pd.Series([LARGE, None], dtype="Int64"), "tail": [1.0, 2.0]})

    rows = read_rows(without_pandas_types(frame), SITES)

    assert rows["site"].dropna().tolist() == [str(LARGE)]


def test_without_row_numbers_a_row_of_gaps_keeps_its_place():
    frame = pd.DataFrame({"site": ["a", None, "b"], "tail": [1.0, None, 2.0]})

    assert read_rows(parquet(frame), SITES).index.tolist() == [1, 2, 3]


def test_row_numbers_keep_their_digits_next_to_a_gap():
    frame = FRAME.assign(case=pd.Series([LARGE, LARGE, None, *range(4, 105)], dtype="Int64"))

    with pytest.raises(DataError, match=f"'{LARGE}' stands for two rows"):
        read_rows(without_pandas_types(frame), possums.SCHEMA)


def test_something_else_is_rejected():
    with pytest.raises(DataError, match="is not a Parquet file"):
        read_rows(DataFile("a.parquet", b"a,b"), possums.SCHEMA)
