"""The MLflow run of the model: fitted under autolog, evaluated, with its plots."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from sklearn.base import RegressorMixin

from include.modeling import drift, plots
from include.modeling.amounts import with_spread
from include.modeling.evaluation import Evaluation, Plan
from include.modeling.models import coefficients, threads_for
from include.modeling.promotion import recipe
from include.orchestration.datasets import FEATURES
from include.orchestration.upstream import UpstreamRun
from include.schema import Schema
from include.tracking import logged_models, model_card, runs
from include.tracking.serving_model import serving_model

log = logging.getLogger(__name__)
OUT_OF_FOLD_PLOT = "plots/out_of_fold.png"
REFERENCE = "reference/features.parquet"  # a sample of features and target, to compare later ones with
EXAMPLE_ROWS = 5
LINEAGE = "lineage.json"


def origin(run_id: str) -> tuple[str, str]:
    """Return a training run's experiment, and the run of `feature_eng` that its pipeline run began with."""
    run = MlflowClient().get_run(run_id)
    return run.info.experiment_id, run.data.tags["pipeline_run"]


def source_tags(
    source: UpstreamRun,
    model_class: str,
    hyper_parameters: Mapping[str, Any],
    model: RegressorMixin,
    features: pd.Index,
) -> dict[str, str]:
    """Return the tags that lead from the model to its class, its recipe and the features it is trained on."""
    return {
        "model_class": model_class,
        "hyper_parameters": model_card.hyper_parameters(hyper_parameters),
        "recipe": recipe(model, features),
        "features_run": source.output("build_features", key="mlflow_run_id"),
        "dataset_event": f"{FEATURES.uri} by {source.dag_id}, run {source.run_id}",
    }


def start(
    experiment_id: str, name: str, tags: dict[str, str], plan: Plan, schema: Schema
) -> AbstractContextManager[str]:
    """Start the run; its block gets its id."""
    description = (
        f"Predicts the {schema.target_label} ({schema.target_unit}). Evaluated by {plan}. The metrics that "
        f"count are `cv_*`, on {schema.row}s that the model has not seen, compared with `baseline_*`, for always "
        "predicting the mean; `*_std` is their standard deviation over the folds. `training_*` is optimistic "
        f"(in-sample): the model has seen these {schema.row}s."
    )
    return runs.start(experiment_id, name, tags | {"evaluation": str(plan)}, description)


def log_source(feature_df: pd.DataFrame, source: UpstreamRun, target_column: str, digest: str) -> None:
    """Log the features as the run's input, with their place in S3."""
    path = source.frame_reference("build_features").path
    runs.log_frame(feature_df, path, "features", "training", target_column, digest)


def log_lineage(tags: Mapping[str, str], model_id: str) -> None:
    """Log what the model comes from and its address in one file: the tags that the run was started with."""
    mlflow.log_dict({**tags, "model": f"models:/{model_id}"}, LINEAGE)


def fit_with_autolog(model: RegressorMixin, features: pd.DataFrame, target: pd.Series) -> None:
    """Fit the model to all rows; MLflow logs its hyperparameters and its metrics on the training data."""
    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    try:
        with threads_for(len(features)):
            model.fit(features, target)
    finally:
        mlflow.sklearn.autolog(disable=True)
    alpha = getattr(model, "alpha_", None)
    if alpha is not None and np.ndim(alpha) == 0:  # some models have one per row
        mlflow.log_metric("alpha", float(alpha))


def log_model(model: RegressorMixin, feature_df: pd.DataFrame, schema: Schema, seed: int) -> str:
    """Log the fitted model, its coefficients if it has some, and a sample of its data. Return the model's id."""
    example = feature_df.head().drop(columns=schema.target)
    model_id = logged_models.log_model(model, logged_models.MODEL, example)
    weights = coefficients(model, example.columns)
    sample = feature_df.sample(min(len(feature_df), drift.ROWS), random_state=seed)
    with runs.artifacts() as folder:
        (folder / REFERENCE).parent.mkdir()
        sample.to_parquet(folder / REFERENCE)
        if weights is not None:
            (folder / "plots").mkdir()
            weights.to_csv(folder / "coefficients.csv")
            plots.coefficients(weights, schema).savefig(folder / "plots" / "coefficients.png")
    return model_id


