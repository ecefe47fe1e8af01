"""What people save as CSV: it becomes a table, or one message names file, line and cure."""

from __future__ import annotations

import pandas as pd
import possums
import pytest
from pandas._libs.parsers import STR_NA_VALUES
from possums import FIFTH, HEADER, LINES, cell, with_column
from possums import TEXT as POSSUMS

from include.errors import DataError
from include.modeling.csv_text import GAPS, read_table
from include.modeling.file_errors import FileErrors
from include.schema import Categorical, Numeric, Schema

SMALL = Schema({"label": Categorical(), "y": Numeric()}, "y", "yield", "t")


def read(content: str | bytes, schema: Schema = possums.SCHEMA) -> pd.DataFrame:
    errors = FileErrors("mine.csv")
    table = read_table(content if isinstance(content, bytes) else content.encode(), schema, errors)
    errors.raise_if_any()
    return table


def test_the_words_for_gaps_are_those_of_pandas():
    assert GAPS == STR_NA_VALUES


@pytest.mark.parametrize("line", [2, 5], ids=["first row", "later row"])
@pytest.mark.parametrize("other", ["007", "+7", "-0", "-07", "7.0", "1e3", "A7", "NA", "1" + 18 * "0", "9" * 25])
def test_row_numbers_stay_text_where_one_is_not_written_as_python_writes_integers(other, line):
    table = read(cell("case", other, line))

    assert table.loc[line, "case"] == other
    assert table.loc[20, "case"] == "19"


def test_rows_are_indexed_by_the_line_where_they_begin():
    table = read('label,y\n"two\nlines",1\n\nb,2\n', SMALL)

    assert table.index.tolist() == [2, 5]


def test_columns_that_differ_in_case_alone_are_two():
    schema = Schema({"T": Numeric(), "t": Numeric()}, "t", "time", "s")

    assert read("t,T\n1,2\n", schema).to_dict("list") == {"t": [1], "T": [2]}
    with pytest.raises(DataError, match="no column 't'"):
        read("T,other\n1,2\n", schema)


def test_all_columns_that_are_missing_are_named_at_once():
    with pytest.raises(DataError, match=r"no column 'age' \(is it 'ages' in the file\?\), 'taill'\. The file has"):
        read(POSSUMS.replace("age", "ages", 1).replace("taill", "x", 1))


def test_all_lines_of_wrong_length_are_named_at_once():
    with pytest.raises(DataError) as error:
        read("label,y\na,1,2\nb,2\nc\nd,3\ne,4,,\n", SMALL)

    assert str(error.value).splitlines() == [
        "mine.csv has 3 errors:",
        "line 2 has 3 fields, the header 2. Write decimals with a point, and put quotes around text with commas.",
        "line 4 has 1 fields, the header 2. Keep the commas around empty cells, and close quotes.",
        "line 6 has 4 fields, the header 2. Write decimals with a point, and put quotes around text with commas.",
    ]


BAD = {
    "empty": ("", ["is empty", "Put the data there"]),
    "blank": ("\n \n\n", ["is empty", "Put the data there"]),
    "a byte-order mark alone": (b"\xef\xbb\xbf", ["is empty", "Put the data there"]),
    "header only": (HEADER + "\n", ["has a header, but no rows", "below"]),
    "not text: UTF-16": (POSSUMS.encode("utf-16"), ["is not text", "Save it as CSV, in UTF-8"]),
    "Latin-1": (cell("site", "Höhe").encode("latin-1"), ["line 5", "0xf6 is not UTF-8", "Save the file as CSV"]),
    "Latin-1, old Mac line ends": (cell("site", "Höhe").replace("\n", "\r").encode("latin-1"), ["line 5", "0xf6"]),
    "separated by semicolons": (POSSUMS.replace(",", ";"), ["separated by ';'", "Save it separated by commas"]),
    "separated by tabs": (POSSUMS.replace(",", "\t"), [r"separated by '\t'", "Save it separated by commas"]),
    "a blank line above the header": ("\n" + POSSUMS, ["line 1 is blank", "Put the header there"]),
    "a comment above the header": (f"# possums\n{POSSUMS}", ["line 2 has 14 fields, the header 1"]),
    "no header": ("\n".join(LINES), ["no column 'site'", "The file has 1, 1, Vic, m, 8", "Rename or add columns"]),
    "a column twice": (with_column("age", "3"), ["2 columns named 'age'", "Keep one of them"]),
    "a column twice, in other case": (with_column("AGE", "3").replace("age", "Age", 1), ["2 columns named 'age'"]),
    "a column missing": (POSSUMS.replace("skullw", "breadth", 1), ["no column 'skullw'", "Rename or add columns"]),
    "no row numbers": (POSSUMS.replace("case", "animal", 1), ["no column 'case'", "ROW_NUMBER in include/config.py"]),
    "a decimal comma": (POSSUMS.replace("93.2", "93,2", 1), ["line 5 has 15 fields", "Write decimals with a point"]),
    "a decimal comma in the first row": (POSSUMS.replace("74.5", "74,5", 1), ["line 2 has 15 fields", "with a point"]),
    "a row cut short": (POSSUMS.replace(FIFTH, "4,1,Vic"), ["line 5 has 3 fields, the header 14", "Keep the commas"]),
    "an open quote": (POSSUMS.replace(FIFTH, FIFTH.replace("Vic", '"Vic')), ["line 5 has 3 fields", "close quotes"]),
    "an open quote in the last cell": (POSSUMS.rstrip()[:-4] + '"33.5', ["Close the quotes"]),
    "an open quote in a large file": ('"' + POSSUMS * 30, ["line 1", "Close the quotes"]),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_bad_text_is_rejected_with_place_and_cure(content, words):
    with pytest.raises(DataError) as error:
        read(content)

    for word in ["mine.csv", *words]:
        assert word in str(error.value)
