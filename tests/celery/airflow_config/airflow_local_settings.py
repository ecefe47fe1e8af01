"""Settings of this test's Airflow: its workers get names, and each task another worker than the tasks before it."""

from __future__ import annotations

import os

from airflow.models.mappedoperator import MappedOperator

WORKERS = os.environ["WORKERS"].split()


def worker_name() -> str:
    return os.environ.get("WORKER_NAME", "scheduler")


def dag_policy(dag) -> None:
    """Gives each task a queue that another worker listens on than on the queue of the tasks before it."""
    depth: dict[str, int] = {}
    for task in dag.topological_sort():
        depth[task.task_id] = 1 + max((depth[before] for before in task.upstream_task_ids), default=-1)
        queue = WORKERS[depth[task.task_id] % 2]
        if isinstance(task, MappedOperator):
            task.partial_kwargs["queue"] = queue
        else:
            task.queue = queue
