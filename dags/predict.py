"""
### Prediction

Runs when `train` has updated its Dataset, and works with exactly that model.

```
the model, and the features that it was trained on
 |
 |  run_prediction         predicts, in a virtual environment with just the model's own requirements
 |  plot_predictions       draws predicted and true values
 |  compare_with_training  logs the errors, and whether the features have drifted
 |
 +-> S3                    the predictions, s3://{DATA_BUCKET}/{PREDICTIONS_FILE}
 +-> MLflow                the plot, in the model's run, and a run named Predictions
 +-> disk                  the plot, include/plots/{PLOT_FILE}
```

Started by hand, it takes the newest model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.decorators import dag, task
from astro import sql as aql

from include import config
from include.operators.csv_file import CSVFile
from include.operators.links import ObjectLink, RunLink, linked
from include.operators.prediction import ModelLoadAndPredictOperator
from include.orchestration import defaults, upstream
from include.orchestration.datasets import MODEL
from include.tracking.session import mlflow_task, task_boundary

if TYPE_CHECKING:
    import pandas as pd

# Tasks import what they need when they run: Airflow reads this file every few seconds, and pandas, scikit-learn and
# MLflow take seconds to import.


@aql.dataframe
@task_boundary
def fetch_feature_df_no_target(target_column: str) -> pd.DataFrame:
    feature_df = upstream.train_run().frame_reference("fetch_feature_df").export_to_dataframe()
    return feature_df.drop(columns=target_column)


@aql.dataframe
@task_boundary
def fetch_target(target_column: str) -> pd.DataFrame:
    return upstream.train_run().frame_reference("fetch_feature_df").export_to_dataframe(columns=[target_column])


@task
@task_boundary
def fetch_model_run_id() -> str:
    return upstream.train_run().output("train_model", key="run_id")


@task
@mlflow_task
def add_line_to_file(model_run_id: str) -> list[str]:
    from mlflow import MlflowClient

    from include.tracking import logged_models, requirements

    location = logged_models.of_run(MlflowClient().get_run(model_run_id)).artifact_location
    return requirements.add_to_requirements(location, config.PREDICTION_PACKAGES, config.AWS_CONNECTION)


@aql.dataframe
@task_boundary
def list_to_dataframe(predictions: pd.DataFrame, target: pd.DataFrame) -> pd.DataFrame:
    from include.modeling import evaluation

    return evaluation.match_predictions(predictions, target).reset_index()


@task
@mlflow_task
def plot_predictions(predictions: pd.DataFrame, model_run_id: str) -> None:
    from include.modeling import plots
    from include.tracking import prediction_run, registry

    version = registry.model_version(model_run_id, config.REGISTERED_MODEL)
    by_row = predictions.set_index(predictions.columns[0])
    figure = plots.predictions(by_row, f"{version.name}, version {version.version}", config.SCHEMA, config.PICTURE)
    prediction_run.log_plot(figure, config.PLOT_FILE, model_run_id, config.PLOTS)


@task
@mlflow_task
def compare_with_training(predictions: pd.DataFrame, features: pd.DataFrame, model_run_id: str) -> None:
    from include.modeling import drift, evaluation
    from include.tracking import prediction_run, registry, runs, training_run

    version = registry.model_version(model_run_id, config.REGISTERED_MODEL)
    trained = training_run.get(model_run_id)
    lineage = runs.lineage(trained.pipeline_run, predictions, version.name, version.version)
    if not runs.find_finished(trained.experiment_id, lineage):
        errors = evaluation.errors(predictions["true"], predictions["predicted"])
        drifted = drift.compare(training_run.reference_features(model_run_id), features)
        with prediction_run.start(trained.experiment_id, lineage, version, config.SCHEMA):
            prediction_run.log_errors(errors, config.TARGET_UNIT)
            prediction_run.log_drift(drifted)


@dag(schedule=[MODEL], doc_md=defaults.documented(__doc__), **defaults.DAG_DEFAULTS)
def predict() -> None:
    features = fetch_feature_df_no_target(target_column=config.TARGET)
    target = fetch_target(target_column=config.TARGET)
    run_id = fetch_model_run_id()
    requirements = add_line_to_file(model_run_id=run_id)
    run_prediction = ModelLoadAndPredictOperator(
        task_id="run_prediction",
        mlflow_conn_id=config.MLFLOW_CONNECTION,
        aws_conn_id=config.AWS_CONNECTION,
        model_uri="runs:/{{ ti.xcom_pull(task_ids='fetch_model_run_id') }}/model",
        data=features,
    )
    predictions = list_to_dataframe(predictions=run_prediction.output, target=target)
    plot = plot_predictions(predictions=predictions, model_run_id=run_id)
    compared = compare_with_training(predictions=predictions, features=features, model_run_id=run_id)
    saved = aql.export_file(
        task_id="save_predictions",
        input_data=predictions,
        output_file=CSVFile(f"s3://{config.DATA_BUCKET}/{config.PREDICTIONS_FILE}", conn_id=config.AWS_CONNECTION),
        if_exists="replace",
        outlets=[],
    )
    linked(plot, RunLink())
    linked(compared, RunLink())
    linked(saved, ObjectLink())

    requirements >> run_prediction


predict()
