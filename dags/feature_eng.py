"""
### Engineers features

Runs when someone triggers it. The two other DAGs follow by themselves.

```
include/{DATA_FILE}
 |
 |  extract_data     reads and checks the rows
 |  build_features   leaves out rows with gaps, one-hot encodes labels, scales everything
 |
 +-> MLflow          the fitted transformer, in a run named Scaler of the experiment {EXPERIMENT}
 +-> S3              the features with the target, s3://{DATA_BUCKET}/{FEATURES_FILE}
 +-> Dataset         {FEATURES_DATASET}, which starts the DAG train
```

The form to trigger it takes another data file and other hyperparameters for one run.
"""

from __future__ import annotations

from airflow.datasets import Dataset
from airflow.decorators import dag, task, task_group
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import get_current_context
from airflow.utils.trigger_rule import TriggerRule
from astro import sql as aql

from include import config
from include.operators.csv_file import CSVFile
from include.operators.links import ExperimentLink, ObjectLink, RunLink, linked
from include.operators.s3 import S3CreateBucketOperator
from include.orchestration.dag_defaults import DAG_DEFAULTS, DATA_FILE, HYPER_PARAMETERS, documented
from include.orchestration.retries import fail_for_good

FEATURES = Dataset(config.FEATURES_DATASET)


@task
def list_existing_experiments() -> list[dict]:
    from include.tracking import experiment

    return experiment.find(config.EXPERIMENT)


@task.branch
def check_if_experiment_exists(experiments: list[dict]) -> str:
    return "prepare_mlflow_experiment." + ("experiment_exists" if experiments else "create_experiment")


@task
def create_experiment() -> None:
    from include.tracking import experiment

    experiment.create(config.EXPERIMENT)


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def get_current_experiment_id() -> str:
    from include.tracking import experiment

    return experiment.active_id(config.EXPERIMENT)


@task_group
def prepare_mlflow_experiment(buckets):
    experiments = list_existing_experiments()
    create, experiment_id = create_experiment(), get_current_experiment_id()
    buckets >> create  # its artifacts go there
    experiment_exists = EmptyOperator(task_id="experiment_exists")
    check_if_experiment_exists(experiments) >> [create, experiment_exists] >> experiment_id
    return linked(experiment_id, ExperimentLink())


@aql.dataframe
def extract_data():
    from include.modeling import reading

    with fail_for_good():
        return reading.read_rows(config.INCLUDE / get_current_context()["params"]["data_file"])


@aql.dataframe
def build_features(rows, experiment_id: str):
    from include.modeling import features, models
    from include.tracking import runs

    complete = features.complete_rows(rows)
    with fail_for_good():
        engineered, transformer = features.engineer(complete, config.SCHEMA)
        hyper_parameters = get_current_context()["params"]["hyper_parameters"]
        raw, target = engineered.drop(columns=config.TARGET), engineered[config.TARGET]
        models.try_out(config.MODEL_CLASS, hyper_parameters, raw, target, config.SEED)
    runs.track_features(experiment_id, complete, transformer, left_out=len(rows) - len(complete))
    return engineered


def announce(context, result=None) -> None:
    """Tells `train` in the event that starts it what to train with."""
    context["outlet_events"][FEATURES].extra = {"hyper_parameters": context["params"]["hyper_parameters"]}


@dag(
    schedule=None,
    doc_md=documented(__doc__),
    params={"data_file": DATA_FILE, "hyper_parameters": HYPER_PARAMETERS},
    **DAG_DEFAULTS,
)
def feature_eng():
    buckets = S3CreateBucketOperator.partial(
        task_id="create_buckets_if_not_exists", aws_conn_id=config.AWS_CONNECTION
    ).expand(bucket_name=[config.DATA_BUCKET, config.ARTIFACT_BUCKET, config.XCOM_BUCKET])
    rows = extract_data()
    features = build_features(rows, prepare_mlflow_experiment(buckets))
    buckets >> rows
    saved = aql.export_file(
        task_id="save_data_to_s3",
        input_data=features,
        output_file=CSVFile(f"s3://{config.DATA_BUCKET}/{config.FEATURES_FILE}", conn_id=config.AWS_CONNECTION),
        if_exists="replace",
        outlets=[FEATURES],
        post_execute=announce,
    )
    linked(features, RunLink())
    linked(saved, ObjectLink())


feature_eng()
