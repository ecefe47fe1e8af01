"""What the project adds to Airflow itself."""

from __future__ import annotations

import functools
import gc
import importlib
import sys

from airflow.listeners import hookimpl
from airflow.models import DagBag
from airflow.plugins_manager import AirflowPlugin
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

# What the tasks import beside the DAG files.
IN_TASKS = ("include.reading", "include.runs", "include.registry", "include.experiment", "include.operators.prediction")


@hookimpl
def on_starting(component: object) -> None:
    """Airflow calls this when one of its jobs starts: for the scheduler, before it forks its workers."""
    if "scheduler" in sys.argv[1:2]:
        preload()


@functools.cache  # the tasks are jobs, too
def preload() -> None:
    """Does once, in the scheduler, what would take every task seconds: imports, and the first S3 client's look at all
    modules and providers. Airflow forks its tasks from there (LocalExecutor), so they find it done.
    """
    for module in IN_TASKS:
        importlib.import_module(module)
    DagBag(include_examples=False)
    S3Hook(None).get_conn()
    gc.freeze()  # the tasks' garbage collection needn't look at all that again, and copy it by doing so


class PipelinePlugin(AirflowPlugin):
    name = "pipeline"
    listeners = [sys.modules[__name__]]
