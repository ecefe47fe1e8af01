"""The versions of the registered model."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from include.errors import DataError
from include.tracking import runs
from include.tracking.client import MLflowClientHook

log = logging.getLogger(__name__)


def is_registered(name: str, mlflow_conn_id: str) -> bool:
    """Return whether MLflow has a registered model of this name, with or without versions."""
    hook = MLflowClientHook("GET", mlflow_conn_id=mlflow_conn_id)
    return hook.call("registered-models/get", none_for="RESOURCE_DOES_NOT_EXIST", name=name) is not None


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
