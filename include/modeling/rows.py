"""Reads the rows of a data set and checks their values, before anything is made of them."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass

import pandas as pd

from include.errors import DataError
from include.modeling import csv_text, parquet_table
from include.modeling.csv_text import GAPS
from include.modeling.file_errors import FileErrors
from include.modeling.labels import text_labels
from include.schema import WHOLE_NUMBER, Categorical, Numeric, Schema

log = logging.getLogger(__name__)
TOO_LARGE = 1e150  # its square still is a number
FORMULA = re.compile(r"[=@]|[+-](?![\d.,]*(e[+-]?\d+)?$)", re.IGNORECASE)  # numbers have signs, too


@dataclass(frozen=True)
class DataFile:
    """A file of rows.

    Attributes:
        address: Where it is, as the user gave it: what error messages name.
        content: Parquet, if the address ends so, or CSV: UTF-8, comma-separated, with a header.
        version: Which version of the file this is, where the source has versions.
    """

    address: str
    content: bytes
    version: str | None = None

    @property
    def digest(self) -> str:
        """A fingerprint of the content."""
        return hashlib.sha256(self.content).hexdigest()[:16]


def read_training_rows(file: DataFile, schema: Schema, *, min_usable: int) -> pd.DataFrame:
    """Read rows to train on.

    Args:
        file: The file.
        schema: The columns to read. Others in the file are left out.
        min_usable: How many rows the model must be able to use.

    Returns:
        What `check_columns` returns.

    Raises:
        DataError: As `read_rows` does, and for rows that cannot train a model.
    """
    rows = read_rows(file, schema)
    usable = rows.dropna(subset=[schema.target]) if schema.keep_gaps else rows.dropna()
    targets = usable[schema.target].unique()
    if len(usable) < min_usable:
        without = f"with a value in {schema.target}" if schema.keep_gaps else "without gaps"
        raise DataError(
            f"{file.address}: {len(usable)} rows {without}, but at least {min_usable} are needed, twice FOLDS in "
            "include/config.py. Add rows, or fill the gaps."
        )
    if len(targets) == 1:
        raise DataError(
            f"{file.address}: column {schema.target}: every value is {targets[0]}, so there is nothing to predict. "
            "Add rows that differ."
        )
    return rows


def read_rows(file: DataFile, schema: Schema, *, new_rows: bool = False) -> pd.DataFrame:
    """Read rows of a data set.

    Args:
        file: The file.
        schema: The columns to read. Others in the file are left out.
        new_rows: Whether the target may be missing. Where the file has it, it is checked all the same.

    Returns:
        What `check_columns` returns.

    Raises:
        DataError: The file can't be used. Names all that is wrong with it, by line, column and value, with the cure.
    """
    errors = FileErrors(file.address, new_rows=new_rows)
    is_parquet = file.address.lower().endswith(".parquet")
    read_table = parquet_table.read_table if is_parquet else csv_text.read_table
    table = read_table(file.content, schema, errors)
    rows = check_columns(table, schema, errors)
    log.info("Read %s: %d rows, columns %s", file.address, len(rows), ", ".join(rows))
    return rows


def check_columns(table: pd.DataFrame, schema: Schema, errors: FileErrors) -> pd.DataFrame:
    """Check each value of a table, text or typed, against the schema.

    The table is indexed by where its rows stand in the source, and the name of its index is what that counts, such as
    "line". `errors` holds what was found before.

    Returns the schema's columns in their order, indexed by the row number (from 1 where the schema has none): numbers
    as float64, labels as text (`text_labels`). An empty cell is a gap, and so is each of GAPS that the schema doesn't
    list as a label of the column.

    Raises DataError with all errors.
    """
    checked = {}
    for name, column in schema.columns.items():
        if name not in table:
            continue
        found = len(errors)
        if isinstance(column, Numeric):
            checked[name] = _numbers(table[name], column, errors)
        else:
            checked[name] = _labels(table[name], column, schema.max_categories, errors)
        if not errors.new_rows and checked[name].isna().all() and len(errors) == found:  # each new row keeps its line
            or_else = "" if name == schema.target else ", or take the column out of COLUMNS"
            errors.add(f"column {name}: all values are missing. Fill them in{or_else}.")
    row_numbers = _row_numbers(table, schema, errors)
    errors.raise_if_any()
    rows = pd.DataFrame(checked)
    rows.index = row_numbers
    return rows


def _numbers(values: pd.Series, column: Numeric, errors: FileErrors) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.astype("float64", copy=False)
    else:
        numbers = _parsed_numbers(values, errors)
    too_large = numbers.abs() > TOO_LARGE
    errors.add_cells(numbers, too_large, "is infinite or too large. Correct it, or leave the cell empty.")
    cure = errors.cure("Correct it", "the bounds in COLUMNS")
    errors.add_cells(numbers, (numbers < column.low) & ~too_large, f"is below {column.low:.15g}. {cure}")
    errors.add_cells(numbers, (numbers > column.high) & ~too_large, f"is above {column.high:.15g}. {cure}")
    return numbers


def _parsed_numbers(values: pd.Series, errors: FileErrors) -> pd.Series:
    """Return the numbers that stand in text; text that is not a number is added to `errors`, and missing."""
    texts = values.dropna().astype(str).str.strip()
    texts = texts[~texts.isin(GAPS)]
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    commas = texts.str.fullmatch(r"-?\d+,\d+")
    errors.add_cells(texts, commas, "has a comma. Write decimals with a point, and thousands without a mark.")
    cure = errors.cure("Correct it, or leave the cell empty", "make the column Categorical()")
    errors.add_cells(texts, numbers.isna() & ~commas, f"is not a number. {cure}")
    return numbers.reindex(values.index)


def _labels(values: pd.Series, column: Categorical, max_categories: int, errors: FileErrors) -> pd.Series:
    labels = text_labels(values)
    labels[labels.isin(GAPS.difference(column.values) | {""})] = None
    found = pd.Series(labels.dropna().unique(), dtype=object)
    if column.values:
        wrong = found[~found.isin(column.values)]
        why = f"is none of {', '.join(column.values)}. {errors.cure('Correct it', 'add it to COLUMNS')}"
    else:
        wrong = found[_formulas(found)]
        why = "looks like a formula. Write it as plain text."
    if len(wrong):
        errors.add_cells(labels, labels.isin(wrong), why)
    if len(found) > max_categories and not errors.new_rows:
        errors.add(
            f"column {values.name}: {len(found):,} different labels, more than MAX_CATEGORIES ({max_categories}). "
            "Use fewer, or take the column out of COLUMNS or raise MAX_CATEGORIES in include/config.py."
        )
    return labels


def _row_numbers(table: pd.DataFrame, schema: Schema, errors: FileErrors) -> pd.Index:
    """Return the row numbers: text, or integers where every one of them would be written the same again."""
    name = schema.row_number
    if name is None:
        return pd.RangeIndex(1, len(table) + 1, name=schema.row)
    if name not in table:
        return table.index
    numbers = table[name]
    if numbers.dtype != "int64":
        numbers = numbers.astype("string[pyarrow]").str.strip().fillna("")
        if numbers.str.fullmatch(WHOLE_NUMBER).all():
            numbers = numbers.astype("int64")
    if numbers.dtype == "int64":
        missing = pd.Series(False, numbers.index)
    else:
        numbers = numbers.astype(object)
        missing = numbers.isin(GAPS)
        errors.add_cells(numbers, missing, "is not a row number. Number every row.")
        errors.add_cells(numbers, _formulas(numbers) & ~missing, "looks like a formula. Write it as plain text.")
    twice = numbers.duplicated() & ~missing
    errors.add_cells(numbers, twice, "stands for two rows. Number every row differently.")
    return pd.Index(numbers, name=name)


def _formulas(texts: pd.Series) -> pd.Series:
    """Return which texts a spreadsheet would calculate with."""
    return texts.astype(str).str.match(FORMULA)
