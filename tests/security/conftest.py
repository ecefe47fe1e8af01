from __future__ import annotations

import pytest
from harness.airflow_settings import use_own_airflow
from harness.guarded_services import ADMIN_KEY, ADMIN_SECRET, BUCKETS, guarded_services

use_own_airflow()  # before a test imports Airflow


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    with guarded_services(tmp_path_factory.mktemp("guarded")) as services:
        admin = services.client(ADMIN_KEY, ADMIN_SECRET)
        for bucket in (*BUCKETS, "of-someone-else"):
            admin.create_bucket(Bucket=bucket)
        yield services
