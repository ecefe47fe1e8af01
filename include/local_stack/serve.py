"""Serves the champion over HTTP with MLflow's own scoring server, in the foreground: what `make serve` does."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import requests

from include.local_stack.services import LOOPBACK, StackError
from include.local_stack.stack import NOT_UP, Stack, is_free, port_in

PORT = 5002


def serve(stack: Stack, name: str, report: Callable[[str], None] = print) -> None:
    """Answer requests with the champion of the registered model `name` until this process is interrupted.

    Raises StackError if the stack is not up, the port is taken or not a port, or there is no champion to serve.
    """
    port = port_in("SERVE_PORT") or PORT
    if not stack.is_up():
        raise StackError(NOT_UP)
    if not is_free(port):
        raise StackError(f"Port {port}, for the model, is taken. Choose another: make serve SERVE_PORT={port + 1}")
    version = champion(stack.url("mlflow"), name)
    os.environ.update(stack.environment() | stack.s3_variables() | {"MLFLOW_TRACKING_URI": stack.url("mlflow")})
    report(f"loading {name}, version {version['version']}")

    import mlflow.artifacts  # takes seconds
    import mlflow.pyfunc
    import uvicorn
    from mlflow.pyfunc import scoring_server

    from include.tracking.serving_model import check_python

    with TemporaryDirectory() as folder:  # without one, MLflow would leave the model in a folder of its own
        path = mlflow.artifacts.download_artifacts(serving_address(version), dst_path=folder)
        check_python(path)
        model = mlflow.pyfunc.load_model(path)
    address = f"http://{LOOPBACK}:{port}"
    report(f"{name}, version {version['version']}, is served at {address}. Try it in another terminal:")
    report(f"\n{curl(address, model.input_example)}\n\nCtrl-C stops it.")
    os.chdir(stack.home)  # where `make stop` finds it, unless it was started in a terminal
    uvicorn.run(scoring_server.init(model), host=LOOPBACK, port=port, log_level="warning")


def champion(mlflow: str, name: str) -> dict[str, Any]:
    """Return the champion of a registered model, as MLflow's REST API describes it."""
    asked = {"name": name, "alias": "champion"}
    answer = requests.get(f"{mlflow}/api/2.0/mlflow/registered-models/alias", params=asked, timeout=30)
    if not answer.ok:
        raise StackError(f"{name} has no champion in the MLflow at {mlflow}: {answer.json()['message']}. Run: make run")
    version: dict[str, Any] = answer.json()["model_version"]
    return version


def serving_address(version: dict[str, Any]) -> str:
    """Return where the version's model for raw rows is."""
    for tag in version.get("tags", []):
        if tag["key"] == "serving_model":
            return str(tag["value"])
    raise StackError(
        f"Version {version['version']} of {version['name']}, the champion, has no tag serving_model: it was created "
        "before models were served. Train a new one: make run"
    )


def curl(address: str, rows: pd.DataFrame) -> str:
    """Return the command that posts the first of these rows to the scoring server."""
    body = json.dumps({"dataframe_records": json.loads(rows.head(1).to_json(orient="records"))}, ensure_ascii=False)
    return f"curl {address}/invocations -H 'Content-Type: application/json' -d {shlex.quote(body)}"
