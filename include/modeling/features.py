"""Turns rows into features: complete rows only, labels one-hot encoded, everything scaled."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from include.errors import DataError
from include.schema import WHOLE_NUMBER, Categorical, Schema

log = logging.getLogger(__name__)


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows with a gap: the one rule for training and for predicting.

    Filling the gaps would let each row's features depend on other rows.
    """
    complete = rows.dropna()
    gaps = ", ".join(f"{name} {count}" for name, count in rows.isna().sum().items() if count)
    where = f" ({gaps})" if gaps else ""
    log.info("%d of %d rows have gaps%s and are left out", len(rows) - len(complete), len(rows), where)
    integers = complete.select_dtypes("Int64").columns  # nullable because of the gaps
    return complete.astype(dict.fromkeys(integers, "int64"))


def make_transformer(schema: Schema) -> Pipeline:
    """Create an unfitted transformer from raw columns to features with mean 0 and standard deviation 1.

    A label becomes the feature `<column>_<label>`. Columns that list their labels have a feature for each of these,
    the others for each label seen when fitted. An unknown label counts as none of the known ones, with a warning.
    """
    listed = [name for name in schema.categorical if _listed_labels(schema, name)]
    not_listed = [name for name in schema.categorical if name not in listed]
    categories = [_listed_labels(schema, name) for name in listed]
    encode = ColumnTransformer(
        [
            ("labels", OneHotEncoder(handle_unknown="warn", sparse_output=False), not_listed),
            ("listed", OneHotEncoder(categories=categories, handle_unknown="warn", sparse_output=False), listed),
            ("numbers", "passthrough", schema.numeric),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("encode", encode), ("scale", StandardScaler())]).set_output(transform="pandas")


def engineer(rows: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, Pipeline]:
    """Fit a transformer to complete rows.

    Returns:
        The features, with the target (unchanged) as the last column and the rows' index, and the fitted transformer.

    Raises:
        DataError: Two features, or a feature and the target, would have the same name.
    """
    _check_feature_names(rows, schema)
    transformer = make_transformer(schema)
    features = transformer.fit_transform(rows[schema.inputs])
    log.info("Created %d features from %d columns: %s", features.shape[1], len(schema.inputs), ", ".join(features))
    features[schema.target] = rows[schema.target]
    return features, transformer


def transform(transformer: Pipeline, rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Turn complete rows into features with a fitted transformer.

    A label that it has not seen counts as none of the known ones, with one warning for each such label.
    """
    for column, labels in _known_labels(transformer).items():
        unknown = rows[column][~rows[column].isin(labels)]
        for label, count in unknown.value_counts().items():
            log.warning("Column %s: the model has not seen the label %r (%d rows)", column, label, count)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
        return transformer.transform(rows[schema.inputs])


def scaling(transformer: Pipeline) -> pd.DataFrame:
    """Return each feature's `mean` and `scale` (standard deviation) before scaling, in its unit; index `feature`."""
    scaler = transformer["scale"]
    names = pd.Index(scaler.get_feature_names_out(), name="feature")
    return pd.DataFrame({"mean": scaler.mean_, "scale": scaler.scale_}, index=names)


def _known_labels(transformer: Pipeline) -> dict[str, list[str] | list[int]]:
    """Return the labels that a fitted transformer has features for, by column."""
    encoders = transformer["encode"].named_transformers_
    known: dict[str, list[str] | list[int]] = {}
    for name in ("labels", "listed"):
        encoder = encoders[name]
        if isinstance(encoder, OneHotEncoder) and hasattr(encoder, "categories_"):
            known |= dict(zip(encoder.feature_names_in_, (list(each) for each in encoder.categories_), strict=True))
    return known


def _listed_labels(schema: Schema, name: str) -> list[str] | list[int]:
    """Return the labels that the column lists, typed as `rows.read_rows` types them; empty if it lists none."""
    column = schema.columns[name]
    labels = column.values if isinstance(column, Categorical) else ()
    if all(re.fullmatch(WHOLE_NUMBER, label) for label in labels):
        return sorted(int(label) for label in labels)
    return list(labels)


def _check_feature_names(rows: pd.DataFrame, schema: Schema) -> None:
    taken_by = {schema.target: "the target"}
    for feature, origin in _feature_names(rows, schema):
        if feature in taken_by:
            raise DataError(
                f"The name {feature!r} would stand for two things: {taken_by[feature]}, and the feature from {origin}. "
                "Rename one of the columns, in the file and in COLUMNS of include/config.py."
            )
        taken_by[feature] = f"the feature from {origin}"


def _feature_names(rows: pd.DataFrame, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the name of each feature, and where it comes from."""
    for name in schema.categorical:
        for label in _listed_labels(schema, name) or rows[name].unique():
            yield f"{name}_{label}", f"the label {str(label)!r} of the column {name!r}"
    for name in schema.numeric:
        yield name, f"the column {name!r}"
