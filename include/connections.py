"""Airflow's connections, as MLflow's library wants to have them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from airflow.hooks.base import BaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from include import config
from include.operators.mlflow_client import MLflowClientHook


def mlflow_variables(
    mlflow_conn_id: str = config.MLFLOW_CONNECTION, aws_conn_id: str = config.AWS_CONNECTION
) -> dict[str, str]:
    """The environment variables that give MLflow's library the tracking server of one connection and the S3 store of
    the other: what MLflowBaseHook sets, with the port and without the login where there is none.
    """
    connection = BaseHook.get_connection(mlflow_conn_id)
    variables = {
        "MLFLOW_TRACKING_URI": MLflowClientHook(mlflow_conn_id=mlflow_conn_id).address,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it would be this process's address, not the user's
    }
    login, password = connection.login, connection.password
    if "cloud.databricks.com" in (connection.host or ""):
        variables |= {"DATABRICKS_HOST": variables["MLFLOW_TRACKING_URI"], "DATABRICKS_TOKEN": password or ""}
        variables["MLFLOW_TRACKING_URI"] = "databricks"
    elif login == "token":
        variables["MLFLOW_TRACKING_TOKEN"] = password or ""
    elif login:
        variables |= {"MLFLOW_TRACKING_USERNAME": login, "MLFLOW_TRACKING_PASSWORD": password or ""}

    s3 = S3Hook(aws_conn_id=aws_conn_id)
    credentials = s3.get_credentials()
    variables |= {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key}
    optional = {
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_DEFAULT_REGION": s3.conn_config.region_name,
        "MLFLOW_S3_ENDPOINT_URL": s3.conn_config.get_service_endpoint_url("s3"),
    }
    return variables | {name: value for name, value in optional.items() if value}


@contextlib.contextmanager
def mlflow_connected(
    mlflow_conn_id: str = config.MLFLOW_CONNECTION, aws_conn_id: str = config.AWS_CONNECTION
) -> Iterator[None]:
    """Lets MLflow's library work with Airflow's connections inside the block, and takes their secrets back after it."""
    variables = mlflow_variables(mlflow_conn_id, aws_conn_id)
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
