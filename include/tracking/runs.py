"""The three runs that one pass through the pipeline leaves in MLflow: features, training, predictions."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.sklearn
import numpy as np
import pandas as pd
from airflow.operators.python import get_current_context
from sklearn.pipeline import Pipeline

from include import config
from include.modeling import drift, evaluation, plots
from include.modeling.features import scaling
from include.modeling.models import coefficients, make_model
from include.modeling.promotion import recipe
from include.orchestration import upstream as handover
from include.schema import Categorical
from include.tracking.lineage import (
    artifacts,
    described,
    digest,
    finished_run,
    in_mlflow,
    lineage_tags,
    log_data,
    log_sklearn,
    metric_name,
)
from include.tracking.registry import model_version

log = logging.getLogger(__name__)
MODEL, TRANSFORMER = "model", "transformer"  # the names of the logged models
OUT_OF_FOLD_PLOT = "plots/out_of_fold.png"
REFERENCE = "reference/features.parquet"  # features that the model was trained on, to compare later ones with
REFERENCE_ROWS = 10_000


@in_mlflow
def track_features(experiment_id: str, rows: pd.DataFrame, transformer: Pipeline, left_out: int) -> str:
    """Logs the fitted transformer, the means and scales it has learnt, its data (`rows`) and how many rows of the file
    were left out. Returns the run's id.
    """
    context = get_current_context()
    lineage = lineage_tags(context["run_id"], digest(rows))
    if earlier := finished_run(experiment_id, lineage):
        return earlier.info.run_id
    raw = rows.drop(columns=config.TARGET)
    labels = [name for name in raw.columns if isinstance(config.COLUMNS[name], Categorical)]
    learnt = scaling(transformer)
    with mlflow.start_run(
        experiment_id=experiment_id,
        run_name="Scaler",
        tags=lineage,
        description=described(
            "Turns rows into features: labels one-hot encoded, all scaled to mean 0 and standard deviation 1. "
            "The metrics `mean_*` and `scale_*` (standard deviation) are those of the features before.",
            lineage,
        ),
    ) as run:
        data_file = context["params"]["data_file"]
        log_data(rows, f"include/{data_file}", "complete rows", "feature engineering")
        mlflow.log_params(
            {
                "data_file": data_file,
                "categorical_columns": ", ".join(labels),
                "numeric_columns": ", ".join(raw.columns.drop(labels)),
                "features": ", ".join(learnt.index),
                "target": config.TARGET,
                "rows": len(rows),
                "rows_left_out": left_out,
            }
        )
        log_sklearn(transformer, TRANSFORMER, raw.head())
        mlflow.log_metrics(
            {
                f"{quantity}_{metric_name(feature)}": value
                for quantity, values in learnt.items()
                for feature, value in values.items()
            }
        )
        with artifacts() as folder:
            learnt.to_csv(folder / "scaling.csv")
    return run.info.run_id


@in_mlflow
def track_training(
    experiment_id: str,
    data: pd.DataFrame,
    target_column: str,
    model_class: str,
    hyper_parameters: Mapping[str, Any],
    run_name: str,
) -> str:
    """Evaluates a model by cross-validation, fits it to all rows of `data`, and logs both. Returns the run's id."""
    model = make_model(model_class, hyper_parameters)
    origin = handover.features_run()
    lineage = lineage_tags(origin.run_id, digest(data, target_column, model_class, dict(hyper_parameters)))
    if earlier := finished_run(experiment_id, lineage):
        return earlier.info.run_id
    features, target = data.drop(columns=target_column), data[target_column]
    judged, mean = evaluation.cross_validate(model, features, target), evaluation.baseline(features, target)
    scores = judged.metrics("cv") | mean.metrics("baseline")
    log.info("%s: %s", judged.plan, ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    with mlflow.start_run(
        experiment_id=experiment_id,
        run_name=run_name,
        tags=lineage
        | {
            "model_class": model_class,
            "recipe": recipe(model, features.columns),
            "features_run": origin.output("build_features", key="mlflow_run_id"),
            "dataset_event": f"{config.FEATURES_DATASET} by feature_eng, run {origin.run_id}",
            "evaluation": str(judged.plan),
        },
        description=described(
            f"Predicts the {config.TARGET_LABEL} ({config.TARGET_UNIT}). Judged by {judged.plan}. What counts are the "
            f"metrics `cv_*`, on {config.ROW}s that it has not seen, beside `baseline_*`, for always saying the mean; "
            f"`*_std` is their spread over the folds. `training_*` flatters: it has seen these {config.ROW}s.",
            lineage,
        ),
    ) as run:
        log_data(data, origin.frame_reference("build_features").path, "features", "training", target_column)
        mlflow.sklearn.autolog(log_models=False, log_datasets=False)
        try:
            model.fit(features, target)
        finally:
            mlflow.sklearn.autolog(disable=True)
        model_id = log_sklearn(model, MODEL, features.head())
        mlflow.log_metrics(scores, model_id=model_id)
        alpha = getattr(model, "alpha_", None)
        if alpha is not None and np.ndim(alpha) == 0:  # a GaussianProcessRegressor's is something else, per row
            mlflow.log_metric("alpha", float(alpha))
        with artifacts() as folder:
            for file in (OUT_OF_FOLD_PLOT, REFERENCE):
                (folder / file).parent.mkdir()
            judged.predictions.to_csv(folder / "out_of_fold_predictions.csv")
            plots.out_of_fold(judged).savefig(folder / OUT_OF_FOLD_PLOT)
            if (weights := coefficients(model, features.columns)) is not None:
                weights.to_csv(folder / "coefficients.csv")
                plots.coefficients(weights).savefig(folder / "plots" / "coefficients.png")
            sample = features.sample(min(len(features), REFERENCE_ROWS), random_state=config.SEED)
            sample.to_parquet(folder / REFERENCE)
    return run.info.run_id


@in_mlflow
def track_predictions(run_id: str, predictions: pd.DataFrame, features: pd.DataFrame) -> str:
    """Logs what predicted, how far off it was, and how the features compare with those it was trained on.

    `run_id` is the training run, `predictions` has the columns `true` and `predicted`. Returns the new run's id.
    """
    client = mlflow.MlflowClient()
    trained = client.get_run(run_id)
    version = model_version(run_id, config.REGISTERED_MODEL)
    model = f"{version.name}, version {version.version}"
    predictions = predictions.set_index(predictions.columns[0])
    lineage = lineage_tags(trained.data.tags["pipeline_run"], digest(predictions, model))
    if earlier := finished_run(trained.info.experiment_id, lineage):
        return earlier.info.run_id
    with TemporaryDirectory() as folder:
        reference = pd.read_parquet(client.download_artifacts(run_id, REFERENCE, folder))
    compared = drift.compare(reference, features)
    if (moved := compared.index[compared["drifted"]]).size:
        log.warning("Distributed differently from the training data: %s", ", ".join(moved))
    else:
        log.info("None of %d features is distributed differently from the training data", len(compared))
    found = evaluation.errors(predictions["true"], predictions["predicted"])
    aliases = ", ".join(version.aliases) or "none"
    log.info(
        "Predicted with %s (alias %s), run %s; RMSE %.3f %s on the rows that it was trained on",
        *(model, aliases, run_id, found["rmse"], config.TARGET_UNIT),
    )
    with mlflow.start_run(
        experiment_id=trained.info.experiment_id,
        run_name="Predictions",
        tags=lineage
        | {
            "model_name": version.name,
            "model_version": version.version,
            "model_aliases": aliases,
            "training_run": run_id,
        },
        description=described(
            f"Predictions by {model}, for {config.ROW}s that were in its training data: `in_sample_*` flatters. "
            f"{len(moved)} of {len(compared)} features have drifted from the training data.",
            lineage,
        ),
    ) as run:
        mlflow.log_metrics({f"in_sample_{name}": value for name, value in found.items()})
        mlflow.log_metrics(
            {"drifted_features": int(compared["drifted"].sum()), "drift_max": compared["statistic"].max()}
        )
        with artifacts() as folder:
            compared.to_csv(folder / "drift.csv")
    return run.info.run_id


@in_mlflow
def track_plot(run_id: str, predictions: pd.DataFrame) -> str:
    """Draws the predictions, for the run of the model and for `include/plots/`, and puts the honest plot beside it.

    A folder that can't be written is no reason to fail: what counts is in MLflow.
    """
    client = mlflow.MlflowClient()
    version = model_version(run_id, config.REGISTERED_MODEL)
    figure = plots.predictions(
        predictions.set_index(predictions.columns[0]), f"{version.name}, version {version.version}"
    )
    with TemporaryDirectory() as folder:
        figure.savefig(drawn := Path(folder, config.PLOT_FILE))
        client.log_artifact(run_id, str(drawn), "plots")
        honest = client.download_artifacts(run_id, OUT_OF_FOLD_PLOT, folder)
        try:
            config.PLOTS.mkdir(parents=True, exist_ok=True)
            for plot in (drawn, Path(honest)):
                shutil.copy(plot, partial := config.PLOTS / f".{Path(folder).name}-{plot.name}")
                partial.replace(config.PLOTS / plot.name)
            log.info("Drew %s", config.PLOTS / config.PLOT_FILE)
        except OSError as error:  # no right to write there, read-only, full
            log.warning(
                "The plot is in MLflow only, since %s. To have it on disk, too: chmod a+rwx include/plots", error
            )
    return run_id
