"""
### Feature engineering

Runs when someone triggers it, or on the schedule in `include/config.py` (now: {SCHEDULE}). The DAGs `train` and
`predict` follow by themselves. A scheduled run that finds rows, hyperparameters, code and versions of the newest model
version unchanged ends in `build_features`, which is then skipped.

```
{DATA_FILE}
 |
 |  extract_data     reads and checks the rows
 |  build_features   leaves out rows that the model can't take, one-hot encodes labels, scales everything
 |
 +-> MLflow          the fitted transformer, in a run named Scaler of the experiment {EXPERIMENT}
 +-> S3              the features with the target, s3://{DATA_BUCKET}/{FEATURES_FILE}
 +-> Dataset         {FEATURES_DATASET}, which starts the DAG train
```

The trigger form takes another data file and other hyperparameters for one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.decorators import dag, task, task_group
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import get_current_context
from airflow.utils.trigger_rule import TriggerRule
from astro import sql as aql

from include import config
from include.modeling.rows import read_training_rows
from include.operators.csv_file import CSVFile
from include.operators.links import ExperimentLink, ObjectLink, RunLink, linked
from include.operators.s3 import S3CreateBucketOperator
from include.orchestration import defaults, sources, upstream
from include.orchestration.datasets import FEATURES
from include.tracking import experiment
from include.tracking.session import mlflow_task, task_boundary

if TYPE_CHECKING:
    import pandas as pd

# Tasks import what they need when they run: Airflow reads this file every few seconds, and pandas, scikit-learn and
# MLflow take seconds to import.


@task
@task_boundary
def list_existing_experiments() -> list[dict[str, Any]]:
    return experiment.find(config.EXPERIMENT, config.MLFLOW_CONNECTION)


@task.branch
def check_if_experiment_exists(experiments: list[dict[str, Any]]) -> str:
    next_task = "experiment_exists" if experiments else "create_experiment"
    return f"prepare_mlflow_experiment.{next_task}"


@task
@task_boundary
def create_experiment() -> None:
    description = experiment.description(config.SCHEMA, config.MODEL_NAME)
    experiment.create(config.EXPERIMENT, config.ARTIFACTS_URL, description, config.MLFLOW_CONNECTION)


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
@task_boundary
def get_current_experiment_id() -> str:
    return experiment.active_id(config.EXPERIMENT, config.MLFLOW_CONNECTION)


@task_group
def prepare_mlflow_experiment() -> Any:
    branch = check_if_experiment_exists(list_existing_experiments())
    create = create_experiment()
    experiment_exists = EmptyOperator(task_id="experiment_exists")
    experiment_id = get_current_experiment_id()

    branch >> [create, experiment_exists] >> experiment_id
    return linked(experiment_id, ExperimentLink())


@aql.dataframe
@task_boundary
def extract_data() -> pd.DataFrame:
    context = get_current_context()
    data_file = sources.read_data_file(defaults.run_params(context)["data_file"])
    context["ti"].xcom_push("data_version", data_file.version)
    return read_training_rows(data_file, config.SCHEMA, min_usable=2 * config.FOLDS)


@aql.dataframe
@mlflow_task
def build_features(rows: pd.DataFrame, experiment_id: str) -> pd.DataFrame:
    from include.modeling import features, models
    from include.tracking import feature_run, runs

    upstream.push_schema()
    context = get_current_context()
    params, data_version = context["params"], context["ti"].xcom_pull("extract_data", key="data_version")
    usable = features.usable_rows(rows, config.SCHEMA)
    engineered, transformer = features.engineer(usable, config.SCHEMA)
    inputs, target = engineered.drop(columns=config.TARGET), engineered[config.TARGET]
    model = models.try_out(config.MODEL_CLASS, params["hyper_parameters"], inputs, target, config.SEED)
    lineage = runs.lineage(context["run_id"], usable)
    if not runs.find_finished(experiment_id, lineage):
        feature_run.skip_if_nothing_is_new(config.REGISTERED_MODEL, lineage, model, inputs.columns)
        with feature_run.start(experiment_id, lineage):
            feature_run.log_rows(rows, usable, params["data_file"], data_version, config.SCHEMA, lineage["data_digest"])
            feature_run.log_transformer(transformer, usable[config.SCHEMA.inputs].head())
    return engineered


def announce(context: Any, result: object = None) -> None:  # noqa: ARG001
    """Tell `train`, in the event that starts it, the hyperparameters to use."""
    context["outlet_events"][FEATURES].extra = {"hyper_parameters": context["params"]["hyper_parameters"]}


@dag(
    schedule=defaults.schedule(config.SCHEDULE),
    doc_md=__doc__.format_map(vars(config)),
    params={"data_file": defaults.data_file(), "hyper_parameters": defaults.hyper_parameters()},
    **defaults.DAG_DEFAULTS,
)
def feature_eng() -> None:
    buckets = S3CreateBucketOperator.partial(
        task_id="create_buckets_if_not_exists", aws_conn_id=config.AWS_CONNECTION
    ).expand(bucket_name=[config.DATA_BUCKET, config.ARTIFACT_BUCKET, config.XCOM_BUCKET])
    rows = extract_data()
    features = build_features(rows=rows, experiment_id=prepare_mlflow_experiment())
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

    buckets >> rows  # the DataFrames between tasks go there, and the artifacts of MLflow


feature_eng()
