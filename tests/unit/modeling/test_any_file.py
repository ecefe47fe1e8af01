"""Whatever happens to a file, it is read as it is, or rejected with its name, the place and the cure."""

from __future__ import annotations

import csv
import io
import math

import pandas as pd
import pytest

from include.errors import DataError
from include.modeling.csv_text import GAPS
from include.modeling.rows import DataFile, read_rows
from include.schema import Categorical, Numeric, Schema

pytest.importorskip("hypothesis", reason="the Astro image doesn't have it")
from hypothesis import given, settings
from hypothesis import strategies as st

SCHEMA = Schema(
    {"site": Categorical(), "sex": Categorical(("f", "m", "NA")), "age": Numeric(0, 30), "tail": Numeric()},
    target="tail",
    target_label="tail length",
    target_unit="cm",
    row_number="case",
)
CURES = ("Add ", "Close ", "Correct ", "Fill ", "Keep ", "Number ", "Put ", "Rename ", "Save ", "Take ", "Write ")

numbers = st.one_of(
    st.integers(0, 30).map(str), st.floats(0, 30).map(str), st.sampled_from(["1.50", "+3", "1e1", ".5"])
)
odd = st.one_of(
    st.sampled_from(sorted(GAPS)),
    st.sampled_from(["True", "1,5", "=1+1", "-3", "inf", "1e999", "1_0", "0x1F", "007", "1.0", "2020-01-01", "9" * 25]),
    st.text(max_size=5),
    st.text('",\n\r\t ;"ab01-.', max_size=6),
)
labels = st.sampled_from(["1", "2", "north", "Höhe", "a,b", 'the "old"', "two\nlines"])
rows = st.tuples(
    st.one_of(st.integers(0, 10**18).map(str), st.sampled_from(["007", "7", "01E05", "x"])),
    labels,
    st.sampled_from(["f", "m", "NA", ""]),
    numbers,
    numbers,
)
HEADER = ("case", "site", "sex", "age", "tail")


@st.composite
def files(draw) -> bytes:
    """A CSV file of a few rows, most of them good, that something may have happened to."""
    table = [list(row) for row in draw(st.lists(rows, min_size=1, max_size=6))]
    for _ in range(draw(st.integers(0, 2))):
        draw(st.sampled_from(table))[draw(st.integers(0, 4))] = draw(odd)
    out = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(out, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r"])))
    writer.writerows([HEADER, *table])
    content = out.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(content)))
        removed = draw(st.integers(0, 3))
        added = draw(
            st.sampled_from([b"", b",", b'"', b"\n", b"\r", b" ", b"\t", b"\xff", b"\0", b"\n\n", b'""', b'",'])
        )
        content = content[:at] + added + content[at + removed :]
    return content


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(files())
def test_a_file_is_read_right_or_rejected(content):
    try:
        table = read_rows(DataFile("any.csv", content), SCHEMA)
    except DataError as error:
        assert_helps(str(error), "any.csv")
    else:
        assert_is_what_stands_in(content, table)


def assert_helps(message: str, path: str) -> None:
    assert message.startswith(path)
    first, *others = message.splitlines()
    errors = others if " errors" in first else [message]
    assert len(errors) <= 20
    for error in errors:
        assert any(cure in error for cure in CURES), error


def assert_is_what_stands_in(content: bytes, table: pd.DataFrame) -> None:
    """Compare with what Python's own csv module reads."""
    text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    header, *records = csv.reader(io.StringIO(text), skipinitialspace=True)
    names = [name.strip().lower() for name in header]
    records = [record for record in records if any(record)]
    assert len(table) == len(records)
    for (number, row), record in zip(table.iterrows(), records, strict=True):
        cells = {name: cell.strip() for name, cell in zip(names, record, strict=True)}
        assert str(number) == cells["case"]
        assert (
            row["site"] == cells["site"] or is_gap(row["site"], cells["site"]) or is_whole(row["site"], cells["site"])
        )
        assert row["sex"] == cells["sex"] or is_gap(row["sex"], cells["sex"])
        for name in ("age", "tail"):
            assert is_gap(row[name], cells[name]) or math.isclose(row[name], float(cells[name]), rel_tol=1e-12)


def is_gap(value: object, text: str) -> bool:
    return bool(pd.isna(value)) and text in GAPS


def is_whole(value: object, text: str) -> bool:
    return isinstance(value, int) and float(text) == value
