"""The clean-up takes what nothing refers to, and nothing else. (The last one here: others need what it takes.)"""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.utils import timezone

from include import prune


@pytest.fixture
def keys(s3):
    return lambda: {item["Key"] for item in s3.list_objects_v2(Bucket="localxcom").get("Contents", [])}


def test_only_objects_that_no_xcom_refers_to_are_removed(passes, s3, keys):
    before = keys()
    s3.put_object(Bucket="localxcom", Key="orphan.parquet", Body=b"left by a task that was run again")

    removed = prune.remove_unused_objects(timezone.utcnow() + timedelta(minutes=1))

    assert "orphan.parquet" in removed
    assert keys() == before - set(removed)
    assert keys()


def test_young_objects_stay(passes, s3, keys):
    s3.put_object(Bucket="localxcom", Key="just written.parquet", Body=b"its XCom follows in a moment")

    assert prune.remove_unused_objects(timezone.utcnow() - timedelta(days=1)) == []
    assert "just written.parquet" in keys()


def test_with_their_xcoms_the_objects_of_old_runs_go(run_pipeline, keys):
    run_pipeline()
    assert keys()

    prune.remove_old_xcoms(timezone.utcnow() + timedelta(minutes=1))
    prune.remove_unused_objects(timezone.utcnow() + timedelta(minutes=1))

    assert keys() == set()
    run_pipeline()
