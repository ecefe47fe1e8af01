"""
### Trains the model

Runs when `feature_eng` has announced new features, and works on those of exactly that run.

```
the features, with the target
 |
 |  train_model      cross-validates {MODEL_NAME}, then fits it to all rows
 |  register_model   makes a version of it, and moves that to the stage {STAGE}
 |  choose_champion  gives it the alias champion if its error passes three checks, else challenger
 |
 +-> MLflow          a run named {MODEL_NAME}, and a version of the model {REGISTERED_MODEL}
 +-> Dataset         {MODEL_DATASET}, which starts the DAG predict
```

Started by hand, it takes the newest features, and the hyperparameters of its own form.
"""

from __future__ import annotations

from dataclasses import asdict

from airflow.datasets import Dataset
from airflow.decorators import dag, task, task_group
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import get_current_context
from airflow.utils.trigger_rule import TriggerRule
from astro import sql as aql

from include import config
from include.operators.links import RunLink, linked
from include.operators.registry import (
    CreateModelVersionOperator,
    CreateRegisteredModelOperator,
    TransitionModelVersionStageOperator,
)
from include.orchestration import upstream as handover
from include.orchestration.dag_defaults import DAG_DEFAULTS, HYPER_PARAMETERS, documented
from include.orchestration.retries import fail_for_good
from include.tracking.model_card import REGISTERED_MODEL_CARD

FEATURES, MODEL = Dataset(config.FEATURES_DATASET), Dataset(config.MODEL_DATASET)


@task
def fetch_feature_df():
    return handover.features_run().frame_reference("build_features")


@task
def fetch_experiment_id() -> str:
    return handover.features_run().output("prepare_mlflow_experiment.get_current_experiment_id")


@task
def fetch_hyper_parameters() -> dict:
    """Those that `feature_eng` was triggered with; of a run started by hand, its own."""
    return handover.features_run().extra.get("hyper_parameters", get_current_context()["params"]["hyper_parameters"])


@aql.dataframe(multiple_outputs=True)
def train_model(
    feature_df, experiment_id: str, target_column: str, model_class: str, hyper_parameters: dict, run_name: str
) -> dict:
    from include.tracking import registry, runs
    from include.tracking.session import mlflow_connected

    run_id = runs.track_training(experiment_id, feature_df, target_column, model_class, hyper_parameters, run_name)
    with fail_for_good(), mlflow_connected():
        return asdict(registry.candidate(run_id))


@task.branch
@fail_for_good()
def check_if_model_already_registered() -> str:
    from include.tracking import registry

    registered = registry.is_registered(config.REGISTERED_MODEL, config.MLFLOW_CONNECTION)
    return "register_model." + ("model_already_registered" if registered else "create_registered_model")


@aql.dataframe(outlets=[MODEL])
def choose_champion(feature_df, model_run_id: str, target_column: str) -> str:
    from include.modeling.evaluation import cross_validate
    from include.tracking import champion
    from include.tracking.session import mlflow_connected

    features, target = feature_df.drop(columns=target_column), feature_df[target_column]

    def cv_rmse(regressor) -> float:
        return cross_validate(regressor, features, target).metrics("cv")["cv_rmse"]

    with fail_for_good(), mlflow_connected():
        decision = champion.promote(
            model_run_id,
            config.REGISTERED_MODEL,
            evaluate=cv_rmse,
            tolerance=config.TOLERANCE,
            max_error_rise=config.MAX_ERROR_RISE,
            unit=config.TARGET_UNIT,
        )
    return decision.alias


@task_group
def register_model(model: dict):
    create_registered_model = CreateRegisteredModelOperator(
        task_id="create_registered_model",
        mlflow_conn_id=config.MLFLOW_CONNECTION,
        name=config.REGISTERED_MODEL,
        tags=[{"key": key, "value": value} for key, value in config.MODEL_TAGS.items()],
        description=REGISTERED_MODEL_CARD,
    )
    create_model_version = CreateModelVersionOperator(
        task_id="create_model_version",
        mlflow_conn_id=config.MLFLOW_CONNECTION,
        name=config.REGISTERED_MODEL,
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        run_id=model["run_id"],
        source=model["source"],
        tags=model["tags"],
        description=model["description"],
    )
    transition_model = TransitionModelVersionStageOperator(
        task_id="transition_model",
        mlflow_conn_id=config.MLFLOW_CONNECTION,
        name=config.REGISTERED_MODEL,
        version="{{ ti.xcom_pull(task_ids='register_model.create_model_version')['model_version']['version'] }}",
        stage=config.STAGE,
        archive_existing_versions=True,
    )
    model_already_registered = EmptyOperator(task_id="model_already_registered")
    (
        check_if_model_already_registered()
        >> [create_registered_model, model_already_registered]
        >> create_model_version
        >> transition_model
    )
    return transition_model


@dag(schedule=[FEATURES], doc_md=documented(__doc__), params={"hyper_parameters": HYPER_PARAMETERS}, **DAG_DEFAULTS)
def train():
    feature_df = fetch_feature_df()
    model = train_model(
        feature_df=feature_df,
        experiment_id=fetch_experiment_id(),
        target_column=config.TARGET,
        model_class=config.MODEL_CLASS,
        hyper_parameters=fetch_hyper_parameters(),
        run_name=config.MODEL_NAME,
    )
    linked(model, RunLink())
    register_model(model) >> choose_champion(feature_df, model["run_id"], config.TARGET)


train()
