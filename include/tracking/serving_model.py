"""The model to serve: from raw rows to predictions, with a check of the rows. It loads without this project's code."""

from __future__ import annotations

import platform
from pathlib import Path

import pandas as pd
import yaml
from mlflow.exceptions import MlflowException
from sklearn.base import RegressorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from include.errors import ConfigurationError, DataError
from include.modeling.file_errors import FileErrors
from include.modeling.rows import check_columns
from include.schema import Schema


def check_python(folder: str) -> None:
    """Raise ConfigurationError if the model in this folder was saved by another Python.

    Functions of this project are pickled with it as bytecode, which ends a process of another Python without a word.
    """
    saved_by = yaml.safe_load(Path(folder, "python_env.yaml").read_text())["python"]
    here = platform.python_version()
    if saved_by.split(".")[:2] != here.split(".")[:2]:
        raise ConfigurationError(
            f"The model was saved by Python {saved_by}, and this is {here}. Train a new one, or use the same Python."
        )


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
    table = rows.filter(items=schema.inputs).set_axis(pd.RangeIndex(1, len(rows) + 1, name="row"))
    absent = ", ".join(name for name in schema.inputs if name not in table)
    if absent:
        errors.add(f"there is no column {absent}. Add it.")
    for name in table:
        if not table[name].map(pd.api.types.is_scalar).all():
            errors.add(f"column {name}: not numbers or text. Send numbers or text.")
    if rows.empty:
        errors.add("there are no rows. Send one or more.")
    try:
        errors.raise_if_any()
        checked = check_columns(table, schema, errors)
        if not schema.keep_gaps:
            for name in checked:
                gaps = table.index[checked[name].isna()]
                errors.add_lines((row, f"row {row}, column {name}: the value is missing. Add it.") for row in gaps)
        errors.raise_if_any()
    except DataError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from None
    return checked
