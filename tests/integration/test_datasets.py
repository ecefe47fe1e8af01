"""How Dataset events that come close together reach the DAG that listens."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from airflow.datasets import Dataset
from airflow.datasets.manager import dataset_manager
from airflow.models.dataset import DatasetDagRunQueue, DatasetModel
from airflow.utils import timezone
from airflow.utils.session import create_session

from include import config


@pytest.fixture
def announce():
    """Registers an event while a DAG is queued already. Returns the times of the event and of the queue entry."""

    def announce(dataset: Dataset, dag_id: str) -> tuple[datetime, datetime]:
        with create_session() as session:
            dataset_id = session.query(DatasetModel.id).filter_by(uri=dataset.uri).scalar()
            earlier = timezone.utcnow() - timedelta(minutes=1)
            session.merge(DatasetDagRunQueue(target_dag_id=dag_id, dataset_id=dataset_id, created_at=earlier))
            session.flush()

            event = dataset_manager.register_dataset_change(dataset=dataset, session=session)

            queued = session.query(DatasetDagRunQueue).filter_by(target_dag_id=dag_id, dataset_id=dataset_id).one()
            session.refresh(queued)
            times = event.timestamp, queued.created_at
            session.rollback()
        return times

    return announce


@pytest.mark.usefixtures("dags")
@pytest.mark.parametrize(
    ("uri", "dag_id"), [(config.FEATURES_DATASET, "train"), (config.MODEL_DATASET, "predict")], ids=["train", "predict"]
)
def test_a_dag_that_waits_for_its_turn_takes_the_newest_event(uri, dag_id, announce):
    event, queued = announce(Dataset(uri), dag_id)

    assert queued >= event  # the run to come takes the events up to that moment


@pytest.mark.usefixtures("dags")
def test_the_queue_of_another_projects_dataset_stays_as_it_is(announce):
    theirs = Dataset("s3://of-someone-else")
    with create_session() as session:
        dataset_manager.create_datasets([DatasetModel.from_public(theirs)], session=session)

    event, queued = announce(theirs, "train")

    assert queued < event
