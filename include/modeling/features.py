"""Turns rows into features: complete rows only, labels one-hot encoded, everything scaled."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from include import config
from include.schema import Categorical, Column

log = logging.getLogger(__name__)


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Leaves out the rows with a gap: the one rule for training and for predicting.

    Filling the gaps would let each row's features depend on all the others, and the cross-validation could not undo
    that inside its folds as it does with the scaling.
    """
    complete = rows.dropna()
    gaps = ", ".join(f"{name} {count}" for name, count in rows.isna().sum().items() if count)
    where = f" ({gaps})" if gaps else ""
    log.info("%d of %d rows have gaps%s and are left out", len(rows) - len(complete), len(rows), where)
    whole = complete.select_dtypes("Int64").columns  # nullable because of the gaps
    return complete.astype(dict.fromkeys(whole, "int64"))


def make_transformer(columns: Mapping[str, Column] = config.COLUMNS, target: str = config.TARGET) -> Pipeline:
    """An unfitted transformer from raw columns to features with mean 0 and standard deviation 1.

    A label that it hasn't seen when fitted counts as none of the known labels, with a warning.
    """
    labels = [name for name, column in columns.items() if isinstance(column, Categorical)]
    numbers = [name for name in columns if name not in labels and name != target]
    encode = ColumnTransformer(
        [
            ("labels", OneHotEncoder(handle_unknown="warn", sparse_output=False), labels),
            ("numbers", "passthrough", numbers),
        ],
        verbose_feature_names_out=False,
    )
    return Pipeline([("encode", encode), ("scale", StandardScaler())]).set_output(transform="pandas")


def engineer(
    rows: pd.DataFrame, columns: Mapping[str, Column] = config.COLUMNS, target: str = config.TARGET
) -> tuple[pd.DataFrame, Pipeline]:
    """Fits a transformer to complete rows.

    Returns the features, with the target (untouched) as the last column and the rows' index, and the transformer.
    """
    transformer = make_transformer(columns, target)
    features = transformer.fit_transform(rows.drop(columns=target))
    log.info("Made %d features of %d columns: %s", features.shape[1], len(columns) - 1, ", ".join(features))
    return features.assign(**{target: rows[target]}), transformer


def scaling(transformer: Pipeline) -> pd.DataFrame:
    """Each feature's `mean` and `scale` (standard deviation) before scaling, in its own unit; indexed by `feature`."""
    scaler = transformer["scale"]
    names = pd.Index(scaler.get_feature_names_out(), name="feature")
    return pd.DataFrame({"mean": scaler.mean_, "scale": scaler.scale_}, index=names)
