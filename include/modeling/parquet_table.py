"""The columns of a Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from include.errors import DataError
from include.modeling.csv_text import column_names
from include.modeling.file_errors import FileErrors
from include.schema import Column, Numeric, Schema

if TYPE_CHECKING:
    import pyarrow.parquet as pq


def read_table(content: bytes, schema: Schema, errors: FileErrors) -> pd.DataFrame:
    """Read the columns of a schema from a Parquet file, and no others.

    Returns:
        The columns as the file types them, indexed by `row`, from 1. Those that the file does not have are left out and
        added to `errors`; rows with a row number column are left out if they are blank.

    Raises:
        DataError: The file is not Parquet, has no rows, or has columns of lists and the like.
    """
    import pyarrow.parquet as pq  # Airflow reads the DAG files, which import this module, every few seconds

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        ranges = _ranges(file)
        header = [*file.schema_arrow.names, *ranges]
        names = column_names(header, schema, errors)
        wanted = {name: found for name, found in zip(names, header, strict=True) if isinstance(name, str)}
        stored = file.read([found for found in wanted.values() if found not in ranges])
        table = pd.DataFrame(
            {
                name: ranges[found] if found in ranges else _values(stored[found], schema.columns.get(name))
                for name, found in wanted.items()
            }
        )
    except DataError:  # of column_names
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{errors.source} is not a Parquet file: {error}. Save it as Parquet or CSV.") from None
    if table.empty:
        errors.raise_if_any()
        raise DataError(f"{errors.source} has no rows. Put the data there.")
    for name in table:
        if table[name].dtype == object and not table[name].dropna().map(pd.api.types.is_scalar).all():
            raise DataError(f"{errors.source}, column {name}: not numbers or text. Save it as numbers or text.")
    table.index = pd.RangeIndex(1, len(table) + 1, name="row")
    return table.dropna(how="all") if schema.row_number in table else table


def _ranges(file: pq.ParquetFile) -> dict[str, range]:
    """An index with a name that counts the rows: pandas writes its start and end, but no column."""
    index = (file.schema_arrow.pandas_metadata or {}).get("index_columns", [])
    named = [level for level in index if isinstance(level, dict) and level.get("name")]
    ranges = {level["name"]: range(level["start"], level["stop"], level["step"]) for level in named}
    return {name: rows for name, rows in ranges.items() if len(rows) == file.metadata.num_rows}


def _values(stored: pa.ChunkedArray, column: Column | None) -> pd.Series:
    # With gaps, pandas makes integers float64, which has 15 digits. Labels and row numbers keep all of theirs.
    values = stored.to_pandas(integer_object_nulls=not isinstance(column, Numeric))
    return values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
