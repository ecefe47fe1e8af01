"""Addresses of MLflow's pages, as the browser of a user finds them."""

from __future__ import annotations

import json
import os

from airflow.models import TaskInstance

from include.tracking.client import MLflowClientHook


def seen_by_browser(address: str) -> str:
    """Return the address under which the user's browser finds what the tasks find at `address`.

    Containers have names that a browser doesn't know (PUBLISHED_AT in docker-compose.override.yml). Everything else is
    the same for both.
    """
    return json.loads(os.environ.get("PUBLISHED_AT", "{}")).get(address, address)


def mlflow_page(path: str, mlflow_conn_id: str) -> str:
    """Return the address of a page of the MLflow UI, for the user's browser.

    Without the parameter, MLflow would show its pages for language models.
    """
    address = seen_by_browser(MLflowClientHook(mlflow_conn_id=mlflow_conn_id).address)
    return f"{address}/#/{path}?workflowType=machine_learning"


def link_version(instance: TaskInstance, name: str, number: str) -> str:
    """Let the task's button "Model version" lead to this version's page, and return the page's path."""
    page = f"models/{name}/versions/{number}"
    instance.xcom_push("model_version_page", page)
    return page
