from __future__ import annotations

from contextlib import ExitStack

import pytest
from guarded import ADMIN_KEY, ADMIN_SECRET, BUCKETS, Guarded, mlflow_server, s3_store


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    with ExitStack() as running:
        s3 = running.enter_context(s3_store(folder))
        services = Guarded(s3, running.enter_context(mlflow_server(folder, s3)))
        admin = services.client(ADMIN_KEY, ADMIN_SECRET)
        for bucket in (*BUCKETS, "of-someone-else"):
            admin.create_bucket(Bucket=bucket)
        yield services
