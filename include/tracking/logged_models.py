"""Models in MLflow's storage: log them with pinned requirements, find them again, say where they are served."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import cloudpickle
import mlflow.artifacts
import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

import include
from include.errors import DataError
from include.modeling.models import threads_for
from include.tracking.client import MLflowClientHook
from include.tracking.requirements import pinned_requirements
from include.tracking.serving_model import check_python

MODEL, SERVING_MODEL, TRANSFORMER = "model", "serving_model", "transformer"


def log_model(model: BaseEstimator, name: str, example: pd.DataFrame) -> str:
    """Log a fitted regressor, transformer or Pipeline of both, with its signature and all its requirements, pinned.

    Return its id.
    """
    predicts = hasattr(model, "predict")
    last_step = model[-1] if isinstance(model, Pipeline) else model
    with threads_for(len(example)):
        result = model.predict(example) if predicts else model.transform(example)
    # MLflow warns of pickles, which the documentation does, and of a transformer that has no predict.
    logging.getLogger("mlflow.sklearn").setLevel(logging.ERROR)
    with pickled_by_value():
        logged = mlflow.sklearn.log_model(
            model,
            name=name,
            signature=_signature(example, result),
            input_example=example if predicts else None,  # MLflow tries it with predict
            pip_requirements=pinned_requirements(type(last_step).__module__),
            serialization_format="cloudpickle",  # holds any regressor, and loads in half the time that skops takes
        )
    return logged.model_id


def _signature(example: pd.DataFrame, result: object) -> ModelSignature:
    """Return a signature in which labels, which are text, may be numbers, too."""
    signature = infer_signature(example, result)
    types = {column.name: AnyType() if column.type == DataType.string else column.type for column in signature.inputs}
    return ModelSignature(Schema([ColSpec(type, name) for name, type in types.items()]), signature.outputs)


@contextmanager
def pickled_by_value() -> Iterator[None]:
    """Let models bring along what they use of this project's code, so that they load without it."""
    cloudpickle.register_pickle_by_value(include)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(include)


def of_run(run: Run, name: str = MODEL) -> LoggedModel:
    """Return the model of this name that a run logged.

    Raises:
        DataError: It logged none.
    """
    client = MlflowClient()
    for output in run.outputs.model_outputs if run.outputs else []:
        logged = client.get_logged_model(output.model_id)
        if logged.name == name:
            return logged
    raise DataError(f"Run {run.info.run_id} has no model named {name}. Run the task that logs it again.")


def load_of_run(run_id: str, name: str) -> BaseEstimator:
    """Return the estimator of this name that a run logged."""
    logged = of_run(MlflowClient().get_run(run_id), name)
    with TemporaryDirectory() as folder:  # without one, MLflow would leave the model in a folder of its own
        path = mlflow.artifacts.download_artifacts(logged.artifact_location, dst_path=folder)
        check_python(path)
        return mlflow.sklearn.load_model(path)


def served_address(artifact_uri: str, artifacts_root: str, mlflow_conn_id: str) -> str:
    """Return the address under which the MLflow server serves `artifact_uri`, so that loading needs no access to S3.

    Args:
        artifact_uri: The place in S3.
        artifacts_root: The place in S3 that the server serves, such as `s3://mlflowdatapossums`.
        mlflow_conn_id: The connection to the server.

    Returns:
        An `mlflow-artifacts:` address; `artifact_uri` itself if the server does not serve it.

    Raises:
        requests.HTTPError: If the server cannot tell at the moment.
    """
    path = artifact_uri.removeprefix(f"{artifacts_root}/")
    if path == artifact_uri:
        return artifact_uri
    hook = MLflowClientHook("GET", mlflow_conn_id=mlflow_conn_id)
    answer = hook.get_conn().get(f"{hook.address}/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel")
    if answer.status_code in (429, 502, 503, 504) and "--no-serve-artifacts" not in answer.text:
        answer.raise_for_status()
    return f"mlflow-artifacts:/{path}" if answer.ok else artifact_uri