def log_serving_model(model: RegressorMixin, source: UpstreamRun, rows: pd.DataFrame, schema: Schema) -> None:
    """Log a model that takes raw rows: the transformer of the feature run, followed by the fitted model.

    The transformer is loaded, not fitted to the same rows again: it is the one that created the features.
    """
    features_run = source.output("build_features", key="mlflow_run_id")
    transformer = logged_models.load_of_run(features_run, logged_models.TRANSFORMER)
    first = rows[schema.inputs].head(1_000)
    example = first.loc[first.isna().sum(axis="columns").nsmallest(EXAMPLE_ROWS).index]
    chained = serving_model(transformer, model, schema)
    logged_models.log_model(chained, logged_models.SERVING_MODEL, example)


def log_evaluation(evaluation: Evaluation, baseline: Evaluation, model_id: str, schema: Schema) -> None:
    """Log the cross-validated errors, the baseline's, the out-of-fold predictions and the importance of each column."""
    mlflow.log_metrics(evaluation.metrics("cv") | baseline.metrics("baseline"), model_id=model_id)
    for name, unit in {"rmse": schema.target_unit, "mae": schema.target_unit, "r2": ""}.items():
        error, of_the_mean = (
            with_spread(of.folds[name].mean(), of.folds[name].std(), unit) for of in (evaluation, baseline)
        )
        log.info("%s %s on %ss not seen (always predicting the mean: %s)", name.upper(), error, schema.row, of_the_mean)
    with runs.artifacts() as folder:
        (folder / OUT_OF_FOLD_PLOT).parent.mkdir()
        evaluation.predictions.to_csv(folder / "out_of_fold_predictions.csv")
        plots.out_of_fold(evaluation, schema).savefig(folder / OUT_OF_FOLD_PLOT)
        if evaluation.importances is not None:
            evaluation.importances.to_csv(folder / "importances.csv")
            plots.importances(evaluation.importances, schema).savefig(folder / "plots" / "importances.png")


def candidate(
    run_id: str, schema: Schema, intended_use: str, limits: str, artifacts_url: str, mlflow_conn_id: str
) -> dict[str, Any]:
    """Return what CreateModelVersionOperator needs to know of a training run.

    `artifacts_url` is where MLflow's server keeps its artifacts, such as `s3://mlflowdatapossums`.

    Returns:
        run_id: The training run.
        source: The model's place in S3: MLflow takes no other for a model that is stored there.
        model_id: The model's id, by which MLflow shows on its page that it is registered.
        tags: In the form of MLflow's REST API: `pipeline_run`, `data_file`, and the addresses of `transformer` and
            `serving_model`, which load with access to MLflow alone, if its server serves the files (see
            `logged_models.served_address`). What else is known of the model is in `lineage.json` of the training run.
        description: The model card.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    feature_run = client.get_run(run.data.tags["features_run"])
    model = logged_models.of_run(run)
    tags = {"pipeline_run": run.data.tags["pipeline_run"], "data_file": feature_run.data.params["data_file"]}
    for logged in (
        logged_models.of_run(run, logged_models.SERVING_MODEL),
        logged_models.of_run(feature_run, logged_models.TRANSFORMER),
    ):
        tags[logged.name] = logged_models.served_address(logged.artifact_location, artifacts_url, mlflow_conn_id)
    return {
        "run_id": run_id,
        "source": model.artifact_location,
        "model_id": model.model_id,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "description": model_card.model_card(
            run.info.run_name, feature_run.data.params, run.data.metrics, run.data.tags, schema, intended_use, limits
        ),
    }


def reference(run_id: str) -> pd.DataFrame:
    """Return the sample of the features and the target that the model of this run was trained on."""
    with TemporaryDirectory() as folder:
        return pd.read_parquet(Path(MlflowClient().download_artifacts(run_id, REFERENCE, folder)))
