"""The MLflow run `Scaler`: the data, and the transformer that turns it into features."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import mlflow
import pandas as pd
from airflow.exceptions import AirflowSkipException
from airflow.operators.python import get_current_context
from airflow.utils.types import DagRunType
from mlflow import MlflowClient
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline

from include.modeling.features import scaling
from include.modeling.promotion import recipe
from include.schema import Schema
from include.tracking import logged_models, registry, runs

NAME = "Scaler"


def start(experiment_id: str, lineage: dict[str, str]) -> AbstractContextManager[str]:
    """Start the run; its block gets its id."""
    description = (
        "Turns rows into features: labels one-hot encoded, everything scaled to mean 0 and standard deviation 1. "
        "`scaling.csv` has each feature's mean and standard deviation before scaling."
    )
    return runs.start(experiment_id, NAME, lineage, description)


def skip_if_nothing_is_new(
    registered_model: str, lineage: Mapping[str, str], model: RegressorMixin, features: pd.Index
) -> None:
    """Skip a run that nobody started by hand, if the newest version was trained on the same rows, code and versions.

    Args:
        registered_model: Its name.
        lineage: The tags that the run `Scaler` would get.
        model: The unfitted regressor that would be trained.
        features: The names of the features that it would be trained on.

    Raises:
        AirflowSkipException: There is nothing to train.
    """
    by_itself = get_current_context()["dag_run"].run_type in (DagRunType.SCHEDULED, DagRunType.DATASET_TRIGGERED)
    if by_itself and registry.is_trained_on(registered_model, lineage, recipe(model, features)):
        raise AirflowSkipException("Rows, code and versions are those of the newest model version: nothing to train.")


def log_rows(
    rows: pd.DataFrame, usable: pd.DataFrame, data_file: str, data_version: str | None, schema: Schema, digest: str
) -> None:
    """Log the usable rows as the run's input, and how many of the `rows` in `data_file` these are."""
    source = data_file if "://" in data_file else f"include/{data_file}"
    # MLflow knows a dataset by name and digest, so the name has to tell sources with the same rows apart.
    name = f"usable rows of {data_file}"
    runs.log_frame(usable, source, name, "feature engineering", schema.target, digest)
    mlflow.log_params(
        {
            "data_file": data_file,
            "data_version": data_version or "none",
            "categorical_columns": ", ".join(schema.categorical),
            "numeric_columns": ", ".join(schema.numeric),
            "target": schema.target,
            "rows": len(usable),
            "rows_left_out": len(rows) - len(usable),
            "rows_with_gaps": usable.isna().any(axis="columns").sum(),
        }
    )


def log_transformer(transformer: Pipeline, example: pd.DataFrame) -> None:
    """Log the fitted transformer with the means and scales that it learned. `example` has some raw rows."""
    logged_models.log_model(transformer, logged_models.TRANSFORMER, example)
    learned = scaling(transformer)
    mlflow.log_param("features", ", ".join(learned.index))
    with runs.artifacts() as folder:
        learned.to_csv(folder / "scaling.csv")


def load_transformer(training_run_id: str) -> BaseEstimator:
    """Load the transformer that turned the training data of this training run into features."""
    feature_run_id = MlflowClient().get_run(training_run_id).data.tags["features_run"]
    return logged_models.load_of_run(feature_run_id, logged_models.TRANSFORMER)
