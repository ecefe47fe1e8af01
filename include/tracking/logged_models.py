"""Models in MLflow's storage: log them with pinned requirements, find them again, say where they are served."""

from __future__ import annotations

import logging

import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator

from include.errors import DataError
from include.tracking.client import MLflowClientHook
from include.tracking.requirements import pinned_requirements


def log_model(model: BaseEstimator, name: str, example: pd.DataFrame) -> str:
    """Log a fitted regressor or transformer with its signature and all its requirements, pinned. Return its id."""
    predicts = hasattr(model, "predict")
    result = model.predict(example) if predicts else model.transform(example)
    # MLflow warns of pickles, which the documentation does, and of a transformer that has no predict.
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    logged = mlflow.sklearn.log_model(
        model,
        name=name,
        signature=infer_signature(example, result),
        input_example=example if predicts else None,  # MLflow tries it with predict
        pip_requirements=pinned_requirements(type(model).__module__),
        serialization_format="cloudpickle",  # holds any regressor, and loads in half the time that skops takes
    )
    model_id: str = logged.model_id
    return model_id


def of_run(run: Run) -> LoggedModel:
    """Return the model that a run logged.

    Raises:
        DataError: if it logged none.
    """
    if not run.outputs:
        raise DataError(f"Run {run.info.run_id} has no model. Run the task that logs it again.")
    return MlflowClient().get_logged_model(run.outputs.model_outputs[0].model_id)


def served_address(artifact_uri: str, artifacts_root: str, mlflow_conn_id: str) -> str:
    """Return the address under which the MLflow server serves `artifact_uri`, so that loading needs no access to S3.

    Args:
        artifact_uri: The place in S3.
        artifacts_root: The place in S3 that the server serves, such as `s3://mlflowdatapossums`.
        mlflow_conn_id: The connection to the server.

    Returns:
        An `mlflow-artifacts:` address; `artifact_uri` itself if the server does not serve it.

    Raises:
        requests.HTTPError: if the server cannot tell at the moment.
    """
    path = artifact_uri.removeprefix(f"{artifacts_root}/")
    if path == artifact_uri:
        return artifact_uri
    hook = MLflowClientHook("GET", mlflow_conn_id=mlflow_conn_id)
    answer = hook.get_conn().get(f"{hook.address}/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel")
    if answer.status_code in (429, 502, 503, 504) and "--no-serve-artifacts" not in answer.text:
        answer.raise_for_status()
    return f"mlflow-artifacts:/{path}" if answer.ok else artifact_uri
