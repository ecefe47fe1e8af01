"""From a training run to a version of the registered model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from include.errors import DataError
from include.schema import Schema
from include.tracking import logged_models, model_card, runs
from include.tracking.client import MLflowClientHook
from include.tracking.logged_models import SERVING_MODEL, TRANSFORMER

log = logging.getLogger(__name__)


def is_registered(name: str, mlflow_conn_id: str) -> bool:
    """Return whether MLflow has a registered model of this name, with or without versions."""
    hook = MLflowClientHook("GET", mlflow_conn_id=mlflow_conn_id)
    return hook.call("registered-models/get", none_for="RESOURCE_DOES_NOT_EXIST", name=name) is not None


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
    for logged in (logged_models.of_run(run, SERVING_MODEL), logged_models.of_run(feature_run, TRANSFORMER)):
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


def find_version(name: str, wanted: str) -> ModelVersion:
    """Return the version of the registered model `name` that has an alias, is in a stage, or has a number.

    Args:
        name: The registered model.
        wanted: An alias such as `champion`, a stage such as `Staging`, or a version number.

    Raises:
        DataError: There is no such version. Names those that exist.
    """
    client = MlflowClient()
    versions = client.search_model_versions(f"name = '{name}'")
    aliases = dict(client.get_registered_model(name).aliases) if versions else {}
    stage = None if wanted in aliases else wanted.lower()
    for version in versions:  # the newest first
        if version.version == aliases.get(wanted, wanted) or str(version.current_stage).lower() == stage:
            if not version.run_id:
                raise DataError(f"Version {version.version} of {name} comes from no training run. Choose another one.")
            log.info("%s of %s is version %s", wanted, name, version.version)
            return client.get_model_version(name, version.version)
    numbers = [version.version for version in versions]
    stages = {str(version.current_stage) for version in versions} - {"None"}
    existing = ", ".join([*aliases, *sorted(stages), *numbers]) or "none; run feature_eng first"
    raise DataError(f"Model {name} has no version {wanted!r}. There are: {existing}.")


def is_trained_on(name: str, lineage: Mapping[str, str], recipe: str) -> bool:
    """Return whether the newest version was trained on the same rows, code and package versions by the same recipe.

    A version without the tag `promotion` does not count: its run of `train` failed before it was through.

    Args:
        name: The registered model.
        lineage: The tags that the feature run would get (`runs.lineage`).
        recipe: What `promotion.recipe` returns for the model that would be trained.
    """
    client = MlflowClient()
    newest = client.search_model_versions(f"name = '{name}'", order_by=["version_number DESC"], max_results=1)
    if not newest or "promotion" not in newest[0].tags:
        return False
    try:
        trained = client.get_run(str(newest[0].run_id)).data.tags
        features = client.get_run(trained["features_run"]).data.tags
    except (MlflowException, KeyError):  # a version of somebody else's, or its runs are deleted
        return False
    is_same = all(features.get(tag) == lineage[tag] for tag in runs.SAME)
    return is_same and trained.get("recipe") == recipe


def model_version(run_id: str, name: str) -> ModelVersion:
    """Return the version of the registered model `name` that was created from a run's model, with its aliases.

    Raises:
        DataError: There is none.
    """
    client = MlflowClient()
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if not found:
        raise DataError(f"Run {run_id} has no version of {name}. Run train again.")
    return client.get_model_version(name, found[0].version)  # the search leaves the aliases out
