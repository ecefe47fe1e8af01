"""Imports once, in the scheduler, the packages that every task would import again.

LocalExecutor forks its tasks from the scheduler, so what is imported there costs a task nothing. Only third-party
packages are imported: the project's own code takes no time, and tasks import it as it is when they start.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import logging
import sys
import time

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

PACKAGES = (
    # What runs a task, and what the DAG files import.
    "airflow.api.common.experimental.get_task_instance",
    "airflow.cli.commands.task_command",
    "airflow.datasets.metadata",
    "airflow.operators.empty",
    "airflow.providers.amazon.aws.operators.s3",
    "airflow.task.task_runner.standard_task_runner",
    "astro.files.locations.amazon.s3",
    "astro.sql",
    "jinja2.ext",
    "mlflow_provider.operators.pyfunc",
    "mlflow_provider.operators.registry",
    # What the tasks import themselves, or what that imports when it is first used.
    "boto3.s3.inject",
    "git",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlflow.tracking.request_header.registry",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "scipy.stats",
)


@hookimpl
def on_starting(component: object) -> None:  # noqa: ARG001
    """Preload in a scheduler that forks its tasks: Airflow calls this before it does."""
    # A job does not know its type yet when it starts, so the command line has to say it.
    if sys.argv[1:2] == ["scheduler"] and conf.get("core", "executor") == "LocalExecutor":
        preload()


@functools.cache  # tried once, whatever comes of it
def preload() -> None:
    """Import the packages; an error only means that tasks start slower."""
    started = time.monotonic()
    try:
        for package in PACKAGES:
            importlib.import_module(package)
        fill_caches()
    except (Exception, SystemExit):
        log.exception("Can't import packages ahead of time. Tasks run as usual, but start slower")
    else:
        log.info("Imported the packages of the tasks ahead of time, in %.1f s", time.monotonic() - started)
    gc.freeze()  # tasks don't walk through all that when they collect garbage, so the memory stays shared


def fill_caches() -> None:
    """Make the packages do once what they would do in each task.

    Their results are the same. The times are what it saves each task that needs it, on 2 cores.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import SessionFactory
    from airflow.providers_manager import ProvidersManager
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches
    from sklearn.utils import all_estimators

    all_estimators()  # imports all of scikit-learn, as MLflow's autologging does: 1 s
    warn_dependency_requirement_mismatches(["mlflow"])  # which module is whose, asked before a model is loaded: 0.5 s
    ProvidersManager().initialize_providers_dataset_uri_resources()  # asked by each DAG file with a Dataset: 0.07 s
    login = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}  # no search for one in the network
    SessionFactory(conn=None).basic_session.client("s3", "us-east-1", **login)  # botocore's data: 0.1 s a client
    inspect.stack()  # where modules lie, asked by the Amazon provider: 0.3 s


class SchedulerPreload(AirflowPlugin):
    """Adds the listener `on_starting`."""

    name = "scheduler_preload"
    listeners = [sys.modules[__name__]]
