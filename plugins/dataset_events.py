"""Keeps Dataset events that come while a DAG of this project waits for its turn."""

from __future__ import annotations

import sys

from airflow import settings
from airflow.datasets import Dataset
from airflow.listeners import hookimpl
from airflow.models.dataset import DatasetDagRunQueue, DatasetModel
from airflow.plugins_manager import AirflowPlugin
from airflow.utils import timezone
from sqlalchemy import select, update


@hookimpl
def on_dataset_changed(dataset: Dataset) -> None:
    """Let a DAG that is waiting for its turn take this event, too. Datasets of other projects are left alone.

    A run takes the events up to the moment at which it was queued, and Airflow 2.11 keeps that of the first event. One
    that comes while the DAG still waits (max_active_runs) would be for no run at all: apache/airflow issue 56050.
    """
    from include import config  # here, since tasks are forked from the scheduler and must read it as it is by then

    ours = {Dataset(uri).uri for uri in (config.FEATURES_DATASET, config.MODEL_DATASET)}  # as Airflow normalises them
    if dataset.uri not in ours:
        return
    ids = select(DatasetModel.id).where(DatasetModel.uri == dataset.uri)
    waiting = update(DatasetDagRunQueue).where(DatasetDagRunQueue.dataset_id.in_(ids))
    now_instead = waiting.values(created_at=timezone.utcnow()).execution_options(synchronize_session=False)
    settings.Session().execute(now_instead)  # in the transaction that registers the event


class DatasetEvents(AirflowPlugin):
    """Adds the listener `on_dataset_changed`."""

    name = "dataset_events"
    listeners = [sys.modules[__name__]]
