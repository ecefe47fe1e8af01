"""A DAG works for exactly the run that triggered it, whatever has run since."""

from __future__ import annotations

import logging

import pytest
from airflow.models import DagRun
from airflow.models.dataset import DatasetEvent
from airflow.utils import timezone
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType

from include import config

OTHERS = {"hyper_parameters": {"alphas": [7.0]}}


def announced(session, run) -> DatasetEvent:
    """The first event by which this run has announced what it made."""
    events = session.query(DatasetEvent).filter_by(source_dag_id=run.dag_id, source_run_id=run.run_id)
    return events.order_by(DatasetEvent.id).first()


def returned(run, task_id: str):
    return run.get_task_instance(task_id).xcom_pull(task_id)


@pytest.fixture
def triggered(dags):
    """Creates a run of a DAG as Airflow does when these runs have announced something. None of its tasks has run."""
    made = []

    def trigger(dag_id: str, *sources, conf: dict | None = None):
        now = timezone.utcnow()
        with create_session() as session:
            run = dags[dag_id].create_dagrun(
                run_id=DagRun.generate_run_id(DagRunType.DATASET_TRIGGERED, now),
                run_type=DagRunType.DATASET_TRIGGERED,
                state=DagRunState.RUNNING,
                execution_date=now,
                data_interval=(now, now),
                conf=conf,
                session=session,
            )
            run.consumed_dataset_events.extend(announced(session, source) for source in sources)
        made.append(run)
        return run

    yield trigger
    with create_session() as session:
        for run in made:
            session.delete(session.merge(run))


def test_train_works_for_the_run_of_its_event_with_the_hyperparameters_of_its_event(
    pipeline_runs, triggered, run_again, caplog
):
    older = pipeline_runs[0]["feature_eng"]
    run = triggered("train", older, conf=OTHERS)

    with caplog.at_level(logging.INFO):
        run_again(run, "fetch_hyper_parameters")

    assert f"Triggered by feature_eng, run {older.run_id}" in caplog.text
    assert returned(run, "fetch_hyper_parameters") == config.HYPER_PARAMETERS


def test_predict_works_with_the_model_of_its_event(pipeline_runs, triggered, run_again):
    older = pipeline_runs[0]["train"]
    run = triggered("predict", older)

    run_again(run, "fetch_model_run_id")

    assert returned(run, "fetch_model_run_id") == returned(older, "train_model")["run_id"]


def test_of_two_events_at_once_the_newer_counts(pipeline_runs, triggered, run_again, caplog):
    older, newer = (one["train"] for one in pipeline_runs)
    run = triggered("predict", newer, older)

    with caplog.at_level(logging.INFO):
        run_again(run, "fetch_model_run_id")

    assert f"Skipped older events, of runs {older.run_id}" in caplog.text
    assert returned(run, "fetch_model_run_id") == returned(newer, "train_model")["run_id"]


def test_feature_eng_announces_the_hyperparameters_of_its_form(run_part):
    run = run_part("feature_eng", "save_data_to_s3", OTHERS)

    with create_session() as session:
        assert announced(session, run).extra == OTHERS
