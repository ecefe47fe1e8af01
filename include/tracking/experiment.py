"""Finds, restores and makes the MLflow experiment, through the provider's REST hook."""

from __future__ import annotations

import logging
from typing import Any

from include import config
from include.orchestration.retries import fail_for_good
from include.tracking.client import MLflowClientHook

log = logging.getLogger(__name__)
DESCRIPTION = f"""Predicts the {config.TARGET_LABEL} of one {config.ROW}. Each pass through the pipeline leaves three \
runs with the same tag `pipeline_run`: **Scaler** (the features), **{config.MODEL_NAME}** (the model, evaluated and \
fitted) and **Predictions** (how far off it was). To see them together, group by `pipeline_run`."""


@fail_for_good()
def find(name: str) -> list[dict[str, Any]]:
    """The experiment of this name as MLflow describes it, a deleted one too; an empty list if there is none."""
    hook = MLflowClientHook("GET", mlflow_conn_id=config.MLFLOW_CONNECTION)
    answer = hook.call("experiments/get-by-name", absent_is_none=True, experiment_name=name)
    return [answer["experiment"]] if answer else []


@fail_for_good()
def create(name: str) -> None:
    """Makes the experiment, with its artifacts in our bucket, unless it has come up in the meantime."""
    if not find(name):
        hook = MLflowClientHook("POST", mlflow_conn_id=config.MLFLOW_CONNECTION)
        hook.call(
            "experiments/create",
            name=name,
            artifact_location=f"s3://{config.ARTIFACT_BUCKET}",
            tags=[{"key": "mlflow.note.content", "value": DESCRIPTION}],
        )
        log.info("Created experiment %s with its artifacts in s3://%s", name, config.ARTIFACT_BUCKET)


@fail_for_good()
def active_id(name: str) -> str:
    """The experiment's id. If someone deleted the experiment in the MLflow UI, it is restored."""
    (experiment,) = find(name)
    if experiment["lifecycle_stage"] != "active":
        hook = MLflowClientHook("POST", mlflow_conn_id=config.MLFLOW_CONNECTION)
        hook.call("experiments/restore", experiment_id=experiment["experiment_id"])
        log.info("Restored experiment %s, which had been deleted", name)
    return experiment["experiment_id"]
