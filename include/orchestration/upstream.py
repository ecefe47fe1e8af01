"""The run that triggered me: what one DAG hands to the next."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.datasets import Dataset
from airflow.models import DagRun, XCom
from airflow.models.dataset import DatasetEvent
from airflow.operators.python import get_current_context
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from astro.files import File

from include import config
from include.errors import ConfigurationError, DataError
from include.orchestration.datasets import FEATURES, MODEL

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpstreamRun:
    """A run of another DAG, with what it put into the Dataset event (`extra`)."""

    dag_id: str
    run_id: str
    extra: dict[str, Any] = field(default_factory=dict)

    def output(self, task_id: str, key: str = "return_value") -> Any:
        """Return what a task of the run returned, or pushed as `key`.

        Raises:
            DataError: If it is no longer there.
        """
        value = XCom.get_one(dag_id=self.dag_id, task_id=task_id, run_id=self.run_id, key=key)
        if value is None:
            raise self._missing(task_id)
        return value

    def frame(self, task_id: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Return the DataFrame that a task of the run returned, or some of its columns.

        Raises:
            DataError, ConfigurationError: See `frame_reference`.
        """
        frame: pd.DataFrame = self.frame_reference(task_id).export_to_dataframe(columns=columns)
        return frame

    def frame_reference(self, task_id: str) -> File:
        """Return the address in S3 of the DataFrame that a task of the run returned. Nothing is read.

        A task that returns it hands the DataFrame on without copying it.

        Raises:
            DataError: If it is no longer there.
            ConfigurationError: If the XCom backend does not store DataFrames in S3.
        """
        with create_session() as session:
            xcom = XCom.get_many(
                dag_ids=self.dag_id, task_ids=task_id, run_id=self.run_id, key="return_value", session=session
            ).first()
            value = xcom.value if xcom else None  # as stored: the backend would load the DataFrame
        if value is None:
            raise self._missing(task_id)
        if not isinstance(value, dict) or value.get("class") != "File":
            raise ConfigurationError(
                f"The result of {task_id} is not in S3. Use the XCom settings of .env_example "
                "(AIRFLOW__CORE__XCOM_BACKEND, AIRFLOW__ASTRO_SDK__XCOM_STORAGE_*)."
            )
        return File.from_json(value)

    def _missing(self, task_id: str) -> DataError:
        return DataError(
            f"{task_id} of {self.dag_id}, run {self.run_id}, has no result any more. Trigger {self.dag_id} again."
        )


def feature_eng_run() -> UpstreamRun:
    """Return the run of feature_eng that the running task works for.

    Raises:
        ConfigurationError: Its features were created with another schema than `include/config.py` has now.
        DataError: See `_upstream_run`.
    """
    return _with_this_schema(_upstream_run(FEATURES, "feature_eng"), "build_features")


def train_run() -> UpstreamRun:
    """Return the run of train that the running task works for. Raises what `feature_eng_run` does."""
    return _with_this_schema(_upstream_run(MODEL, "train"), "fetch_feature_df")


def push_schema() -> None:
    """Let the running task say with which schema the features that it returns were created."""
    get_current_context()["ti"].xcom_push("schema", config.SCHEMA.fingerprint)


def _with_this_schema(run: UpstreamRun, task_id: str) -> UpstreamRun:
    if run.output(task_id, key="schema") != config.SCHEMA.fingerprint:
        raise ConfigurationError(
            f"The features of {run.dag_id}, run {run.run_id}, were created with other COLUMNS, another TARGET or "
            "other ROWS_WITH_GAPS than include/config.py has now. Trigger feature_eng, or change the settings back."
        )
    return run


def _upstream_run(dataset: Dataset, dag_id: str) -> UpstreamRun:
    """Return the run of `dag_id` whose event triggered this run, or the newest successful one of a run by hand.

    Raises:
        DataError: If nothing triggered this run, and `dag_id` had no successful run before it.
    """
    context = get_current_context()
    with create_session() as session:  # the context's own events are lazy and fail in `dag.test()`
        run = session.query(DagRun).filter_by(dag_id=context["dag"].dag_id, run_id=context["run_id"]).one()
        events = [
            event
            for event in run.consumed_dataset_events
            if event.dataset.uri == dataset.uri and event.source_dag_id == dag_id
        ]
        if events:
            return _newest(events, dag_id)
        # A scheduled run that finds nothing new succeeds, too, but announces nothing.
        announced = session.query(DatasetEvent.source_run_id).filter_by(source_dag_id=dag_id)
        succeeded = session.query(DagRun.run_id).filter(
            DagRun.dag_id == dag_id,
            DagRun.state == DagRunState.SUCCESS,
            DagRun.end_date <= run.logical_date,
            DagRun.run_id.in_(announced),
        )
        newest = succeeded.order_by(DagRun.end_date.desc()).limit(1).scalar()
    if newest is None:
        raise DataError(
            f"Nothing triggered this run, and {dag_id} had no successful run before it. Trigger {dag_id} first."
        )
    log.info("Started by hand; using the newest successful run of %s: %s", dag_id, newest)
    return UpstreamRun(dag_id, newest)


def _newest(events: list[DatasetEvent], dag_id: str) -> UpstreamRun:
    """Several events arrive together if they occurred while an earlier run of this DAG was running."""
    *earlier, newest = sorted(events, key=lambda event: event.timestamp)
    log.info("Triggered by %s, run %s", dag_id, newest.source_run_id)
    if earlier:
        log.info("Skipped older events, of runs %s", ", ".join(str(event.source_run_id) for event in earlier))
    return UpstreamRun(dag_id, str(newest.source_run_id), newest.extra or {})
