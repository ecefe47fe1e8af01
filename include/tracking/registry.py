"""From a training run to a model version, and from a version to the champion."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sklearn.base import clone

from include import config
from include.modeling.evaluation import cross_validate
from include.modeling.promotion import Decision, decide
from include.orchestration.dag_defaults import TASK_DEFAULTS
from include.orchestration.retries import fail_for_good
from include.tracking.client import MLflowClientHook
from include.tracking.lineage import logged_model, model_version, served
from include.tracking.model_card import model_card
from include.tracking.session import mlflow_connected

log = logging.getLogger(__name__)


@fail_for_good()
def is_registered(name: str = config.REGISTERED_MODEL) -> bool:
    hook = MLflowClientHook("GET", mlflow_conn_id=config.MLFLOW_CONNECTION)
    return hook.call("registered-models/get", absent_is_none=True, name=name) is not None


@fail_for_good()
@mlflow_connected()
def candidate(run_id: str) -> dict[str, Any]:
    """What CreateModelVersionOperator needs to know of a training run: `source`, `tags` and `description`.

    The tags `model` and `transformer` are addresses that load with access to MLflow alone, where its server hands out
    the files (see `served`). The source is the model's place in S3: MLflow takes no other for a model that lies there.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    features_run = client.get_run(run.data.tags["features_run"])
    model, transformer = logged_model(run), logged_model(features_run)
    carried = (
        "pipeline_run",
        "airflow_run_id",
        "dataset_event",
        "features_run",
        "model_class",
        "code_digest",
        "versions",
    )
    tags = {name: run.data.tags[name] for name in carried} | {
        "model": served(model.artifact_location),
        "transformer": served(transformer.artifact_location),
        "inputs": run.data.tags["inputs"],
    }
    if commit := run.data.tags.get("mlflow.source.git.commit"):
        tags["git_commit"] = commit
    return {
        "run_id": run_id,
        "source": model.artifact_location,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "description": model_card(run.info.run_name, features_run.data.params, run.data.metrics, run.data.tags),
    }


@fail_for_good()
@mlflow_connected()
def promote(run_id: str, data: pd.DataFrame, target_column: str, name: str = config.REGISTERED_MODEL) -> Decision:
    """Gives the run's version of the model `name` the alias `champion` or `challenger`, and notes on the version why.

    Both are judged in the same way on the same `data`: cross-validated, each with its own class and hyperparameters.
    """
    client = MlflowClient()
    version = model_version(run_id, name)
    number = version.version
    with _alone(client, version):
        champion = _champion(client, name)
        if champion and champion.version == number:
            log.info("Version %s is the champion already", number)
            return Decision("champion", champion.tags.get("promotion", ""))
        decision = _compare(version, client.get_run(run_id).data.metrics["cv_rmse"], champion, data, target_column)
        client.set_model_version_tag(name, number, "promotion", f"{decision.alias}: {decision.reason}")
        client.set_registered_model_alias(name, decision.alias, number)
        if decision.alias == "champion" and "challenger" in version.aliases:
            client.delete_registered_model_alias(name, "challenger")
    log.info("Version %s becomes %s: %s", number, decision.alias, decision.reason)
    return decision


@contextmanager
def _alone(client: MlflowClient, version: ModelVersion) -> Iterator[None]:
    """Lets one version of a model at a time be compared with the champion, on whatever machine, since MLflow can't move
    an alias on the condition that it hasn't moved meanwhile.

    A version says by the tag `promoting` that it wants to, and then looks who else does. Of two that came at once, the
    older version goes first. A tag that is older than a task may get was left by a process that was killed.
    """
    name, number = version.name, version.version
    try:
        while True:
            client.set_model_version_tag(name, number, "promoting", f"{time.time():.0f}")
            left_over = time.time() - TASK_DEFAULTS["execution_timeout"].total_seconds()
            others = [
                int(other.version)
                for other in client.search_model_versions(f"name = '{name}'")
                if other.version != number and float(other.tags.get("promoting", 0)) > left_over
            ]
            if not others:
                break
            log.info("Waiting for version %s, which is being compared with the champion", min(others))
            if min(others) < int(number):
                client.delete_model_version_tag(name, number, "promoting")
            time.sleep(1)
        yield
    finally:
        client.delete_model_version_tag(name, number, "promoting")


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        if error.error_code in (
            "RESOURCE_DOES_NOT_EXIST",
            "INVALID_PARAMETER_VALUE",
        ):  # the latter for an unknown alias
            return None
        raise


def _compare(
    version: ModelVersion, error: float, champion: ModelVersion | None, data: pd.DataFrame, target_column: str
) -> Decision:
    if champion is None:
        return decide(error, None)
    with TemporaryDirectory() as folder:  # else MLflow would leave the model in one
        model = mlflow.sklearn.load_model(f"models:/{champion.name}/{champion.version}", dst_path=folder)
    features = data.drop(columns=target_column)
    if list(model.feature_names_in_) != list(features.columns):
        return Decision(
            "challenger",
            f"cannot be compared: the champion, version {champion.version}, was trained on other features "
            f"({', '.join(model.feature_names_in_)}). To let the new one take over, give it the alias in the MLflow UI",
        )
    judged = cross_validate(clone(model), features, data[target_column])
    return decide(error, judged.metrics("cv")["cv_rmse"], older=int(version.version) < int(champion.version))
