"""The clean-up takes what nothing refers to, and nothing else. (The last one here: others need what it takes.)"""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.utils import timezone

from include.orchestration import prune


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


@pytest.fixture
def command():
    """Runs what stands behind `make prune`."""
    return lambda days: subprocess.run(
        [sys.executable, "-m", "include.orchestration.prune", days], capture_output=True, text=True
    )


def test_the_command_takes_what_old_runs_left_between_the_tasks_and_nothing_else(run_pipeline, command, keys, snapshot):
    run_pipeline()
    before = snapshot()
    assert keys()

    done = command("0")

    assert done.returncode == 0, done.stdout + done.stderr
    assert keys() == set()
    assert snapshot() == before
    run_pipeline()


@pytest.mark.parametrize("days", ["ten", "-1"])
def test_the_command_wants_a_number_of_days(days, command):
    refused = command(days)

    assert refused.returncode != 0
    assert "How many days old" in refused.stderr
