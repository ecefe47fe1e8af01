"""Leaves lines that say nothing to a reader out of the logs of this project's tasks.

Airflow calls these listeners in the process of a task, right before and after the task's own work. What they change
there is put back, and tasks of other DAGs are left alone.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings

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

_changes = contextlib.ExitStack()  # that puts back what was changed


@hookimpl
def on_task_instance_running(task_instance: TaskInstance) -> None:
    """Leave out these lines from now on, if the task is of one of our DAGs."""
    _changes.close()
    from include.orchestration import DAG_IDS  # here, since the scheduler loads plugins before it forks tasks

    if task_instance.dag_id not in DAG_IDS or not task_instance.task:
        return
    for logger in map(logging.getLogger, LOGGERS):
        _changes.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.WARNING)
    task_log = task_instance.task.log
    _changes.callback(task_log.removeFilter, says_something)
    task_log.addFilter(says_something)
    _changes.enter_context(warnings.catch_warnings())
    warnings.filterwarnings("ignore", WARNING)


@hookimpl
def on_task_instance_success() -> None:
    """Put everything back."""
    _changes.close()


@hookimpl
def on_task_instance_failed() -> None:
    """Put everything back."""
    _changes.close()


def says_something(record: logging.LogRecord) -> bool:
    """Return whether a line is of interest."""
    return record.getMessage() not in LINES


class QuietLogs(AirflowPlugin):
    """Adds the listeners."""

    name = "quiet_logs"
    listeners = [sys.modules[__name__]]
