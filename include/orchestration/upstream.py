"""What one DAG hands to the next: the output of exactly the run that triggered it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from airflow.datasets import Dataset
from airflow.models import DagRun, XCom
from airflow.operators.python import get_current_context
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from astro.files import File

from include import config
from include.errors import ConfigurationError, DataError
from include.orchestration.retries import fail_for_good

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upstream:
    """A run of another DAG, with what it said in the Dataset event (`extra`)."""

    dag_id: str
    run_id: str
    extra: dict[str, Any] = field(default_factory=dict)

    def output(self, task_id: str, key: str = "return_value") -> Any:
        """What a task of the run has returned, or pushed as `key`."""
        return XCom.get_one(dag_id=self.dag_id, task_id=task_id, run_id=self.run_id, key=key)

    @fail_for_good()
    def frame_reference(self, task_id: str) -> File:
        """The place in S3 of the DataFrame that a task of the run has returned. Nothing is read.

        A task that returns it hands the DataFrame on without copying it.
        """
        with create_session() as session:
            xcom = XCom.get_many(
                dag_ids=self.dag_id, task_ids=task_id, run_id=self.run_id, key="return_value", session=session
            )
            row = xcom.first()
            value = row and row.value  # as the database has it, not as the backend loads it
        if not value:
            raise DataError(
                f"{task_id} of {self.dag_id}, run {self.run_id}, has no result any more. Trigger {self.dag_id} again."
            )
        if not isinstance(value, dict) or value.get("class") != "File":
            raise ConfigurationError(f"The result of {task_id} isn't in S3. Take the XCom settings of .env_example.")
        return File.from_json(value)


def features_run() -> Upstream:
    """The run of feature_eng that the running task works for."""
    return _upstream(config.FEATURES_DATASET, "feature_eng")


def training_run() -> Upstream:
    """The run of train that the running task works for."""
    return _upstream(config.MODEL_DATASET, "train")


@fail_for_good()
def _upstream(dataset: str, dag_id: str) -> Upstream:
    """The run of `dag_id` whose `dataset` event triggered this run: the newest, where several events came together.

    A run started by hand works for the newest run of `dag_id` that had succeeded by then. DataError if there was none.
    """
    context = get_current_context()
    with create_session() as session:  # of its own: the context's lazy events fail in DAG.test and `airflow dags test`
        run = session.query(DagRun).filter_by(dag_id=context["dag"].dag_id, run_id=context["run_id"]).one()
        events = [
            event
            for event in run.consumed_dataset_events
            if event.dataset.uri == Dataset(dataset).uri and event.source_dag_id == dag_id  # Airflow normalises the URI
        ]
        if events:
            event = max(events, key=lambda event: event.timestamp)
            log.info("Triggered by %s, run %s", dag_id, event.source_run_id)
            if earlier := [str(each.source_run_id) for each in events if each is not event]:
                log.info("These came before it, while an earlier run of this DAG was on: %s", ", ".join(earlier))
            return Upstream(dag_id, str(event.source_run_id), event.extra or {})
        succeeded = session.query(DagRun.run_id).filter(
            DagRun.dag_id == dag_id, DagRun.state == DagRunState.SUCCESS, DagRun.end_date <= run.logical_date
        )
        newest = succeeded.order_by(DagRun.end_date.desc()).limit(1).scalar()
    if not isinstance(newest, str):
        raise DataError(
            f"Nothing triggered this run, and {dag_id} had no successful run before it. Trigger {dag_id} first."
        )
    log.info("Started by hand; taking the newest successful run of %s, %s", dag_id, newest)
    return Upstream(dag_id, newest)
