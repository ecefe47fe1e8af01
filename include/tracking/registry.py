"""From a training run to a version of the registered model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from include import config
from include.errors import DataError
from include.orchestration.retries import fail_for_good
from include.tracking.client import MLflowClientHook
from include.tracking.lineage import logged_model, served
from include.tracking.model_card import model_card
from include.tracking.session import mlflow_connected

log = logging.getLogger(__name__)

CARRIED = (  # tags of the training run that its version gets, too
    "pipeline_run",
    "airflow_run_id",
    "dataset_event",
    "features_run",
    "model_class",
    "code_digest",
    "versions",
    "inputs",
)


@dataclass(frozen=True)
class Candidate:
    """What CreateModelVersionOperator needs to know of a training run.

    Attributes:
        run_id: The training run.
        source: The model's place in S3: MLflow takes no other for a model that is stored there.
        tags: Where the model comes from, in the form of MLflow's REST API. `model` and `transformer` are addresses that
            load with access to MLflow alone, if its server serves the files (see `lineage.served`).
        description: The model card.
    """

    run_id: str
    source: str
    tags: list[dict[str, str]]
    description: str


def is_registered(name: str, mlflow_conn_id: str) -> bool:
    """Say whether MLflow has a registered model of this name, with or without versions."""
    hook = MLflowClientHook("GET", mlflow_conn_id=mlflow_conn_id)
    return hook.call("registered-models/get", absent_is_none=True, name=name) is not None


def candidate(run_id: str) -> Candidate:
    """Describe the model of a training run, for the registry."""
    client = MlflowClient()
    run = client.get_run(run_id)
    features_run = client.get_run(run.data.tags["features_run"])
    model, transformer = logged_model(run), logged_model(features_run)
    tags = {name: run.data.tags[name] for name in CARRIED}
    tags |= {"model": served(model.artifact_location), "transformer": served(transformer.artifact_location)}
    commit = run.data.tags.get("mlflow.source.git.commit")
    if commit:
        tags["git_commit"] = commit
    return Candidate(
        run_id,
        model.artifact_location,
        [{"key": key, "value": value} for key, value in tags.items()],
        model_card(run.info.run_name, features_run.data.params, run.data.metrics, run.data.tags),
    )


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
