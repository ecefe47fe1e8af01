"""
### Predicts

Runs when `train` has announced a new model, and works with exactly that one.

```
the model, and the features that it was trained on
 |
 |  run_prediction         predicts, in a virtual environment with just the model's own requirements
 |  plot_predictions       draws predictions and truth
 |  compare_with_training  says how far off they are, and whether the features have drifted
 |
 +-> S3                    the predictions, s3://{DATA_BUCKET}/{PREDICTIONS_FILE}
 +-> MLflow                the plot, in the model's run, and a run named Predictions
 +-> disk                  the plot, include/plots/{PLOT_FILE}
```
"""

from __future__ import annotations

from airflow.datasets import Dataset
from airflow.decorators import dag, task
from astro import sql as aql

from include import config
from include.operators.csv_file import CSVFile
from include.operators.links import ObjectLink, RunLink, linked
from include.operators.prediction import ModelLoadAndPredictOperator
from include.orchestration import upstream as handover
from include.orchestration.dag_defaults import DAG_DEFAULTS, documented
from include.orchestration.retries import fail_for_good

MODEL = Dataset(config.MODEL_DATASET)


@aql.dataframe
def fetch_feature_df_no_target(target_column: str):
    return handover.training_run().frame_reference("fetch_feature_df").export_to_dataframe().drop(columns=target_column)


@aql.dataframe
def fetch_target(target_column: str):
    return handover.training_run().frame_reference("fetch_feature_df").export_to_dataframe(columns=[target_column])


@task
def fetch_model_run_id() -> str:
    return handover.training_run().output("train_model", key="run_id")


@task
def add_line_to_file(model_run_id: str) -> list[str]:
    from include.tracking import registry

    return registry.require(model_run_id, config.PREDICTION_PACKAGES)


@aql.dataframe
def list_to_dataframe(predictions, target):
    from include.modeling.evaluation import match_predictions

    with fail_for_good():
        return match_predictions(predictions, target).reset_index()


@task
def plot_predictions(predictions, model_run_id: str) -> None:
    from include.tracking import runs

    runs.track_plot(model_run_id, predictions)


@task
def compare_with_training(predictions, features, model_run_id: str) -> None:
    from include.tracking import runs

    runs.track_predictions(model_run_id, predictions, features)


@dag(schedule=[MODEL], doc_md=documented(__doc__), **DAG_DEFAULTS)
def predict():
    features, target, run_id = (
        fetch_feature_df_no_target(config.TARGET),
        fetch_target(config.TARGET),
        fetch_model_run_id(),
    )
    run_prediction = ModelLoadAndPredictOperator(
        task_id="run_prediction",
        mlflow_conn_id=config.MLFLOW_CONNECTION,
        model_uri="runs:/{{ ti.xcom_pull(task_ids='fetch_model_run_id') }}/model",
        data=features,
    )
    add_line_to_file(run_id) >> run_prediction
    predictions = list_to_dataframe(run_prediction.output, target)
    linked(plot_predictions(predictions, run_id), RunLink())
    linked(compare_with_training(predictions, features, run_id), RunLink())
    saved = aql.export_file(
        task_id="save_predictions",
        input_data=predictions,
        output_file=CSVFile(f"s3://{config.DATA_BUCKET}/{config.PREDICTIONS_FILE}", conn_id=config.AWS_CONNECTION),
        if_exists="replace",
        outlets=[],
    )
    linked(saved, ObjectLink())


predict()
