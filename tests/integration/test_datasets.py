"""How announcements that come close together reach the DAG that listens."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.datasets import Dataset
from airflow.datasets.manager import dataset_manager
from airflow.models.dataset import DatasetDagRunQueue, DatasetModel
from airflow.utils import timezone
from airflow.utils.session import create_session

from include import config


@pytest.mark.usefixtures("dags")
def test_a_dag_that_waits_for_its_turn_takes_the_newest_announcement():
    dataset = Dataset(config.FEATURES_DATASET)
    with create_session() as session:
        dataset_id = session.query(DatasetModel.id).filter_by(uri=dataset.uri).scalar()
        earlier = timezone.utcnow() - timedelta(minutes=1)
        session.merge(DatasetDagRunQueue(target_dag_id="train", dataset_id=dataset_id, created_at=earlier))
        session.flush()

        event = dataset_manager.register_dataset_change(dataset=dataset, session=session)

        queued = session.query(DatasetDagRunQueue).filter_by(target_dag_id="train", dataset_id=dataset_id).one()
        session.refresh(queued)
        assert queued.created_at >= event.timestamp  # the run to come takes the events up to that moment
        session.rollback()
