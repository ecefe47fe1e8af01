"""The text of a CSV file: its encoding, its header, its records and their fields."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from include.errors import DataError
from include.modeling.file_errors import FileErrors
from include.schema import WHOLE_NUMBER, Numeric, Schema

# What stands for a missing value: pandas' own list.
GAPS = frozenset(["", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"])
GAPS |= {"-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
OTHERWISE_WRITTEN = re.compile(rb'\n[\s"]*(?:[+]|-0|0[0-9])')  # an integer at the start of a line, such as 007
LARGEST_WHOLE_NUMBER = 10**18 - 1


def read_table(content: bytes, schema: Schema, errors: FileErrors) -> pd.DataFrame:
    """Read the columns of a schema from a CSV file: UTF-8, comma-separated, with a header.

    Returns a row for each record that isn't blank, indexed by its `line`. Labels and row numbers are text as it stands
    in the file (row numbers may be int64 that would be written the same); numbers are int64 or float64, or text where
    one of them can't be a number. Empty cells, and GAPS among the numbers, are missing. Columns that the file doesn't
    have are left out and added to `errors`.

    Raises DataError where the file can't be cut into columns.
    """
    content = _normalized(content, errors.source)
    records = _records(content, errors.source)
    _, header = next(records)
    _, first_row = next(records, (2, []))
    names = column_names(header, schema, errors)
    wanted = [name for name in names if isinstance(name, str)]
    if not wanted or len(first_row) > len(header):  # pandas would leave out what is too much
        _check_fields(content, errors)
        errors.raise_if_any()
    numbers = [name for name in wanted if isinstance(schema.columns.get(name), Numeric)]
    whole = schema.row_number if _begins_with_whole_numbers(content, names, first_row, schema) else None
    try:
        table = _parse(content, names, numbers, whole)
    except pd.errors.ParserError:
        _check_fields(content, errors)
        _check_quotes(content, errors)
        raise
    if table.iloc[:, -1].isna().any():  # pandas fills up rows that are too short
        _check_fields(content, errors)
    table.index = _lines(content, errors.source, len(table))
    if table.iloc[:, 0].isna().any():  # most files need no second look
        if schema.row_number in wanted:
            blank = table[wanted].isna().all(axis="columns").to_numpy()
        else:  # to leave out a row with commas would change the numbers of the others
            blank = [not fields for _, fields in _records(content, errors.source)][1:]
        table = table[~np.array(blank, dtype=bool)]
    table = table[wanted]
    if table.empty:
        raise DataError(f"{errors.source} has a header, but no rows. Put the data below it.")
    return table


def write_table(frame: pd.DataFrame, file: BinaryIO | Path) -> None:
    """Write the columns of a DataFrame as CSV, with every digit that it takes to read the same numbers again."""
    import pyarrow as pa  # Airflow reads the DAG files, which import this module, every few seconds
    from pyarrow import csv as arrow_csv

    table = pa.Table.from_pandas(frame, preserve_index=False)
    arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(quoting_header="needed"))


def _normalized(content: bytes, source: str) -> bytes:
    """Return the text without a byte-order mark, with a line feed at the end of each line."""
    if b"\0" in content:
        raise DataError(f"{source} is not text. Save it as CSV, in UTF-8.")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = len((content[: error.start] + b"?").splitlines())
        byte = content[error.start]
        raise DataError(
            f"{source}, line {line}: the byte {byte:#04x} is not UTF-8. Save the file as CSV, in UTF-8."
        ) from None
    content = content.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not content or content.isspace():
        raise DataError(f"{source} is empty. Put the data there.")
    return content


def _records(content: bytes, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the fields of the header and of each row."""
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="\n")
    reader, line = csv.reader(lines, skipinitialspace=True), 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{source}, line {line}: {error}. Close the quotes.") from None


def column_names(header: list[str], schema: Schema, errors: FileErrors) -> list[str | int]:
    """Return the schema's name for each column of the file, and the place for one that the schema doesn't name.

    Upper and lower case count as the same where no column has the very name. New rows need no target.
    """
    header = [found.strip() for found in header]
    _check_header(header, errors.source)
    names: dict[int, str] = {}
    missing = []
    for name in schema.names:
        places = [place for place in _places(name, header, schema) if place not in names]
        if len(places) == 1:
            names[places[0]] = name
        elif places:
            errors.add(f"there are {len(places)} columns named {name!r}. Keep one of them.")
        elif name != schema.target or not errors.new_rows:
            missing.append(_missing(name, header))
    if missing:
        found = textwrap.shorten(", ".join(header), 300, placeholder=" ...")
        errors.add(
            f"there is no column {', '.join(missing)}. The file has {found}. "
            + errors.cure("Rename or add columns in the file", "change COLUMNS, TARGET or ROW_NUMBER")
        )
    return [names.get(place, place) for place in range(len(header))]


