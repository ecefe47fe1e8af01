"""The model to serve: from raw rows to predictions, with a check of the rows. It loads without this project's code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from mlflow.exceptions import MlflowException
from sklearn.base import RegressorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from include.modeling.features import known_labels, listed_labels, typed_like
from include.modeling.rows import TOO_LARGE
from include.schema import Numeric, Schema

MESSAGES = 10  # of what is wrong with the rows of one request


def serving_model(transformer: Pipeline, model: RegressorMixin, schema: Schema) -> Pipeline:
    """Chain a check of raw rows, the fitted transformer and the fitted model."""
    bounds = {name: (column.low, column.high) for name, column in schema.columns.items() if isinstance(column, Numeric)}
    rules = {
        "bounds": {name: bounds[name] for name in schema.numeric},
        "labels": known_labels(transformer),
        "listed": [name for name in schema.categorical if listed_labels(schema, name)],
        "keep_gaps": schema.keep_gaps,
    }
    check = FunctionTransformer(check_rows, kw_args=rules)
    return Pipeline([("check", check), ("transformer", transformer), ("regressor", model)])


def check_rows(
    rows: pd.DataFrame,
    bounds: Mapping[str, tuple[float, float]],
    labels: Mapping[str, Sequence[str] | Sequence[int]],
    listed: Sequence[str],
    keep_gaps: bool,
) -> pd.DataFrame:
    """Return the rows with labels that are text or numbers, as those that the model knows.

    Args:
        rows: The rows to predict for.
        bounds: The lowest and the highest value of each numeric column.
        labels: The labels of each categorical column that the model knows.
        listed: The columns of these that may have no others.
        keep_gaps: Whether values may be missing.

    Raises:
        MlflowException: A column or a value is missing, or a value is not allowed, as in a file that is read for
            training. MLflow's scoring server answers it with HTTP 400.
    """
    absent = [name for name in [*bounds, *labels] if name not in rows]
    if absent:
        raise MlflowException.invalid_parameter_value(f"There is no column {', '.join(absent)}. Add it.")
    rows = rows.assign(**{name: typed_like(known, rows[name]) for name, known in labels.items()})
    found: list[tuple[int, str]] = []
    for name in [*bounds, *labels]:
        values = rows[name].reset_index(drop=True)
        wrong = {}
        if name in bounds:
            low, high = bounds[name]
            numbers = pd.to_numeric(values, errors="coerce")
            text, too_large = numbers.isna() & values.notna(), numbers.abs() > TOO_LARGE
            outside = ~numbers.between(low, high) & numbers.notna() & ~too_large
            wrong = {"is not a number": text, "is infinite or too large": too_large}
            wrong[f"is not between {low:g} and {high:g}"] = outside
        elif name in listed:
            wrong[f"is none of {', '.join(map(str, labels[name]))}"] = ~values.isin(labels[name]) & values.notna()
        for what, where in wrong.items():
            found += [(row, f"column {name}: {value!r} {what}") for row, value in values[where].items()]
        if not keep_gaps:
            found += [(row, f"column {name}: the value is missing") for row in values.index[values.isna()]]
    if found:
        messages = [f"row {row + 1}, {message}" for row, message in sorted(found)]
        more = f" (and {len(messages) - MESSAGES} more)" if len(messages) > MESSAGES else ""
        raise MlflowException.invalid_parameter_value(f"{'; '.join(messages[:MESSAGES])}{more}. Correct the rows.")
    return rows
