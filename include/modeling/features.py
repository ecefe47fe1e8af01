"""Turns rows into features: labels one-hot encoded, everything scaled. Says which rows a model is given."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence

import pandas as pd
from pandas.api.types import is_float_dtype
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from include.errors import DataError
from include.modeling.amounts import are_many
from include.schema import WHOLE_NUMBER, Categorical, Schema

log = logging.getLogger(__name__)
KEEP_GAPS = (
    'Fill the gaps or, to use such rows as they are, set ROWS_WITH_GAPS = "keep" in include/config.py and '
    "MODEL_CLASS to a regressor that takes gaps, such as sklearn.ensemble.HistGradientBoostingRegressor, and train it."
)


def usable_rows(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the rows that a model can take: the one rule for training, for new rows and for serving.

    Args:
        rows: What `rows.read_rows` returns, with or without the target.
        schema: What the rows look like. If it keeps gaps, only rows whose target is missing are left out, and labels
            that are whole numbers are float64, with or without gaps. Otherwise see `complete_rows`.
    """
    if not schema.keep_gaps:
        return complete_rows(rows)
    known = rows.dropna(subset=[schema.target]) if schema.target in rows else rows
    if len(known) < len(rows):
        log.info("%d of %d rows have no %s and are left out", len(rows) - len(known), len(rows), schema.target)
    return known.astype(dict.fromkeys(known.select_dtypes("Int64").columns, "float64"))


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
    integers = complete.select_dtypes("Int64").columns  # nullable because of the gaps
    return complete.astype(dict.fromkeys(integers, "int64"))


def make_transformer(schema: Schema, rows: pd.DataFrame) -> Pipeline:
    """Create an unfitted transformer from raw columns to features with mean 0 and standard deviation 1.

    A label becomes the feature `<column>_<label>`. Columns that list their labels have a feature for each of these,
    the others for each label seen when fitted. An unknown label counts as none of the known ones, with a warning;
    without one if the schema keeps gaps, since scikit-learn would warn of each gap, too.

    Args:
        schema: What the rows look like.
        rows: The rows that it will be fitted to. If the schema keeps gaps, a missing number stays missing, and a
            missing label counts as none of the known ones, which are then those of these rows.
    """
    known = {name: listed_labels(schema, name) for name in schema.categorical}
    if schema.keep_gaps:  # an encoder that looks for labels itself would take a gap for one
        known = {name: labels or _labels_in(rows[name]) for name, labels in known.items()}
    listed = [name for name in known if known[name]]
    not_listed = [name for name in known if not known[name]]
    categories = [known[name] for name in listed]
    unknown = "ignore" if schema.keep_gaps else "warn"
    options = {"handle_unknown": unknown, "sparse_output": False, "feature_name_combiner": feature_name}
    encode = ColumnTransformer(
        [
            ("labels", OneHotEncoder(**options), not_listed),
            ("listed", OneHotEncoder(categories=categories, **options), listed),
            ("numbers", "passthrough", schema.numeric),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("encode", encode), ("scale", StandardScaler())]).set_output(transform="pandas")


def feature_name(column: str, label: object) -> str:
    """Return the name of the feature for a label: `site_3`, not `site_3.0`, where gaps made 3 a float."""
    return f"{column}_{label:.0f}" if isinstance(label, float) else f"{column}_{label}"


def engineer(rows: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, Pipeline]:
    """Fit a transformer to rows: what `usable_rows` returns.

    Returns:
        The features, with the target (unchanged) as the last column and the rows' index, and the fitted transformer.

    Raises:
        DataError: Two features, or a feature and the target, would have the same name.
    """
    _check_feature_names(rows, schema)
    transformer = make_transformer(schema, rows)
    features = transformer.fit_transform(rows[schema.inputs])
    log.info("Created %d features from %d columns: %s", features.shape[1], len(schema.inputs), ", ".join(features))
    features[schema.target] = rows[schema.target]
    return features, transformer


