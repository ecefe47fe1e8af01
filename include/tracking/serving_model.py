"""The model to serve: from raw rows to predictions, with a check of the rows. It loads without this project's code."""

from __future__ import annotations

import pandas as pd
from mlflow.exceptions import MlflowException
from sklearn.base import RegressorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from include.errors import DataError
from include.modeling.file_errors import FileErrors
from include.modeling.rows import check_columns
from include.schema import Schema


def serving_model(transformer: Pipeline, model: RegressorMixin, schema: Schema) -> Pipeline:
    """Chain a check of raw rows, the fitted transformer and the fitted model."""
    check = FunctionTransformer(check_rows, kw_args={"schema": schema})
    return Pipeline([("check", check), ("transformer", transformer), ("regressor", model)])


def check_rows(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the columns that the target is predicted from, checked as those of a file of new rows.

    Raises:
        MlflowException: A column is missing, a value is not allowed, or it is missing and the schema doesn't keep gaps.
            MLflow's scoring server answers it with HTTP 400.
    """
    errors = FileErrors("The request", new_rows=True)
    absent = [name for name in schema.inputs if name not in rows]
    if absent:
        errors.add(f"there is no column {', '.join(absent)}. Add it.")
    table = rows.filter(items=schema.inputs).set_axis(pd.RangeIndex(1, len(rows) + 1, name="row"))
    try:
        checked = check_columns(table, schema, errors)
        if not schema.keep_gaps:
            for name in checked:
                gaps = table.index[checked[name].isna()]
                errors.add_lines((row, f"row {row}, column {name}: the value is missing. Add it.") for row in gaps)
        errors.raise_if_any()
    except DataError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from None
    return checked
