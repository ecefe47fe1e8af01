"""Airflow's connections, as MLflow's library wants to have them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from airflow.hooks.base import BaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from include import config
from include.errors import ConfigurationError
from include.tracking.client import MLflowClientHook


def mlflow_variables(
    mlflow_conn_id: str = config.MLFLOW_CONNECTION, aws_conn_id: str = config.AWS_CONNECTION
) -> dict[str, str | None]:
    """The environment variables that give MLflow's library the tracking server of one connection and the S3 store of
    the other: what MLflowBaseHook sets, with the port and without the login where there is none. None stands for what
    must not be set, since a login or a store from elsewhere would get in the connections' way.
    """
    connection = BaseHook.get_connection(mlflow_conn_id)
    address = MLflowClientHook(mlflow_conn_id=mlflow_conn_id).address
    login, password = connection.login, connection.password or ""
    variables: dict[str, str | None] = {
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_TOKEN": None,
        "MLFLOW_TRACKING_USERNAME": None,
        "MLFLOW_TRACKING_PASSWORD": None,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it would be this process's address, not the user's
    }
    if "cloud.databricks.com" in address:
        variables |= {"MLFLOW_TRACKING_URI": "databricks", "DATABRICKS_HOST": address, "DATABRICKS_TOKEN": password}
        variables["MLFLOW_REGISTRY_URI"] = "databricks"  # the workspace's, as the provider's operators; it has stages
    elif login == "token":
        variables["MLFLOW_TRACKING_TOKEN"] = password
    elif login:
        variables |= {"MLFLOW_TRACKING_USERNAME": login, "MLFLOW_TRACKING_PASSWORD": password}

    BaseHook.get_connection(aws_conn_id)  # without one, the hook would take whatever credentials this machine has
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


@contextlib.contextmanager
def mlflow_connected(
    mlflow_conn_id: str = config.MLFLOW_CONNECTION, aws_conn_id: str = config.AWS_CONNECTION
) -> Iterator[None]:
    """Lets MLflow's library work with Airflow's connections inside the block, and takes their secrets back after it."""
    variables = mlflow_variables(mlflow_conn_id, aws_conn_id)
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
