"""The columns of a Parquet file."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa

from include.errors import DataError
from include.modeling.csv_text import column_names
from include.modeling.file_errors import FileErrors
from include.schema import Schema


def read_table(content: bytes, schema: Schema, errors: FileErrors, *, target_required: bool = True) -> pd.DataFrame:
    """Read the columns of a schema from a Parquet file.

    Returns:
        The columns as the file types them, indexed by `row`, from 1. Those that the file does not have are left out and
        added to `errors`.

    Raises:
        DataError: The file is not Parquet, has no rows, or has columns of lists and the like.
    """
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{errors.source} is not a Parquet file: {error}. Save it as Parquet or CSV.") from None
    if frame.index.name in schema.names:  # pandas writes an index with a name as a column
        frame = frame.reset_index()
    optional = set() if target_required else {schema.target}
    names = column_names([str(name) for name in frame.columns], schema, optional, errors)
    table = frame.set_axis(pd.Index(names, dtype=object), axis="columns")
    table = table[[name for name in names if isinstance(name, str)]]
    if table.empty:
        errors.raise_if_any()
        raise DataError(f"{errors.source} has no rows. Put the data there.")
    for name in table:
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            table[name] = table[name].astype(object)
        if table[name].dtype == object and not table[name].dropna().map(pd.api.types.is_scalar).all():
            raise DataError(f"{errors.source}, column {name}: not numbers or text. Save it as numbers or text.")
    return table.set_axis(pd.RangeIndex(1, len(table) + 1, name="row")).dropna(how="all")