def transform(transformer: Pipeline, rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Turn complete rows into features with a fitted transformer.

    A label that it has not seen counts as none of the known ones, with one warning for each such label.

    Raises:
        DataError: The transformer takes a column that the schema doesn't have.
    """
    if gone := set(transformer.feature_names_in_).difference(schema.inputs):
        raise DataError(
            f"This model takes the columns {', '.join(sorted(gone))}, which are not in COLUMNS of include/config.py. "
            "Choose another version on the form, such as Staging for the newest, or put the columns back."
        )
    rows = rows[schema.inputs].copy()
    for column, labels in known_labels(transformer).items():
        rows[column] = typed_like(labels, rows[column])
        unknown = rows[column][~rows[column].isin(labels)]
        for label, count in unknown.value_counts().items():
            log.warning("Column %s: the model has not seen the label %r (%d rows)", column, label, count)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found unknown categories", UserWarning)
        return transformer.transform(rows)


def keeps_gaps(transformer: Pipeline) -> bool:
    """Return whether a fitted transformer was made for rows with gaps, whatever the schema says by now."""
    _, encoder, _ = transformer["encode"].transformers[0]
    return bool(encoder.handle_unknown == "ignore")


def scaling(transformer: Pipeline) -> pd.DataFrame:
    """Return each feature's `mean` and `scale` (standard deviation) before scaling, in its unit; index `feature`."""
    scaler = transformer["scale"]
    names = pd.Index(scaler.get_feature_names_out(), name="feature")
    return pd.DataFrame({"mean": scaler.mean_, "scale": scaler.scale_}, index=names)


def known_labels(transformer: Pipeline) -> dict[str, list[str] | list[int]]:
    """Return the labels that a fitted transformer has features for, by column."""
    encoders = transformer["encode"].named_transformers_
    known: dict[str, list[str] | list[int]] = {}
    for name in ("labels", "listed"):
        encoder = encoders[name]
        if isinstance(encoder, OneHotEncoder) and hasattr(encoder, "categories_"):
            known |= dict(zip(encoder.feature_names_in_, (list(each) for each in encoder.categories_), strict=True))
    return known


def typed_like(known: Sequence[str] | Sequence[int], values: pd.Series) -> pd.Series:
    """Return labels as text or numbers, like the known ones: labels from elsewhere may be of the other type."""
    are_text = all(isinstance(label, str) for label in known)
    if pd.api.types.is_numeric_dtype(values) and not are_text:
        return values
    by_text = {_without_decimals(label): label for label in known} | {str(label): label for label in known}
    labels = {}
    for value in values.dropna().unique():
        text = _without_decimals(value)
        labels[value] = by_text.get(str(value), by_text.get(text, text if are_text else value))
    mapped = values.map(labels)
    return mapped.astype(object) if are_text else mapped


def _without_decimals(label: object) -> str:
    """Return a label as text, where 3.0 is 3: pandas and spreadsheets write whole numbers with decimals, too."""
    return re.sub(rf"^({WHOLE_NUMBER})\.0+$", r"\1", str(label))


def listed_labels(schema: Schema, name: str) -> list[str] | list[int]:
    """Return the labels that the column lists, typed as `rows.read_rows` types them; empty if it lists none."""
    column = schema.columns[name]
    labels = column.values if isinstance(column, Categorical) else ()
    if all(re.fullmatch(WHOLE_NUMBER, label) for label in labels):
        return sorted(int(label) for label in labels)
    return list(labels)


def _labels_in(values: pd.Series) -> list[str] | list[int]:
    """Return the labels of a column, sorted, without gaps."""
    labels = values.dropna()
    if is_float_dtype(labels):
        labels = labels.astype("int64")
    return sorted(labels.unique())


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
        for label in listed_labels(schema, name) or _labels_in(rows[name]):
            yield f"{name}_{label}", f"the label {str(label)!r} of the column {name!r}"
    for name in schema.numeric:
        yield name, f"the column {name!r}"
