"""Leaves lines that say nothing to a reader out of the logs of this project's tasks.

Airflow calls these listeners in the process of a task, right before and after the task's own work. What they change
there is put back, and tasks of other DAGs are left alone.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

from airflow.listeners import hookimpl
from airflow.models.taskinstance import TaskInstance
from airflow.plugins_manager import AirflowPlugin

LOGGERS = (  # of which only warnings are of interest
    "airflow.hooks.base",  # Retrieving connection ...
    "airflow.providers.amazon.aws.utils.connection_wrapper",  # ... credentials retrieved from login and password.
    "botocore.credentials",  # Found credentials in environment variables.
    "smart_open.s3",  # ... uploading part_num: 1
)
LINES = ("Done. Returned value was: None", "Use 'pickle' as serializer.")  # of the task's own logger
WARNING = "Method `serialize_value` in XCom backend"  # ... is using outdated signature: that of the Astro SDK is

_changes = contextlib.ExitStack()


@hookimpl
def on_task_instance_running(task_instance: TaskInstance) -> None:
    """Leave out these lines from now on, if the task is of one of our DAGs."""
    _changes.close()
    from include.orchestration import DAG_IDS  # here, since the scheduler loads plugins before it forks tasks

    if task_instance.dag_id in DAG_IDS and task_instance.task:
        _changes.enter_context(quiet(task_instance.task.log))


@hookimpl
def on_task_instance_success() -> None:
    """Put everything back."""
    _changes.close()


@hookimpl
def on_task_instance_failed() -> None:
    """Put everything back."""
    _changes.close()


@contextlib.contextmanager
def quiet(task_log: logging.Logger) -> Iterator[None]:
    """Leave out the lines inside the block."""
    with contextlib.ExitStack() as restore:
        for logger in map(logging.getLogger, LOGGERS):
            restore.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.WARNING)
        restore.callback(task_log.removeFilter, says_something)
        task_log.addFilter(says_something)
        restore.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", WARNING)
        yield


def says_something(record: logging.LogRecord) -> bool:
    """Return whether a line is of interest."""
    return record.getMessage() not in LINES


class QuietLogs(AirflowPlugin):
    """Adds the listeners."""

    name = "quiet_logs"
    listeners = [sys.modules[__name__]]
