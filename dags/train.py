"""
### Training

Runs when `feature_eng` has updated its Dataset, and works on the features of exactly that run.

```
the features, with the target
 |
 |  train_model      cross-validates {MODEL_NAME}, then fits it to all rows
 |  register_model   creates a version of the registered model, and moves it to the stage {STAGE}
 |  choose_champion  makes it champion or challenger, and says why in a tag
 |
 +-> MLflow          a run named {MODEL_NAME}, and a version of the model {REGISTERED_MODEL}
 +-> Dataset         {MODEL_DATASET}, which starts the DAG predict
```

Started by hand, it takes the newest features, and the hyperparameters of its own form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.decorators import dag, task, task_group
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import get_current_context
from airflow.utils.trigger_rule import TriggerRule
from astro import sql as aql

from include import config
from include.operators.links import RunLink, VersionLink, linked
from include.operators.registry import (
    CreateModelVersionOperator,
    CreateRegisteredModelOperator,
    TransitionModelVersionStageOperator,
)
from include.orchestration import defaults, upstream
from include.orchestration.datasets import FEATURES, MODEL
from include.tracking.model_card import registered_model_card
from include.tracking.session import mlflow_task, task_boundary

if TYPE_CHECKING:
    import pandas as pd
    from astro.files import File
    from sklearn.base import RegressorMixin

# Tasks import what they need when they run: Airflow reads this file every few seconds, and pandas, scikit-learn and
# MLflow take seconds to import.


@aql.dataframe
@task_boundary
def fetch_feature_df() -> File:
    features = upstream.feature_eng_run().frame_reference("build_features")
    upstream.push_schema()
    return features


@task
@task_boundary
def fetch_experiment_id() -> str:
    return upstream.feature_eng_run().output("prepare_mlflow_experiment.get_current_experiment_id")


@task
@task_boundary
def fetch_hyper_parameters() -> dict[str, Any]:
    """Those that `feature_eng` was triggered with; its own, if this run was started by hand."""
    own = defaults.run_params(get_current_context())["hyper_parameters"]
    return upstream.feature_eng_run().extra.get("hyper_parameters", own)


@aql.dataframe(multiple_outputs=True)
@mlflow_task
def train_model(
    feature_df: pd.DataFrame, experiment_id: str, model_class: str, hyper_parameters: dict[str, Any]
) -> dict[str, Any]:
    from include.modeling import evaluation, models
    from include.tracking import runs, training_run

    source = upstream.feature_eng_run()
    model = models.make_model(model_class, hyper_parameters)
    lineage = runs.lineage(source.run_id, feature_df, config.TARGET, model_class, hyper_parameters)
    run_id = runs.find_finished(experiment_id, lineage)
    if not run_id:
        all_rows = source.frame("extract_data")
        rows, plan = evaluation.rows_to_evaluate(all_rows, config.SCHEMA, config.FOLDS, config.REPEATS, config.SEED)
        evaluated = evaluation.evaluate(model, rows, config.SCHEMA, plan, with_importances=True)
        baseline = evaluation.baseline(rows, rows[config.TARGET], plan)
        features = feature_df.iloc[:, :-1]  # without the target, and without the copy that drop would create
        tags = lineage | training_run.source_tags(source, model_class, hyper_parameters, model, features.columns)
        with training_run.start(experiment_id, config.MODEL_NAME, tags, plan, config.SCHEMA) as run_id:
            training_run.log_source(feature_df, source, config.TARGET, lineage["data_digest"])
            training_run.fit_with_autolog(model, features, feature_df[config.TARGET])
            model_id = training_run.log_model(model, feature_df, config.SCHEMA, config.SEED)
            training_run.log_serving_model(model, source, rows, config.SCHEMA)
            training_run.log_evaluation(evaluated, baseline, model_id, config.SCHEMA)
            training_run.log_lineage(tags, model_id)
    return training_run.candidate(
        run_id, config.SCHEMA, config.INTENDED_USE, config.LIMITS, config.ARTIFACTS_URL, config.MLFLOW_CONNECTION
    )


@task.branch
@task_boundary
def check_if_model_already_registered() -> str:
    from include.tracking import registry

    registered = registry.is_registered(config.REGISTERED_MODEL, config.MLFLOW_CONNECTION)
    next_task = "model_already_registered" if registered else "create_registered_model"
    return f"register_model.{next_task}"


@task_group(default_args={"mlflow_conn_id": config.MLFLOW_CONNECTION, "name": config.REGISTERED_MODEL})
def register_model(model: Any) -> Any:
    check = check_if_model_already_registered()
    create_registered_model = CreateRegisteredModelOperator(
        task_id="create_registered_model",
        tags=[{"key": key, "value": value} for key, value in config.MODEL_TAGS.items()],
        description=registered_model_card(config.REGISTERED_MODEL, config.STAGE, config.SCHEMA),
    )
    model_already_registered = EmptyOperator(task_id="model_already_registered")
    create_model_version = CreateModelVersionOperator(
        task_id="create_model_version",
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        run_id=model["run_id"],
        source=model["source"],
        model_id=model["model_id"],
        tags=model["tags"],
        description=model["description"],
    )
    transition_model = TransitionModelVersionStageOperator(
        task_id="transition_model",
        version="{{ ti.xcom_pull(task_ids='register_model.create_model_version')['model_version']['version'] }}",
        stage=config.STAGE,
        archive_existing_versions=True,
    )

    check >> [create_registered_model, model_already_registered] >> create_model_version >> transition_model
    return transition_model


@aql.dataframe(outlets=[MODEL])
@mlflow_task
def choose_champion(model_run_id: str) -> str:
    from include.modeling import evaluation
    from include.tracking import champion, pages, registry

    def cv_rmse(model: RegressorMixin) -> float:
        """Evaluate the champion on the new data, as `train_model` has evaluated the new version."""
        all_rows = upstream.feature_eng_run().frame("extract_data")
        rows, plan = evaluation.rows_to_evaluate(all_rows, config.SCHEMA, config.FOLDS, config.REPEATS, config.SEED)
        return evaluation.evaluate(model, rows, config.SCHEMA, plan).metrics("cv")["cv_rmse"]

    version = registry.model_version(model_run_id, config.REGISTERED_MODEL)
    decision = champion.promote(version, cv_rmse, config.TOLERANCE, config.MAX_ERROR_RISE, config.TARGET_UNIT)
    pages.link_version(get_current_context()["ti"], version.name, version.version)
    return decision.alias


@dag(
    schedule=[FEATURES],
    doc_md=__doc__.format_map(vars(config)),
    params={"hyper_parameters": defaults.hyper_parameters()},
    **defaults.DAG_DEFAULTS,
)
def train() -> None:
    model = train_model(
        feature_df=fetch_feature_df(),
        experiment_id=fetch_experiment_id(),
        model_class=config.MODEL_CLASS,
        hyper_parameters=fetch_hyper_parameters(),
    )
    transition_model = register_model(model)
    champion = choose_champion(model_run_id=model["run_id"])
    linked(model, RunLink())
    linked(champion, VersionLink())

    transition_model >> champion


train()
