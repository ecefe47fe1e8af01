"""What surrounds a task: Airflow's connections for MLflow's library, and the decision about retries."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from airflow.hooks.base import BaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from include import config
from include.errors import ConfigurationError
from include.orchestration.retries import retry_policy
from include.tracking.client import MLflowClientHook

P = ParamSpec("P")
R = TypeVar("R")
DATABRICKS = (".cloud.databricks.com", ".azuredatabricks.net", ".gcp.databricks.com")
HARMLESS_WARNINGS = (
    "Hint: Inferred schema contains integer column",  # of gaps in later data, which the reader handles
    "The specified dataset source can be interpreted in multiple ways",  # both ways name the same file
)


def task_boundary(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate the function of a task: permanent errors fail it without retry (`orchestration.retries`)."""
    task = retry_policy()(function)
    task.__annotations__ = {}  # Airflow would evaluate them here, where pandas is not imported
    return task


def mlflow_task(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate the function of a task that uses MLflow's library: in addition, connect it as Airflow's connections say.

    The connections' secrets are in the environment only while the function runs.
    """

    @functools.wraps(function)
    def connected(*args: P.args, **kwargs: P.kwargs) -> R:
        with mlflow_connected(config.MLFLOW_CONNECTION, config.AWS_CONNECTION), warnings.catch_warnings():
            for message in HARMLESS_WARNINGS:
                warnings.filterwarnings("ignore", message)
            return function(*args, **kwargs)

    return task_boundary(connected)


@contextlib.contextmanager
def mlflow_connected(mlflow_conn_id: str, aws_conn_id: str) -> Iterator[None]:
    """Let MLflow's library work with Airflow's connections inside the block, and remove their secrets after it."""
    variables = mlflow_variables(mlflow_conn_id, aws_conn_id)
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def mlflow_variables(mlflow_conn_id: str, aws_conn_id: str) -> dict[str, str | None]:
    """Return the environment variables that connect MLflow's library to a tracking server and an S3 store.

    The provider's MLflowBaseHook sets some of them, but drops the port and fails without a login.

    Returns:
        The variables; None stands for one that must not be set, since it would override the connections.

    Raises:
        ConfigurationError: If a connection has no address or no credentials.
    """
    connection = BaseHook.get_connection(mlflow_conn_id)
    address = MLflowClientHook(mlflow_conn_id=mlflow_conn_id).address
    login, password = connection.login, connection.password or ""
    variables: dict[str, str | None] = {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_TOKEN": None,
        "MLFLOW_TRACKING_USERNAME": None,
        "MLFLOW_TRACKING_PASSWORD": None,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it prints this process's address, not the browser's
    }
    if (urlsplit(address).hostname or "").endswith(DATABRICKS):
        variables |= {
            "MLFLOW_TRACKING_URI": "databricks",
            "MLFLOW_REGISTRY_URI": "databricks",  # the workspace's registry: Unity Catalog has no stages
            "DATABRICKS_HOST": address,
            "DATABRICKS_TOKEN": password,
        }
    elif login == "token":
        variables["MLFLOW_TRACKING_TOKEN"] = password
    elif login:
        variables |= {"MLFLOW_TRACKING_USERNAME": login, "MLFLOW_TRACKING_PASSWORD": password}

    BaseHook.get_connection(aws_conn_id)  # without one, the hook would use whatever credentials this machine has
    s3 = S3Hook(aws_conn_id=aws_conn_id)
    found = s3.get_session().get_credentials()
    if found is None:
        raise ConfigurationError(f"Connection {aws_conn_id!r} has no credentials. Give it a login and a password.")
    credentials = found.get_frozen_credentials()
    variables |= {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "MLFLOW_S3_ENDPOINT_URL": s3.conn_config.get_service_endpoint_url("s3"),
    }
    if region := s3.conn_config.region_name:
        variables["AWS_DEFAULT_REGION"] = region
    return variables


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
