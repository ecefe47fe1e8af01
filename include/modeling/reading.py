"""Reads the input and checks it, before anything is made of it."""

from __future__ import annotations

import csv
import difflib
import io
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from include import config
from include.errors import ConfigurationError, DataError
from include.schema import Categorical, Column, Numeric

log = logging.getLogger(__name__)
# What stands for a missing value: pandas' own list.
GAPS = frozenset(["", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"])
GAPS |= {"-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)  # a number that is written like this again, and fits an Int64
FORMULA = re.compile(r"[=@]|[+-](?![\d.,]*(e[+-]?\d+)?$)", re.IGNORECASE)  # numbers have signs, too


def read_rows(
    path: Path,
    columns: Mapping[str, Column] = config.COLUMNS,
    target: str = config.TARGET,
    row_number: str | None = config.ROW_NUMBER,
) -> pd.DataFrame:
    """Reads the CSV file `path` (UTF-8, comma-separated, with a header).

    Returns `columns` in their order, indexed by `row_number` (from 1 where that is None): numbers as float64, labels as
    strings or, where all of them and all of `values` are whole numbers without leading zeros, as Int64. An empty cell
    is a gap, and so is each of GAPS that is no label of the column by its `values`. Other columns are left out.

    Raises DataError for what can't be used, with file, line, column, value and cure.
    """
    if not isinstance(columns.get(target), Numeric):
        raise ConfigurationError(
            f"TARGET is {target!r}, but COLUMNS in include/config.py has no numeric column of that name."
        )
    text = _text(path)
    names = _names(path, text, [*columns, *([row_number] if row_number else [])])
    labels = {name: column for name, column in columns.items() if isinstance(column, Categorical)}
    try:
        rows = pd.read_csv(
            io.StringIO(text),
            header=0,
            names=names,
            dtype=dict.fromkeys(labels, str),
            na_values=dict.fromkeys(names, GAPS) | {name: _gaps(column) for name, column in labels.items()},
            keep_default_na=False,
            index_col=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )
    except pd.errors.ParserError as error:
        _check_fields(path, text)
        raise DataError(f"{path}: {error}. Close the quotes.") from None
    if rows.iloc[:, -1].isna().any():  # pandas fills rows that are too short
        _check_fields(path, text)
    rows.index += 2  # the line in the file, where no cell goes over several
    rows = rows[[name for name in names if isinstance(name, str)]].dropna(how="all")
    if rows.empty:
        raise DataError(f"{path} has a header, but no rows. Put the data below it.")

    for name, column in columns.items():
        place = _Place(path, name)
        if isinstance(column, Numeric):
            rows[name] = _numbers(rows[name], column, place)
        else:
            rows[name] = _labels(rows[name], column, place)
        if rows[name].isna().all():
            raise DataError(f"{path}, column {name}: all values are missing. Fill them in, or take it out of COLUMNS.")
    rows.index = _row_numbers(rows, row_number, path)
    rows = rows[list(columns)]
    complete = rows.dropna()
    if len(complete) < 2 * config.FOLDS:
        raise DataError(
            f"{path} has {len(complete)} rows without gaps; {config.FOLDS}-fold cross-validation needs "
            f"{2 * config.FOLDS}. Add rows, or fill the gaps."
        )
    if complete[target].nunique() == 1:
        raise DataError(
            f"{path}, column {target}: every value is {complete[target].iloc[0]}, so there is nothing to predict. "
            "Add rows that differ."
        )
    log.info("Read %s: %d rows, columns %s", path.name, len(rows), ", ".join(columns))
    return rows


class _Place:
    """Where in the input something is wrong."""

    def __init__(self, path: Path, column: str) -> None:
        self.path, self.column = path, column

    def refuse(self, values: pd.Series, wrong: pd.Series, why: str) -> None:
        """Raises DataError for the first of `values` (indexed by line) that is `wrong`."""
        if wrong.any():
            line = wrong.idxmax()
            others = f" ({wrong.sum() - 1} more like it)" if wrong.sum() > 1 else ""
            raise DataError(f"{self.path}, line {line}, column {self.column}: {values[line]!r} {why}{others}")

    def refuse_formulas(self, values: pd.Series) -> None:
        """Raises DataError for text that a spreadsheet would calculate with."""
        formulas = [value for value in values.dropna().unique() if FORMULA.match(value)]
        self.refuse(values, values.isin(formulas), "looks like a formula. Write it as plain text.")


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(
            f"{path} is missing. Put the data there, or name another file (DATA_FILE in include/config.py)."
        )
    content = path.read_bytes()
    if b"\0" in content:
        raise DataError(f"{path} is not text. Save it as CSV, in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = len((content[: error.start] + b"?").splitlines())
        byte = content[error.start]
        raise DataError(
            f"{path}, line {line}: the byte {byte:#04x} is not UTF-8. Save the file as CSV, in UTF-8."
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty. Put the data there.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The line and the fields of the header and of each row."""
    reader, line = csv.reader(io.StringIO(text), skipinitialspace=True), 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}. Close the quotes.") from None


def _check_fields(path: Path, text: str) -> None:
    """Raises DataError for the first row with more or fewer fields than the header. Blank lines don't count."""
    records = _records(path, text)
    _, header = next(records)
    for line, fields in records:
        if len(fields) != len(header) and any(fields):
            more = "Write decimals with a point, and put quotes around text with commas."
            fewer = "Keep the commas around empty cells, and close quotes."
            raise DataError(
                f"{path}, line {line} has {len(fields)} fields, the header {len(header)}. "
                f"{more if len(fields) > len(header) else fewer}"
            )


def _names(path: Path, text: str, wanted: list[str]) -> list[str | int]:
    """The file's columns by `wanted` name, others by their place. Upper and lower case are taken as the same."""
    records = _records(path, text)
    _, header = next(records)
    header = [found.strip() for found in header]
    if not any(header):
        raise DataError(f"{path}, line 1 is blank. Put the header there.")
    if len(header) == 1 and (others := [mark for mark in ";\t|" if mark in header[0]]):
        raise DataError(f"{path} is separated by {others[0]!r}. Save it separated by commas, decimals with a point.")
    _, first = next(records, (2, []))
    if len(first) > len(header):  # pandas would leave out what is too much
        _check_fields(path, text)
    names: list[str | int] = list(range(len(header)))
    for name in wanted:
        same = [place for place, found in enumerate(header) if found == name]
        same = same or [place for place, found in enumerate(header) if found.lower() == name.lower()]
        if len(same) > 1:
            raise DataError(f"{path} has {len(same)} columns named {name!r}. Keep one of them.")
        if not same:
            close = difflib.get_close_matches(name, header, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise DataError(
                f"{path} has no column {name!r}. {hint}It has {', '.join(header)}. "
                "Rename the column, or change COLUMNS or ROW_NUMBER in include/config.py."
            )
        names[same[0]] = name
    return names


def _numbers(values: pd.Series, column: Numeric, place: _Place) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        numbers = pd.to_numeric(values.where(~values.isin([True, False])), errors="coerce")
        wrong = numbers.isna() & values.notna()
        commas = values.astype(str).str.fullmatch(r"\s*-?\d+,\d+\s*") & wrong
        place.refuse(values, commas, "has a decimal comma. Write it with a point.")
        place.refuse(values, wrong, "is no number. Correct it, or leave the cell empty.")
        values = numbers
    values = values.astype("float64")
    place.refuse(
        values, pd.Series(np.isinf(values), values.index), "is not finite. Correct it, or leave the cell empty."
    )
    wrong = (values < column.low) | (values > column.high)
    place.refuse(
        values,
        wrong,
        f"is not between {column.low:g} and {column.high:g}. Correct it, or the bounds in include/config.py.",
    )
    return values


def _gaps(column: Categorical) -> frozenset[str]:
    """What stands for a missing value in this column."""
    return GAPS.difference(column.values) | {""}


def _labels(values: pd.Series, column: Categorical, place: _Place) -> pd.Series:
    gaps = _gaps(column)
    texts = {text: label for text in values.dropna().unique() if (label := text.strip()) not in gaps}
    # whole numbers may have decimals: pandas writes them so where a column has gaps
    whole = {text: label if label in column.values else re.sub(r"\.0+$", "", label) for text, label in texts.items()}
    if all(WHOLE.fullmatch(label) for label in {*column.values, *whole.values()}):
        labels = pd.Series({text: int(label) for text, label in whole.items()}, dtype="Int64")
    else:
        labels = pd.Series(texts, dtype="object")
    values = values.map(labels)
    if column.values:
        wrong = values.isin([label for label in labels if str(label) not in column.values])
        known = ", ".join(column.values)
        place.refuse(values, wrong, f"is none of {known}. Correct it, or add it to include/config.py.")
    elif labels.dtype == "object":
        place.refuse_formulas(values)
    if (count := values.nunique()) > config.MAX_CATEGORIES:
        raise DataError(
            f"{place.path}, column {place.column}: {count:,} different labels, and each would become a feature. "
            f"Take the column out of COLUMNS, or raise MAX_CATEGORIES ({config.MAX_CATEGORIES}) in include/config.py."
        )
    return values


def _row_numbers(rows: pd.DataFrame, row_number: str | None, path: Path) -> pd.Index:
    if row_number is None:
        return pd.RangeIndex(1, len(rows) + 1, name=config.ROW)
    place, numbers = _Place(path, row_number), rows[row_number]
    place.refuse(numbers, numbers.isna(), "is missing. Number every row.")
    if pd.api.types.is_float_dtype(numbers) and (numbers % 1 == 0).all():
        numbers = numbers.astype("int64")  # blank lines in the file make them floats
    elif not pd.api.types.is_numeric_dtype(numbers):
        numbers = numbers.astype(str).str.strip()
        place.refuse_formulas(numbers)
    place.refuse(numbers, numbers.duplicated(), "stands for two rows. Number every row differently.")
    return pd.Index(numbers, name=row_number)
