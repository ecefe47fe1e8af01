"""Turns rows into features: labels one-hot encoded, everything scaled. Says which rows a model is given."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from include.errors import DataError
from include.modeling.amounts import are_many
from include.modeling.labels import text_labels
from include.schema import Categorical, Schema

log = logging.getLogger(__name__)
LABELS_NAMED = 10  # in a warning
KEEP_GAPS = (
    'Fill the gaps or, to use such rows as they are, set ROWS_WITH_GAPS = "keep" in include/config.py and '
    "MODEL_CLASS to a regressor that takes gaps, such as sklearn.ensemble.HistGradientBoostingRegressor, and train it."
)


def usable_rows(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the rows that a model can take: the one rule for training and for new rows.

    Args:
        rows: What `rows.read_rows` returns, with or without the target.
        schema: What the rows look like. If it keeps gaps, only rows whose target is missing are left out. Otherwise see
            `complete_rows`.
    """
    if not schema.keep_gaps:
        return complete_rows(rows)
    known = rows.dropna(subset=[schema.target]) if schema.target in rows else rows
    if len(known) < len(rows):
        log.info("%d of %d rows have no %s and are left out", len(rows) - len(known), len(rows), schema.target)
    return known


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows with a gap. Filling the gaps would let each row's features depend on other rows."""
    complete = rows.dropna()
    left_out = len(rows) - len(complete)
    if left_out:
        counts = rows.isna().sum().sort_values(ascending=False, kind="stable")
        gaps = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        many = are_many(left_out, len(rows))
        cure = f". {KEEP_GAPS}" if many else ""
        level = logging.WARNING if many else logging.INFO
        log.log(level, "%d of %d rows have gaps (%s) and are left out%s", left_out, len(rows), gaps, cure)
    return complete


def make_transformer(schema: Schema, rows: pd.DataFrame) -> Pipeline:
    """Create an unfitted transformer from raw columns to features with mean 0 and standard deviation 1.

    A label, which has to be text, becomes the feature `<column>_<label>`. Columns that list their labels have a feature
    for each of these, the others for each label seen when fitted. An unknown label counts as none of the known ones,
    with a warning; without one if the schema keeps gaps, since scikit-learn would warn of each gap, too.

    Args:
        schema: What the rows look like.
        rows: The rows that it will be fitted to. If the schema keeps gaps, a missing number stays missing, and a
            missing label counts as none of the known ones, which are then those of these rows.
    """
    known = {name: _listed(schema, name) for name in schema.categorical}
    if schema.keep_gaps:  # an encoder that looks for labels itself would take a gap for one
        known = {name: labels or _labels_in(rows[name]) for name, labels in known.items()}
    unlisted = [name for name in known if not known[name]]
    listed = [name for name in known if known[name]]
    unknown = "ignore" if schema.keep_gaps else "warn"
    groups = [("unlisted", unlisted, "auto"), ("listed", listed, [known[name] for name in listed])]
    encoders = [
        (group, OneHotEncoder(categories=categories, handle_unknown=unknown, sparse_output=False), columns)
        for group, columns, categories in groups
        if columns
    ]
    encode = ColumnTransformer([*encoders, ("numbers", "passthrough", schema.numeric)], verbose_feature_names_out=False)
    return Pipeline([("encode", encode), ("scale", StandardScaler())]).set_output(transform="pandas")


def with_text_labels(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the rows with their labels as text, as `rows.read_rows` reads them."""
    return rows.assign(**{name: text_labels(rows[name]) for name in schema.categorical})


def engineer(rows: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, Pipeline]:
    """Fit a transformer to rows: what `usable_rows` returns.

    Returns:
        The features, with the target (unchanged) as the last column and the rows' index, and the fitted transformer,
        which takes labels that are numbers, too.

    Raises:
        DataError: Two features, or a feature and the target, would have the same name.
    """
    _check_feature_names(rows, schema)
    text = FunctionTransformer(with_text_labels, kw_args={"schema": schema})
    transformer = Pipeline([("labels", text), *make_transformer(schema, rows).steps]).set_output(transform="pandas")
    features = transformer.fit_transform(rows[schema.inputs])
    log.info("Created %d features from %d columns: %s", features.shape[1], len(schema.inputs), ", ".join(features))
    features[schema.target] = rows[schema.target]
    return features, transformer


def transform(transformer: Pipeline, rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Turn new rows into features with a fitted transformer. Rows that its model can't take are left out.

    A label that it has not seen counts as none of the known ones, with one warning for each column.

    Raises:
        DataError: No row can be predicted, or the transformer takes a column that the schema doesn't have, or has with
            another type.
    """
    if "labels" not in transformer.named_steps:
        raise DataError(
            "This model is from an earlier version of this project. Trigger feature_eng, then choose Staging on the "
            "form: the new version."
        )
    trained_on: Schema = transformer["labels"].kw_args["schema"]  # whatever include/config.py says by now
    gone = set(trained_on.categorical).difference(schema.categorical)
    gone |= set(trained_on.numeric).difference(schema.numeric)
    if gone:
        raise DataError(
            f"This model takes the columns {', '.join(sorted(gone))}, which COLUMNS in include/config.py does not "
            "have, or has with another type. Choose another version on the form, such as Staging for the newest, or "
            "change the columns back."
        )
    usable = usable_rows(rows[trained_on.inputs], trained_on)
    if usable.empty:
        raise DataError(f"None of the {len(rows)} rows is without gaps, so this model can predict none. Fill the gaps.")
    for encoder in transformer["encode"].named_transformers_.values():
        if isinstance(encoder, OneHotEncoder):
            for column, known in zip(encoder.feature_names_in_, encoder.categories_, strict=True):
                _warn_of_unknown_labels(usable[column][~usable[column].isin(known)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
        return transformer.transform(usable)


def _warn_of_unknown_labels(unknown: pd.Series) -> None:
    counts = unknown.value_counts()
    named = [f"{label!r} ({count} rows)" for label, count in counts.head(LABELS_NAMED).items()]
    if len(counts) > LABELS_NAMED:
        named.append(f"and {len(counts) - LABELS_NAMED:,} more labels")
    if named:
        log.warning("Column %s: the model has not seen %s", unknown.name, ", ".join(named))


def scaling(transformer: Pipeline) -> pd.DataFrame:
    """Return each feature's `mean` and `scale` (standard deviation) before scaling, in its unit; index `feature`."""
    scaler = transformer["scale"]
    names = pd.Index(scaler.get_feature_names_out(), name="feature")
    return pd.DataFrame({"mean": scaler.mean_, "scale": scaler.scale_}, index=names)


def _listed(schema: Schema, name: str) -> list[str]:
    column = schema.columns[name]
    return list(column.values) if isinstance(column, Categorical) else []


def _labels_in(values: pd.Series) -> list[str]:
    return sorted(values.dropna().unique())


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
        for label in _listed(schema, name) or _labels_in(rows[name]):
            yield f"{name}_{label}", f"the label {label!r} of the column {name!r}"
    for name in schema.numeric:
        yield name, f"the column {name!r}"