def _places(name: str, header: list[str], schema: Schema) -> list[int]:
    exact = [place for place, found in enumerate(header) if found == name]
    others = [place for place, found in enumerate(header) if found.lower() == name.lower()]
    return exact or [place for place in others if header[place] not in schema.names]


def _check_header(header: list[str], source: str) -> None:
    if not any(header):
        raise DataError(f"{source}, line 1 is blank. Put the header there.")
    separators = [mark for mark in ";\t|" if mark in header[0]]
    if len(header) == 1 and separators:
        raise DataError(
            f"{source} is separated by {separators[0]!r}. Save it separated by commas, decimals with a point."
        )


def _missing(name: str, header: list[str]) -> str:
    close = difflib.get_close_matches(name, header, n=1)
    return f"{name!r} (is it {close[0]!r} in the file?)" if close else repr(name)


def _begins_with_whole_numbers(content: bytes, names: list[str | int], first_row: list[str], schema: Schema) -> bool:
    """Return whether row numbers come first in each line, and integers among them would be written the same again."""
    if names[0] != schema.row_number or not first_row:
        return False
    return bool(re.fullmatch(WHOLE_NUMBER, first_row[0].strip())) and not OTHERWISE_WRITTEN.search(content)


def _parse(content: bytes, names: list[str | int], numbers: list[str], whole: str | None) -> pd.DataFrame:
    """Read the columns: those in `numbers` as numbers, `whole` as int64, each as text where that can't be."""
    texts = [name for name in names if isinstance(name, str) and name not in numbers and name != whole]
    gaps = dict.fromkeys(names, frozenset([""])) | dict.fromkeys(numbers, GAPS)

    def parse(texts: list[str]) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(content),
            header=0,
            names=names,
            dtype=dict.fromkeys(texts, str),
            na_values=gaps,
            keep_default_na=False,
            index_col=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )

    table = parse(texts)
    others = [name for name in numbers if table[name].dtype.kind not in "iuf"]
    if whole and not _are_whole_numbers(table[whole]):
        others.append(whole)
    if others:  # some of their cells are not numbers: as text, these can be named
        table = parse(texts + others)
    return table


def _are_whole_numbers(values: pd.Series) -> bool:
    """Return whether these are int64 with as many digits as WHOLE_NUMBER allows: a million are slow as text."""
    return values.dtype == "int64" and bool(values.between(-LARGEST_WHOLE_NUMBER, LARGEST_WHOLE_NUMBER).all())


def _check_fields(content: bytes, errors: FileErrors) -> None:
    """Raise DataError if a row has more or fewer fields than the header. Blank lines don't count."""
    records = _records(content, errors.source)
    _, header = next(records)
    wrong = [(line, len(fields)) for line, fields in records if len(fields) != len(header) and any(fields)]
    errors.add_lines((line, f"line {line} has {_wrong_number(fields, len(header))}") for line, fields in wrong)
    if wrong:
        errors.raise_if_any()


def _wrong_number(fields: int, expected: int) -> str:
    if fields > expected:
        cure = "Write decimals with a point, and put quotes around text with commas."
    else:
        cure = "Keep the commas around empty cells, and close quotes."
    return f"{fields} fields, the header {expected}. {cure}"


def _check_quotes(content: bytes, errors: FileErrors) -> None:
    """Raise DataError for a quote that runs to the end of the file."""
    *_, (line, _) = _records(content, errors.source)
    errors.add_lines([(line, f"line {line}: a quote is opened, but not closed. Close the quotes.")])
    errors.raise_if_any()


def _lines(content: bytes, source: str, rows: int) -> pd.Index:
    """Return the line at which each row begins."""
    line_count = content.count(b"\n") + (not content.endswith(b"\n"))
    if line_count == 1 + rows:
        return pd.RangeIndex(2, 2 + rows, name="line")
    _, *lines = [line for line, _ in _records(content, source)]  # some cells go over several lines
    return pd.Index(lines, name="line")
