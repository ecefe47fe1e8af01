"""What people put into a CSV file: it works, or one message names file, line, column, value and cure."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import possums
import pytest
from possums import FIFTH, HEADER, LINES, cell, column, edited, with_column
from possums import TEXT as POSSUMS

from include.errors import DataError
from include.modeling.rows import read_rows
from include.schema import Categorical, Column, Numeric, Schema


def schema(row_number: str | None = None, **columns: Column) -> Schema:
    """Some columns and a target y."""
    return Schema({**columns, "y": Numeric()}, "y", "yield", "t", "field", row_number)


@pytest.fixture
def read(tmp_path):
    def read(content: str | bytes, schema: Schema = possums.SCHEMA) -> pd.DataFrame:
        path = tmp_path / "mine.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path, schema, min_complete=10)

    return read


@pytest.fixture
def read_labels(read):
    """Reads a column that repeats `labels` in 40 rows."""

    def read_labels(labels, values: tuple[str, ...] = ()) -> pd.Series:
        text = "\n".join(["label,y", *(f"{labels[n % len(labels)]},{n}" for n in range(40))])
        return read(text, schema(label=Categorical(values)))["label"]

    return read_labels


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    return read_rows(possums.CSV, possums.SCHEMA)


def test_the_possums_are_read(real):
    assert real.shape == (104, 9)
    assert list(real.columns) == list(possums.SCHEMA.columns)
    assert real.index.name == "case"
    assert real.index.tolist() == list(range(1, 105))
    assert real.loc[1].to_dict() == {
        "site": 1,
        "Pop": "Vic",
        "sex": "m",
        "age": 8.0,
        "hdlngth": 94.1,
        "skullw": 60.4,
        "totlngth": 89.0,
        "footlgth": 74.5,
        "taill": 36.0,
    }
    assert real.isna().sum()[lambda gaps: gaps > 0].to_dict() == {"age": 2, "footlgth": 1}


WORKS = {
    "a byte-order mark": b"\xef\xbb\xbf" + POSSUMS.encode(),
    "Windows line ends": POSSUMS.replace("\n", "\r\n"),
    "old Mac line ends": POSSUMS.replace("\n", "\r"),
    "no line end at the end": POSSUMS.rstrip(),
    "other case in the names": POSSUMS.replace(HEADER, HEADER.upper()),
    "spaces in the header": POSSUMS.replace(HEADER, HEADER.replace(",", " , ")),
    "spaces after the commas": POSSUMS.replace(",", ", "),
    "spaces after a label": cell("sex", "f "),
    "quotes around everything": "\n".join('"' + line.replace(",", '","') + '"' for line in POSSUMS.splitlines()),
    "another column": with_column("note", "shy"),
    "another column, with quoted commas": with_column("note", '"shy, at first"'),
    "another column, without values": with_column("note", ""),
    "another column, twice": with_column("note,note", "shy,very"),
    "a comma at the end of every line": "\n".join(f"{line}," for line in POSSUMS.splitlines()),
    "blank lines at the end": POSSUMS + "\n \n\n",
    "a blank line in between": POSSUMS.replace(FIFTH, f"\n{FIFTH}"),
    "a line of commas": POSSUMS + "," * HEADER.count(",") + "\n",
    "whole numbers with decimals": column("site", lambda _, value: f"{value}.0"),
}


@pytest.mark.parametrize("content", WORKS.values(), ids=WORKS)
def test_it_is_read_like_the_original(content, read, real):
    pd.testing.assert_frame_equal(read(content), real)


@pytest.mark.parametrize("text", ["", "NA", "   "], ids=["empty", "NA", "spaces"])
@pytest.mark.parametrize("name", ["age", "sex", "site"])
def test_an_empty_cell_is_a_gap(name, text, read, real):
    rows = read(cell(name, text))

    assert pd.isna(rows.loc[4, name])
    assert rows[name].isna().sum() == real[name].isna().sum() + 1


def test_quoted_spaces_are_no_label(read):
    assert pd.isna(read(POSSUMS.replace("4,1,Vic,f", '4,"  ",Vic,f', 1)).loc[4, "site"])


LABELS = {
    "text": ("a", "a"),
    "another alphabet": ("Höhe", "Höhe"),
    "quoted commas": ("Lake, North", "Lake, North"),
    "quotes": ('the "old" site', 'the "old" site'),
    "a template": ("{{ 1 + 1 }}", "{{ 1 + 1 }}"),
    "a path": ("../site", "../site"),
    "True": ("True", "True"),
    "a fraction": ("1.5", "1.5"),
}


@pytest.mark.parametrize(("text", "label"), LABELS.values(), ids=LABELS)
def test_any_text_is_a_label(text, label, read):
    assert read(cell("site", text)).loc[4, "site"] == label


def test_labels_that_are_truth_values(read):
    rows = read(column("site", lambda line, _: "yes" if line % 2 else "True"))

    assert set(rows["site"]) == {"yes", "True"}


LISTED = {
    "a word for a gap": ("None", "Gable"),
    "only words for gaps": ("NA", "null"),
    "leading zeros": ("01", "02"),
    "the same number, written differently": ("1", "01", "1.0"),
    "decimals": ("1.0", "2.0"),
    "negative decimals": ("-0.5", "0.5"),
    "signs": ("+", "-"),
    "like formulas": ("@home", "-x"),
}


@pytest.mark.parametrize("labels", LISTED.values(), ids=LISTED)
def test_a_listed_label_is_a_label_whatever_it_is(labels, read_labels):
    assert read_labels(labels, values=labels).value_counts().to_dict() == pytest.approx(
        dict.fromkeys(labels, 40 / len(labels)), abs=1
    )


def test_other_words_for_gaps_stay_gaps(read_labels):
    rows = read_labels(["None", "Gable", "NA", "NA ", ""], values=("None", "Gable"))

    assert rows.dropna().tolist() == ["None", "Gable"] * 8


WHOLE = {
    "numbers": (["1", "10"], [1, 10]),
    "zero and less": (["0", "-7"], [0, -7]),
    "with decimals": (["1.0", "2.0"], [1, 2]),
    "with decimals and gaps": (["1.0", "2.0", ""], [1, 2]),
    "large": (["9007199254740993", "9007199254740992", ""], [9007199254740993, 9007199254740992]),  # floats merge them
}


@pytest.mark.parametrize(("labels", "numbers"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("listed", [True, False])
def test_whole_numbers(labels, numbers, listed, read_labels):
    rows = read_labels(labels, values=tuple(map(str, numbers)) if listed else ())

    assert rows.dtype == "Int64"
    assert rows.dropna().unique().tolist() == numbers


TEXT = {
    "leading zeros": ["01", "1"],
    "leading zeros and decimals": ["01.0", "1.0"],
    "signs": ["+1", "-1"],
    "negative decimals": ["-0.5", "0.5", "-1e-05"],
    "fractions": ["1.0", "1.5"],
    "too large": ["18446744073709551617", "18446744073709551618"],
    "underscores": ["1_0", "10"],
    "other digits": ["\u0661", "1"],
    "numbers and text": ["1", "1b"],
    "truth values": ["TRUE", "true"],
}


@pytest.mark.parametrize("labels", TEXT.values(), ids=TEXT)
def test_labels_that_whole_numbers_would_change(labels, read_labels):
    assert read_labels(labels).unique().tolist() == labels


@pytest.mark.parametrize("formula", ["=1+1", "+A1", "-1+2", "-SUM(A1)", "-0.5*A1", "@SUM(A1)"])
def test_formulas(formula, read_labels):
    with pytest.raises(DataError, match="looks like a formula"):
        read_labels(["a", formula])


BAD = {
    "the header twice": (POSSUMS.replace(FIFTH, HEADER), ["line 5", "column Pop", "'Pop' is none of Vic, other"]),
    "text in a number": (cell("age", "old"), ["line 5", "column age", "'old' is not a number", "Correct it"]),
    "text in a number after a blank line": (
        cell("age", "old").replace(LINES[0], f"\n{LINES[0]}"),
        ["line 6", "column age", "'old'"],
    ),
    "text in two numbers": (
        cell("age", "old").replace("m,8,", "m,young,", 1),
        ["2 errors", "line 2", "'young'", "line 5", "'old'"],
    ),
    "a date in a number": (cell("age", "2020-01-01"), ["line 5", "column age", "'2020-01-01' is not a number"]),
    "a truth value in a number": (cell("age", "True"), ["line 5", "column age", "'True' is not a number"]),
    "truth values in a number": (
        column("age", lambda line, _: str(line % 2 == 0)),
        ["104 errors", "the first 20", "line 2, column age: 'True' is not a number", "line 21"],
    ),
    "truth values and gaps in a number": (
        column("age", lambda line, _: "True" if line % 2 else ""),
        ["line 3", "column age", "'True' is not a number"],
    ),
    "a quoted decimal comma": (
        cell("hdlngth", "93,2"),
        ["line 5", "column hdlngth", "'93,2' has a decimal comma", "Write it with a point"],
    ),
    "a thousands separator": (cell("hdlngth", "1,093.2"), ["line 5", "column hdlngth", "'1,093.2' is not a number"]),
    "infinite": (cell("hdlngth", "inf"), ["line 5", "column hdlngth", "inf is not finite", "Correct it"]),
    "minus infinite": (cell("taill", "-Infinity"), ["line 5", "column taill", "-inf is not finite"]),
    "too large for a number": (cell("taill", "1e999"), ["line 5", "column taill", "Correct it"]),
    "a negative length": (cell("taill", "-38"), ["line 5", "column taill", "-38.0 is not between 5 and 100", "bounds"]),
    "a length of zero": (cell("totlngth", "0"), ["line 5", "column totlngth", "0.0 is not between 20 and 200"]),
    "an absurd length": (cell("hdlngth", "9320"), ["line 5", "column hdlngth", "9320.0 is not between 30 and 300"]),
    "an unknown sex": (
        cell("sex", "F"),
        ["line 5", "column sex", "'F' is none of f, m", "add it to COLUMNS in include/config.py"],
    ),
    "an unknown population": (cell("Pop", "NSW"), ["line 5", "column Pop", "'NSW' is none of Vic, other", "add it"]),
    "the same row number twice": (cell("case", "1"), ["line 5", "column case", "1 stands for two rows", "differently"]),
    "a row without a number": (
        cell("case", ""),
        ["line 5", "column case", "'' is not a row number", "Number every row"],
    ),
    "no value in a number column": (column("age", lambda *_: ""), ["column age", "all values are missing", "COLUMNS"]),
    "no value in a label column": (column("sex", lambda *_: "NA"), ["column sex", "all values are missing", "COLUMNS"]),
    "only spaces in a label column": (column("sex", lambda *_: "NA "), ["column sex", "all values are missing"]),
    "a number that isn't listed": (column("sex", lambda line, _: str(line)), ["line 2", "'2' is none of f, m"]),
    "no value in the target": (column("taill", lambda *_: ""), ["column taill", "all values are missing"]),
    "too few rows": ("\n".join([HEADER, *LINES[:9]]), ["9 rows without gaps", "at least 10 are needed", "Add rows"]),
    "too few rows without gaps": (
        column("age", lambda line, value: value if line < 11 else ""),
        ["9 rows without gaps", "at least 10 are needed", "fill the gaps"],
    ),
    "a constant target": (
        column("taill", lambda *_: "36"),
        ["column taill", "every value is 36.0", "nothing to predict"],
    ),
    "a target that is constant where there are no gaps": (
        edited(
            lambda line, name, value: {"taill": "36" if line > 2 else "40", "age": "" if line == 2 else "3"}.get(
                name, value
            )
        ),
        ["column taill", "every value is 36.0"],
    ),
    "1,000 categories": (
        "\n".join([HEADER] + [f"{n},s{n}," + LINES[n % 100].split(",", 2)[2] for n in range(1000)]),
        ["column site", "1,000 different labels", "MAX_CATEGORIES (100)"],
    ),
    "more numbered categories than can be": (
        column("site", lambda line, _: str(line)),
        ["column site", "104 different"],
    ),
    "a formula in a label": (
        cell("site", "=1+1"),
        ["line 5", "column site", "'=1+1' looks like a formula", "plain text"],
    ),
    "a formula behind a space": (cell("site", " @SUM(A1)"), ["line 5", "column site", "looks like a formula"]),
    "a formula in a number": (cell("age", "=SUM(A1:A9)"), ["line 5", "column age", "'=SUM(A1:A9)' is not a number"]),
    "a formula in a row number": (cell("case", "=1+1"), ["line 5", "column case", "'=1+1' looks like a formula"]),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_a_bad_value_is_refused_with_place_and_cure(content, words, read, tmp_path):
    with pytest.raises(DataError) as error:
        read(content)

    for word in [str(tmp_path / "mine.csv"), *words]:
        assert word in str(error.value)
    assert max(map(len, str(error.value).splitlines())) < 400


@pytest.mark.parametrize("name", ["nothing.csv", "."], ids=["no file", "a folder"])
def test_a_missing_file_is_refused(name, tmp_path):
    with pytest.raises(DataError, match=r"is missing. Put the data there, or name another file"):
        read_rows(tmp_path / name, possums.SCHEMA)


def test_just_enough_rows(read):
    assert len(read("\n".join([HEADER, *LINES[:10]]))) == 10


def test_row_numbers_may_be_text(read):
    rows = read(column("case", lambda _, value: f"possum {value} "))

    assert rows.index[:2].tolist() == ["possum 1", "possum 2"]


def test_row_numbers_stay_whole(read):
    # a blank line is a gap to pandas, and a gap makes floats of whole numbers
    assert read(POSSUMS + "\n\n").index.dtype == "int64"


def test_without_row_numbers_the_rows_are_counted(read):
    rows = read("\n".join([HEADER, *LINES[:5], "", *LINES[5:20]]), replace(possums.SCHEMA, row_number=None))

    assert rows.index.tolist() == list(range(1, 21))
    assert rows.index.name == "animal"


def test_numbers_at_their_bounds_are_fine(read):
    rows = "\n".join(["b,y", *(f"{n % 10},{n}" for n in range(20))])

    assert read(rows, schema(b=Numeric(0, 9)))["b"].agg(["min", "max"]).tolist() == [0, 9]


def test_other_columns(read):
    text = "\n".join(["id,colour,y", *(f"{n},{'red' if n % 2 else 'blue'},{n / 2}" for n in range(10))])

    rows = read(text, schema("id", colour=Categorical()))

    assert rows.loc[3].to_dict() == {"colour": "red", "y": 1.5}
