from __future__ import annotations

from harness.airflow_settings import use_own_airflow

use_own_airflow()  # before a test imports Airflow
