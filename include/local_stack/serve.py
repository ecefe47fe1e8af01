"""Serves the champion over HTTP with MLflow's own scoring server, in the foreground: what `make serve` does."""

from __future__ import annotations

import json
import os
import shlex
from tempfile import TemporaryDirectory

import pandas as pd

from include.local_stack.services import LOOPBACK, StackError
from include.local_stack.stack import NOT_UP, Stack, is_free, port_in

PORT = 5002


def serve(stack: Stack, name: str) -> None:
    """Answer requests with the champion of the registered model `name` until this process is interrupted.

    Raises StackError if the stack is not up, the port is taken or not a port, or there is no champion to serve.
    """
    port = port_in("SERVE_PORT") or PORT
    if not stack.is_up():
        raise StackError(NOT_UP)
    if not is_free(port):
        raise StackError(f"Port {port}, for the model, is taken. Choose another: make serve SERVE_PORT={port + 1}")
    tracking_uri = stack.url("mlflow")
    environment = stack.environment() | stack.s3_variables() | {"MLFLOW_TRACKING_URI": tracking_uri}
    os.environ.clear()  # of the shell's variables for MLflow and AWS
    os.environ.update(environment)

    import mlflow.artifacts  # these take seconds, and read the variables
    import mlflow.pyfunc
    import uvicorn
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    from include.tracking.serving_model import check_python

    try:
        version = mlflow.MlflowClient().get_model_version_by_alias(name, "champion")
    except MlflowException as error:
        raise StackError(
            f"{name} has no champion in the MLflow at {tracking_uri}: {str(error).rstrip('.')}. Run: make run"
        ) from None
    if "serving_model" not in version.tags:
        raise StackError(
            f"Version {version.version} of {name}, the champion, has no tag serving_model, which names the model to "
            "serve. Train a new version: make run"
        )
    print(f"loading {name}, version {version.version}", flush=True)
    with TemporaryDirectory() as folder:  # without one, MLflow would leave the model in a folder of its own
        path = mlflow.artifacts.download_artifacts(version.tags["serving_model"], dst_path=folder)
        check_python(path)
        model = mlflow.pyfunc.load_model(path)
    address = f"http://{LOOPBACK}:{port}"
    print(f"{name}, version {version.version}, is served at {address}. Try it in another terminal:")
    print(f"\n{curl(address, model.input_example)}\n\nCtrl-C stops it.", flush=True)
    os.chdir(stack.home)  # where `make stop` finds it, unless it was started in a terminal
    uvicorn.run(scoring_server.init(model), host=LOOPBACK, port=port, log_level="warning")


def curl(address: str, rows: pd.DataFrame) -> str:
    """Return the command that posts the first of these rows to the scoring server."""
    body = json.dumps({"dataframe_records": json.loads(rows.head(1).to_json(orient="records"))}, ensure_ascii=False)
    return f"curl {address}/invocations -H 'Content-Type: application/json' -d {shlex.quote(body)}"
