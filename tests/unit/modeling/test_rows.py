"""What people put into a CSV file: it works, or one message names file, line, column, value and cure."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import possums
import pytest
from possums import FIFTH, HEADER, LINES, cell, column, edited, with_column
from possums import TEXT as POSSUMS

from include.errors import DataError
from include.modeling.file_errors import FileErrors
from include.modeling.rows import DataFile, check_columns, read_rows, read_training_rows
from include.schema import Categorical, Column, Numeric, Schema


def schema(row_number: str | None = None, **columns: Column) -> Schema:
    """Some columns and a target y."""
    return Schema({**columns, "y": Numeric()}, "y", "yield", "t", "field", row_number)


@pytest.fixture
def read():
    def read(content: str | bytes, schema: Schema = possums.SCHEMA) -> pd.DataFrame:
        file = DataFile("mine.csv", content if isinstance(content, bytes) else content.encode())
        return read_training_rows(file, schema, min_usable=10)

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
    return read_rows(possums.FILE, possums.SCHEMA)


def test_the_possums_are_read(real):
    assert real.shape == (104, 9)
    assert list(real.columns) == list(possums.SCHEMA.columns)
    assert real.index.name == "case"
    assert real.index.tolist() == list(range(1, 105))
    assert real.loc[1].to_dict() == {
        "site": "1",
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
}


@pytest.mark.parametrize(("text", "label"), LABELS.values(), ids=LABELS)
def test_any_text_is_a_label(text, label, read):
    assert read(cell("site", text)).loc[4, "site"] == label


LISTED = {
    "a word for a gap": ("None", "Gable"),
    "only words for gaps": ("NA", "null"),
    "leading zeros": ("01", "02"),
    "the same number, written differently": ("1", "01"),
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
    "numbers": (["1", "10"], ["1", "10"]),
    "zero and less": (["0", "-7"], ["0", "-7"]),
    "with decimals": (["1.0", "2.0"], ["1", "2"]),
    "with decimals and gaps": (["1.0", "2.0", ""], ["1", "2"]),
    "with decimals and words": (["1.0", "2.0", "north"], ["1", "2", "north"]),
}


@pytest.mark.parametrize(("labels", "without_decimals"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("listed", [True, False])
def test_whole_numbers(labels, without_decimals, listed, read_labels):
    rows = read_labels(labels, values=tuple(without_decimals) if listed else ())

    assert rows.dropna().unique().tolist() == without_decimals


TEXT = {
    "leading zeros": ["01", "1"],
    "leading zeros and decimals": ["01.0", "1"],
    "signs": ["+1", "-1"],
    "negative decimals": ["-0.5", "0.5", "-1e-05"],
    "fractions": ["1", "1.5"],
    "too large": ["18446744073709551617", "18446744073709551618"],
    "underscores": ["1_0", "10"],
    "other digits": ["\u0661", "1"],
    "numbers and text": ["1", "1b"],
    "truth values": ["TRUE", "true"],
}


@pytest.mark.parametrize("labels", TEXT.values(), ids=TEXT)
def test_labels_that_whole_numbers_would_change(labels, read_labels):
    assert read_labels(labels).unique().tolist() == labels


def test_a_label_is_the_same_with_decimals_and_without(read_labels):
    assert read_labels(["0.5", "1", "1.0", "2.0"]).unique().tolist() == ["0.5", "1", "2"]


@pytest.mark.parametrize("formula", ["=1+1", "+A1", "-1+2", "-SUM(A1)", "-0.5*A1", "@SUM(A1)"])
def test_formulas(formula, read_labels):
    with pytest.raises(DataError, match="looks like a formula"):
        read_labels(["a", formula])


BAD = {
    "text in a number": (cell("age", "old"), ["line 5", "column age", "'old' is not a number", "Correct it"]),
    "a long text in a number": (cell("age", "x" * 10_000), ["line 5", "column age", "'xxx", "is not a number"]),
    "truth values in a number": (
        column("age", lambda line, _: str(line % 2 == 0)),
        ["104 errors:", "line 2, column age: 'True' is not a number", "(51 more lines with this value)", "line 3"],
    ),
    "a quoted decimal comma": (
        cell("hdlngth", "93,2"),
        ["line 5", "column hdlngth", "'93,2' has a comma", "Write decimals with a point"],
    ),
    "a thousands separator": (cell("hdlngth", "1,093.2"), ["line 5", "column hdlngth", "'1,093.2' is not a number"]),
    "what stands for no data": (cell("hdlngth", "-1.8e307"), ["line 5", "-1.8e+307 is infinite or too large"]),
    "infinite": (cell("hdlngth", "inf"), ["line 5", "column hdlngth", "inf is infinite or too large", "Correct it"]),
    "a negative length": (cell("taill", "-38"), ["line 5", "column taill", "-38.0 is below 5", "bounds"]),
    "an absurd length": (cell("hdlngth", "9320"), ["line 5", "column hdlngth", "9320.0 is above 300"]),
    "an unknown sex": (
        cell("sex", "F"),
        ["line 5", "column sex", "'F' is none of f, m", "add it to COLUMNS in include/config.py"],
    ),
    "the same row number twice": (cell("case", "1"), ["line 5", "column case", "1 stands for two rows", "differently"]),
    "a row without a number": (
        cell("case", ""),
        ["line 5", "column case", "'' is not a row number", "Number every row"],
    ),
    "no value in a number column": (column("age", lambda *_: ""), ["column age", "all values are missing", "COLUMNS"]),
    "no value in a label column": (column("sex", lambda *_: "NA"), ["column sex", "all values are missing", "COLUMNS"]),
    "no value in the target": (column("taill", lambda *_: ""), ["column taill", "all values are missing"]),
    "too few rows without gaps": (
        column("age", lambda line, value: value if line < 11 else ""),
        ["9 rows without gaps", "at least 10 are needed", "Add rows, or fill the gaps"],
    ),
    "a target that is constant where there are no gaps": (
        edited(
            lambda line, name, value: {"taill": "36" if line > 2 else "40", "age": "" if line == 2 else "3"}.get(
                name, value
            )
        ),
        ["column taill", "every value is 36.0", "nothing to predict"],
    ),
    "1,000 categories": (
        "\n".join([HEADER] + [f"{n},s{n}," + LINES[n % 100].split(",", 2)[2] for n in range(1000)]),
        ["column site", "1,000 different labels", "MAX_CATEGORIES (100)"],
    ),
    "a formula in a label": (
        cell("site", "=1+1"),
        ["line 5", "column site", "'=1+1' looks like a formula", "plain text"],
    ),
    "a formula in a row number": (cell("case", "=1+1"), ["line 5", "column case", "'=1+1' looks like a formula"]),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD)
def test_a_bad_value_is_rejected_with_place_and_cure(content, words, read):
    with pytest.raises(DataError) as error:
        read(content)

    for word in ["mine.csv", *words]:
        assert word in str(error.value)
    assert max(map(len, str(error.value).splitlines())) < 400


def test_just_enough_rows(read):
    assert len(read("\n".join([HEADER, *LINES[:10]]))) == 10


def test_without_row_numbers_the_rows_are_counted(read):
    rows = read("\n".join([HEADER, *LINES[:5], "", *LINES[5:20]]), replace(possums.SCHEMA, row_number=None))

    assert rows.index.tolist() == list(range(1, 21))
    assert rows.index.name == "animal"


def test_numbers_at_their_bounds_are_fine(read):
    rows = "\n".join(["b,y", *(f"{n % 10},{n}" for n in range(20))])

    assert read(rows, schema(b=Numeric(0, 9)))["b"].agg(["min", "max"]).tolist() == [0, 9]


ROW_NUMBERS = {
    "text": (["possum 1 ", "possum 2 "], ["possum 1", "possum 2"]),
    "leading zeros": (["00001", "00002"], ["00001", "00002"]),
    "the same number, written differently": (["007", "7"], ["007", "7"]),
    "like an exponent": (["01E05", "1E5", "100000"], ["01E05", "1E5", "100000"]),
    "decimals": (["1.0", "2.0"], ["1.0", "2.0"]),
    "a sign": (["+1", "1"], ["+1", "1"]),
    "16 digits and a blank line": (["9007199254740993", "", "9007199254740992"], [9007199254740993, 9007199254740992]),
    "20 digits": (["18446744073709551617", "18446744073709551618"], ["18446744073709551617", "18446744073709551618"]),
    "integers": (["3", "0", "-12"], [3, 0, -12]),
    "one that is no integer": (["1", "2", "3a"], ["1", "2", "3a"]),
    "truth values": (["True", "TRUE"], ["True", "TRUE"]),
}


@pytest.mark.parametrize(("written", "numbers"), ROW_NUMBERS.values(), ids=ROW_NUMBERS)
def test_row_numbers_stay_as_they_are_written(written, numbers, read):
    cells = [*written, *range(1001, 1021)] if isinstance(numbers[0], int) else [*written, *(f"z{n}" for n in range(20))]
    text = "\n".join(["id,x,y", *(f"{cell},1,{n}" if cell != "" else "" for n, cell in enumerate(cells))])

    assert read(text, schema("id", x=Numeric())).index[: len(numbers)].tolist() == numbers


def test_all_errors_of_a_file_are_reported_at_once(read):
    text = "\n".join(["id,colour,size,y", "1,red,2,1", "1,blue,x,1", ',green,"3,5",1', "4,=A1,40,inf"])

    with pytest.raises(DataError) as error:
        read(text, schema("id", colour=Categorical(("red", "blue")), size=Numeric(0, 9)))

    path, *errors = str(error.value).splitlines()
    assert path.endswith("mine.csv has 8 errors:")
    assert [line.partition(". ")[0] for line in errors] == [
        "line 3, column size: 'x' is not a number",
        "line 3, column id: '1' stands for two rows",
        "line 4, column colour: 'green' is none of red, blue",
        "line 4, column size: '3,5' has a comma",
        "line 4, column id: '' is not a row number",
        "line 5, column colour: '=A1' is none of red, blue",
        "line 5, column size: 40.0 is above 9",
        "line 5, column y: inf is infinite or too large",
    ]


def test_one_column_full_of_errors_leaves_room_for_those_of_another(read):
    rows = [f"{n},{100 + n},{'x' if n == 39 else n}" for n in range(40)]

    with pytest.raises(DataError) as error:
        read("\n".join(["id,size,y", *rows]), schema("id", size=Numeric(0, 9)))

    first, *errors = str(error.value).splitlines()
    assert first.endswith("mine.csv has 41 errors, of which these are the first 20:")
    assert len(errors) == 20
    assert errors[-1].startswith("line 41, column y: 'x' is not a number")


def test_a_missing_column_does_not_hide_wrong_values(read):
    with pytest.raises(DataError, match=r"(?s)there is no column 'skullw'.*line 5, column age: 'old'"):
        read(cell("age", "old").replace("skullw", "breadth", 1))


def test_with_gaps_kept_a_row_counts_that_has_the_target():
    schema = Schema({"x": Numeric(), "z": Numeric(), "y": Numeric()}, "y", "height", "cm")
    file = DataFile("gaps.csv", b"x,z,y\n1,,1\n,2,2\n3,3,\n")

    keeps_gaps = replace(schema, keep_gaps=True)

    assert len(read_training_rows(file, keeps_gaps, min_usable=2)) == 3
    with pytest.raises(DataError, match="0 rows without gaps, but at least 2"):
        read_training_rows(file, schema, min_usable=2)
    with pytest.raises(DataError, match="2 rows with a value in y, but at least 3"):
        read_training_rows(file, keeps_gaps, min_usable=3)


def test_new_rows_may_have_empty_columns_and_no_target():
    text = "case,site,Pop,sex,age,hdlngth,skullw,totlngth,footlgth\n5,3,Vic,f,,90,55,85,70\n"

    rows = read_rows(DataFile("new.csv", text.encode()), replace(possums.SCHEMA, keep_gaps=True), new_rows=True)

    assert rows.index.tolist() == [5]
    assert rows["age"].isna().all()
    assert "taill" not in rows


def test_the_cure_for_new_rows_is_in_the_file():
    text = "case,site,Pop,sex,age,hdlngth,skullw,totlngth\n5,3,x,f,99,90,55,85\n"

    with pytest.raises(DataError, match=r"(?s)Rename or add columns in the file\.\n.* Correct it\.\n") as error:
        read_rows(DataFile("new.csv", text.encode()), possums.SCHEMA, new_rows=True)

    assert "new.csv has 3 errors" in str(error.value)
    assert "include/config.py" not in str(error.value)


def test_new_rows_may_have_any_number_of_labels_that_the_model_has_not_seen():
    rows = "\n".join(["label", *(f"s{n}" for n in range(101))])

    read = read_rows(DataFile("new.csv", rows.encode()), schema(label=Categorical()), new_rows=True)

    assert read["label"].nunique() == 101


def test_new_rows_need_their_row_numbers():
    text = POSSUMS.replace("case,", "number,")

    with pytest.raises(DataError, match=r"^new\.csv: there is no column 'case'"):
        read_rows(DataFile("new.csv", text.encode()), possums.SCHEMA, new_rows=True)


def test_without_row_numbers_a_row_of_commas_keeps_its_place_and_a_blank_line_has_none():
    rows = read_rows(DataFile("new.csv", b"colour,y\nred,1\n\n,\nblue,2\n"), schema(colour=Categorical()))

    assert rows.index.tolist() == [1, 2, 3]
    assert rows["colour"].dropna().to_dict() == {1: "red", 3: "blue"}


def test_a_label_that_is_not_listed_is_named_as_it_would_be_listed():
    table = pd.DataFrame({"doors": [2.0, 5.0], "y": [1.0, 2.0]}, index=pd.RangeIndex(1, 3, name="row"))

    with pytest.raises(DataError, match=r"row 2, column doors: '5' is none of 2, 3"):
        check_columns(table, schema(doors=Categorical(("2", "3"))), FileErrors("cars.parquet"))


def test_bounds_have_all_their_digits():
    table = pd.DataFrame({"price": [1234568.0], "y": [1.0]}, index=pd.RangeIndex(1, 2, name="row"))

    with pytest.raises(DataError, match=r"1234568\.0 is above 1234567\."):
        check_columns(table, schema(price=Numeric(0, 1234567)), FileErrors("cars.parquet"))
