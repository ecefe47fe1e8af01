"""The MLflow experiment: find it, create it, restore it if it was deleted. Uses the provider's REST hook."""

from __future__ import annotations

import logging
from typing import Any

from include.schema import Schema
from include.tracking.client import MLflowClientHook

log = logging.getLogger(__name__)


def find(name: str, mlflow_conn_id: str) -> list[dict[str, Any]]:
    """Return the experiments of this name, deleted ones too, as MLflow describes them: one or none."""
    hook = MLflowClientHook("GET", mlflow_conn_id=mlflow_conn_id)
    answer = hook.call("experiments/get-by-name", none_for="RESOURCE_DOES_NOT_EXIST", experiment_name=name)
    return [answer["experiment"]] if answer else []


def create(name: str, artifact_location: str, description: str, mlflow_conn_id: str) -> None:
    """Create the experiment with its artifacts below `artifact_location`. One that exists is left as it is."""
    hook = MLflowClientHook("POST", mlflow_conn_id=mlflow_conn_id)
    created = hook.call(
        "experiments/create",
        none_for="RESOURCE_ALREADY_EXISTS",
        name=name,
        artifact_location=artifact_location,
        tags=[{"key": "mlflow.note.content", "value": description}],
    )
    if created:
        log.info("Created experiment %s with its artifacts in %s", name, artifact_location)
    else:
        log.info("Experiment %s exists", name)


def active_id(name: str, mlflow_conn_id: str) -> str:
    """Return the experiment's id. An experiment that was deleted in the MLflow UI is restored."""
    (experiment,) = find(name, mlflow_conn_id)
    experiment_id: str = experiment["experiment_id"]
    if experiment["lifecycle_stage"] != "active":
        hook = MLflowClientHook("POST", mlflow_conn_id=mlflow_conn_id)
        hook.call("experiments/restore", experiment_id=experiment_id)
        log.info("Restored experiment %s, which had been deleted", name)
    return experiment_id


def description(schema: Schema, model_name: str) -> str:
    """Return what the MLflow UI says about the experiment, in Markdown."""
    return (
        f"Predicts the {schema.target_label} of one {schema.row}. Each pipeline run leaves three runs with the same "
        f"tag `pipeline_run`: **Scaler** (the features), **{model_name}** (the model, evaluated and fitted) and "
        "**Predictions** (its errors and the drift). To see them together, group by `pipeline_run`."
    )
