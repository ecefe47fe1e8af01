"""
### Prediction

Runs when `train` has updated its Dataset, and predicts with exactly that model for the {ROW}s that it was trained on.
Triggered by hand with a `data_file`, it predicts for new {ROW}s, with the `model` that the form names.

```
the model, and the features that it was trained on; or new rows
 |
 |  compare_with_training  logs whether the features have drifted
 |  run_prediction         predicts, in a virtual environment with just the model's own requirements
 |  plot_predictions       draws predicted and true values, and logs the errors
 |
 +-> S3                    the predictions: s3://{DATA_BUCKET}/{PREDICTIONS_FILE},
 |                         of new.csv s3://{DATA_BUCKET}/predictions/new.csv
 +-> MLflow                a run named Predictions; the plot, in the model's run or, of new rows, in this one
 +-> disk                  the plot, include/plots/{PLOT_FILE} (not of new rows)
```

Which model is which: the stage {STAGE} has the newest version, the alias champion the best. A run that `train` has
triggered shows the newest; new rows are predicted by the champion, if the form names no other.
Started by hand without a data file, it takes the newest training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.decorators import dag, task
from airflow.operators.python import get_current_context
from astro import sql as aql

from include import config
from include.modeling.rows import read_rows
from include.operators.csv_file import CSVFile
from include.operators.links import ObjectLink, RunLink, VersionLink, linked
from include.operators.prediction import ModelLoadAndPredictOperator
from include.orchestration import defaults, sources, upstream
from include.orchestration.datasets import MODEL
from include.tracking.session import mlflow_task, task_boundary

if TYPE_CHECKING:
    import pandas as pd

# Tasks import what they need when they run: Airflow reads this file every few seconds, and pandas, scikit-learn and
# MLflow take seconds to import.


@aql.dataframe
@task_boundary
def fetch_rows() -> pd.DataFrame | None:
    """Read the new rows; None without a data file."""
    context = get_current_context()
    params = defaults.run_params(context)
    data_file, model = params["data_file"], params["model"]
    if not data_file:
        defaults.reject_model_without_data_file(model)
        return None
    file = sources.read_data_file(data_file)
    new_rows = {"data_file": data_file, "file_digest": file.digest, "model_requested": model}
    context["ti"].xcom_push("new_rows", new_rows)
    return read_rows(file, config.SCHEMA, new_rows=True)


@task
@mlflow_task
def fetch_model_run_id() -> str:
    """Return the training run of the model: that of the upstream run or, for new rows, of the version on the form."""
    from include.tracking import registry

    params = get_current_context()["params"]
    if not params["data_file"]:
        return upstream.train_run().output("train_model", key="run_id")
    return str(registry.find_version(config.REGISTERED_MODEL, params["model"]).run_id)


@aql.dataframe
@mlflow_task
def fetch_feature_df_no_target(rows: pd.DataFrame | None, model_run_id: str) -> pd.DataFrame:
    from include.modeling import features
    from include.tracking import feature_run

    if rows is None:
        return upstream.train_run().frame("fetch_feature_df").drop(columns=config.TARGET)
    return features.transform(feature_run.load_transformer(model_run_id), rows, config.SCHEMA)


@aql.dataframe
@task_boundary
def fetch_target(rows: pd.DataFrame | None) -> pd.DataFrame:
    if rows is None:
        return upstream.train_run().frame("fetch_feature_df", columns=[config.TARGET])
    return rows.reindex(columns=[config.TARGET])


@task
@mlflow_task
def add_line_to_file(model_run_id: str) -> list[str]:
    from mlflow import MlflowClient

    from include.tracking import logged_models, requirements

    location = logged_models.of_run(MlflowClient().get_run(model_run_id)).artifact_location
    return requirements.add_to_requirements(location, config.PREDICTION_PACKAGES, config.AWS_CONNECTION)


@mlflow_task
def link_version(context: Any, result: object = None) -> None:  # noqa: ARG001
    """Let the button of `run_prediction` lead to the version that predicted."""
    from include.tracking import pages, registry

    version = registry.model_version(context["ti"].xcom_pull("fetch_model_run_id"), config.REGISTERED_MODEL)
    pages.link_version(context["ti"], version.name, version.version)


@aql.dataframe
@task_boundary
def list_to_dataframe(predictions: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    from include.modeling import evaluation

    return evaluation.match_predictions(predictions, target).reset_index()


@task
@mlflow_task
def compare_with_training(features: pd.DataFrame, model_run_id: str) -> str:
    """Return the MLflow run `Predictions`."""
    from include.modeling import drift
    from include.tracking import prediction_run, registry, runs, training_run

    context = get_current_context()
    new_rows = context["ti"].xcom_pull("fetch_rows", key="new_rows") or {}
    version = registry.model_version(model_run_id, config.REGISTERED_MODEL)
    experiment_id, trained_in = training_run.origin(model_run_id)
    pipeline_run = context["run_id"] if new_rows else trained_in
    lineage = runs.lineage(pipeline_run, features, version.name, version.version, new_rows)
    reference = training_run.reference(model_run_id)[features.columns]
    drifted = drift.compare(reference, features, config.SEED)
    run_id = runs.find_finished(experiment_id, lineage)
    if not run_id:
        with prediction_run.start(experiment_id, lineage, version, new_rows, config.SCHEMA) as run_id:
            prediction_run.log_drift(drifted, reference, features)
    if config.FAIL_ON_DRIFT:
        drift.raise_if_drifted(drifted)
    return run_id


@task
@mlflow_task
def plot_predictions(predictions: pd.DataFrame, model_run_id: str, run_id: str) -> None:
    from include.modeling import plots
    from include.tracking import prediction_run, registry, training_run

    new_rows = bool(get_current_context()["params"]["data_file"])
    version = registry.model_version(model_run_id, config.REGISTERED_MODEL)
    model = f"{version.name}, version {version.version}"
    by_row = predictions.set_index(predictions.columns[0])
    prediction_run.log_errors(run_id, by_row, "" if new_rows else "in_sample_", config.TARGET_UNIT)
    if new_rows:
        training_target = training_run.reference(model_run_id)[config.TARGET]
        figure = plots.new_predictions(by_row, model, config.SCHEMA, training_target)
        prediction_run.log_new_rows_plot(figure, run_id)
    else:
        figure = plots.predictions(by_row, model, config.SCHEMA, config.PICTURE)
        prediction_run.log_plot(figure, config.PLOT_FILE, model_run_id, config.PLOTS)


@dag(
    schedule=[MODEL],
    doc_md=__doc__.format_map(vars(config)),
    params={"data_file": defaults.new_data_file(), "model": defaults.model()},
    user_defined_macros={"predictions_key": sources.predictions_key},
    **defaults.DAG_DEFAULTS,
)
def predict() -> None:
    rows = fetch_rows()
    run_id = fetch_model_run_id()
    features = fetch_feature_df_no_target(rows=rows, model_run_id=run_id)
    target = fetch_target(rows=rows)
    requirements = add_line_to_file(model_run_id=run_id)
    compared = compare_with_training(features=features, model_run_id=run_id)
    run_prediction = ModelLoadAndPredictOperator(
        task_id="run_prediction",
        mlflow_conn_id=config.MLFLOW_CONNECTION,
        aws_conn_id=config.AWS_CONNECTION,
        model_uri="runs:/{{ ti.xcom_pull(task_ids='fetch_model_run_id') }}/model",
        data=features,
        post_execute=link_version,
    )
    run_prediction.operator_extra_links = (VersionLink(),)
    predictions = list_to_dataframe(predictions=run_prediction.output, target=target)
    plot = plot_predictions(predictions=predictions, model_run_id=run_id, run_id=compared)
    saved = aql.export_file(
        task_id="save_predictions",
        input_data=predictions,
        output_file=CSVFile(
            f"s3://{config.DATA_BUCKET}/{{{{ predictions_key(params.data_file) }}}}", conn_id=config.AWS_CONNECTION
        ),
        if_exists="replace",
        outlets=[],
    )
    linked(compared, RunLink())
    linked(plot, RunLink())
    linked(saved, ObjectLink())

    requirements >> run_prediction
    compared >> saved  # FAIL_ON_DRIFT may stop here


predict()
