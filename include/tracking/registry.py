"""From a training run to a model version, and from a version to the champion."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import mlflow.sklearn
import pandas as pd
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from include import config
from include.modeling.evaluation import Plan, cross_validate
from include.modeling.features import make_transformer
from include.modeling.models import on_raw_rows
from include.modeling.promotion import Decision, decide
from include.orchestration.dag_defaults import TASK_DEFAULTS
from include.orchestration.retries import fail_for_good
from include.schema import Schema
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
def promote(
    run_id: str, features: list[str], rows: pd.DataFrame, schema: Schema, name: str = config.REGISTERED_MODEL
) -> Decision:
    """Gives the run's version of the model `name` the alias `champion` or `challenger`, and notes on the version why.

    Both are evaluated in the same way on the same raw `rows`: cross-validated, each with its own class and
    hyperparameters. `features` are those that the version was trained on.
    """
    client = MlflowClient()
    version = model_version(run_id, name)
    number = version.version
    with _alone(client, version):
        champion = _champion(client, name)
        if champion and champion.version == number:
            log.info("Version %s is the champion already", number)
            return Decision("champion", champion.tags.get("promotion", ""))
        decision = _compare(version, client.get_run(run_id).data.metrics["cv_rmse"], champion, features, rows, schema)
        client.set_model_version_tag(name, number, "promotion", f"{decision.alias}: {decision.reason}")
        client.set_registered_model_alias(name, decision.alias, number)
        if decision.alias == "champion" and "challenger" in version.aliases:
            client.delete_registered_model_alias(name, "challenger")
    log.info("Version %s becomes %s: %s", number, decision.alias, decision.reason)
    return decision


@fail_for_good()
@mlflow_connected()
def require(run_id: str, packages: Iterable[str]) -> list[str]:
    """Makes sure that `packages` stand in the requirements.txt of the run's model. Returns the lines that it has added.

    A package is added as it is installed here. One that is there already stays as it is pinned.
    """
    location = logged_model(MlflowClient().get_run(run_id)).artifact_location
    with TemporaryDirectory() as folder:
        file = Path(mlflow.artifacts.download_artifacts(f"{location}/requirements.txt", dst_path=folder))
        lines = file.read_text().splitlines()
        present = {canonicalize_name(Requirement(line).name) for line in lines if line.strip() and line[0] not in "#-"}
        missing = [
            f"{package}=={installed(package)}" for package in packages if canonicalize_name(package) not in present
        ]
        if missing:
            bucket, key = S3Hook.parse_s3_url(f"{location}/requirements.txt")
            text = "\n".join([*lines, *missing]) + "\n"
            S3Hook(config.AWS_CONNECTION).load_string(text, key, bucket, replace=True)
    log.info("Added %s to requirements.txt" if missing else "Nothing to add to requirements.txt%s", ", ".join(missing))
    return missing


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
    version: ModelVersion,
    error: float,
    champion: ModelVersion | None,
    features: list[str],
    rows: pd.DataFrame,
    schema: Schema,
) -> Decision:
    if champion is None:
        return decide(error, None)
    with TemporaryDirectory() as folder:  # else MLflow would leave the model in one
        model = mlflow.sklearn.load_model(f"models:/{champion.name}/{champion.version}", dst_path=folder)
    if list(model.feature_names_in_) != features:
        return Decision(
            "challenger",
            f"cannot be compared: the champion, version {champion.version}, was trained on other features "
            f"({', '.join(model.feature_names_in_)}). To let the new one take over, give it the alias in the MLflow UI",
        )
    plan = Plan.of(len(rows), folds=config.FOLDS, repeats=config.REPEATS, seed=config.SEED)
    estimator = on_raw_rows(make_transformer(schema), model)
    evaluated = cross_validate(estimator, rows[schema.inputs], rows[schema.target], plan)
    return decide(error, evaluated.metrics("cv")["cv_rmse"], older=int(version.version) < int(champion.version))
