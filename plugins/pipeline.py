"""What the project adds to Airflow itself."""

from __future__ import annotations

import functools
import gc
import importlib
import logging
import sys
import warnings

import botocore.session
from airflow import settings
from airflow.datasets import Dataset
from airflow.listeners import hookimpl
from airflow.models import DagBag
from airflow.models.dataset import DatasetDagRunQueue, DatasetModel
from airflow.plugins_manager import AirflowPlugin
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.utils import timezone
from sqlalchemy import select, update

from include import config
from include.operators.links import ExperimentLink, ObjectLink, RunLink, VersionLink

log = logging.getLogger(__name__)

# What the tasks import beside the DAG files: the project's modules, and what others import only when they need it.
IN_TASKS = (
    "include.modeling.rows",
    "include.tracking.runs",
    "include.tracking.registry",
    "include.tracking.experiment",
    "include.operators.prediction",
    "airflow.cli.commands.task_command",
    "airflow.datasets.metadata",
    "git",
    "jinja2.ext",
    "mlflow.tracking.request_header.registry",
    "pyarrow.dataset",
)

# They say at each of a task's steps that it uses a connection.
for talkative in ("airflow.hooks.base", "airflow.providers.amazon.aws.utils.connection_wrapper", "smart_open"):
    logging.getLogger(talkative).setLevel(logging.WARNING)
# The Astro SDK's last release has not been adapted to it, and every task's log would say so.
warnings.filterwarnings("ignore", "Method `serialize_value` in XCom backend AstroCustomXcomBackend")


@hookimpl
def on_starting(component: object) -> None:
    """Airflow calls this when one of its jobs starts: for the scheduler, before it forks its workers."""
    if "scheduler" in sys.argv[1:2]:
        try:
            preload()
        except Exception:
            log.exception("The tasks will be slower, since they have to import everything themselves")


@hookimpl
def on_dataset_changed(dataset: Dataset) -> None:
    """Lets a DAG that waits for its turn take this event, too.

    A run takes the events up to the moment at which it was queued, and Airflow 2.11 keeps that of the first event. One
    that comes while the DAG still waits (max_active_runs) would be for no run at all: apache/airflow issue 56050.
    """
    waiting = update(DatasetDagRunQueue).where(
        DatasetDagRunQueue.dataset_id.in_(select(DatasetModel.id).where(DatasetModel.uri == dataset.uri))
    )
    now_instead = waiting.values(created_at=timezone.utcnow()).execution_options(synchronize_session=False)
    settings.Session().execute(now_instead)  # in the transaction that registers the event


@functools.cache  # the tasks are jobs, too
def preload() -> None:
    """Does once, in the scheduler, what would take every task seconds: imports, botocore's data, what MLflow and the
    Amazon provider ask about all packages and classes. Airflow forks its tasks from there (LocalExecutor).
    """
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches
    from sklearn.utils import all_estimators

    from include.tracking.requirements import pinned_requirements

    for module in IN_TASKS:
        importlib.import_module(module)
    DagBag(include_examples=False)
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)  # one for all clients
    # What AWS is told of the caller: each client would take 0.2 s to find out its name.
    setattr(S3Hook, "_get_caller", lambda *_: "Unknown")  # noqa: B010
    S3Hook(None).get_conn()
    warn_dependency_requirement_mismatches(pinned_requirements(config.MODEL_CLASS))
    all_estimators()
    for name in [name for name in sys.modules if name.partition(".")[0] == "include"]:
        del sys.modules[name]  # the project's own, which take no time: tasks import them as they are by then
    gc.freeze()  # the tasks' garbage collection needn't look at all that, and copy it by doing so


class PipelinePlugin(AirflowPlugin):
    name = "pipeline"
    listeners = [sys.modules[__name__]]
    operator_extra_links = [RunLink(), ExperimentLink(), VersionLink(), ObjectLink()]
