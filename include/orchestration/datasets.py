"""The Datasets that link the three DAGs."""

from __future__ import annotations

from airflow.datasets import Dataset

from include import config

FEATURES = Dataset(config.FEATURES_DATASET)
MODEL = Dataset(config.MODEL_DATASET)
