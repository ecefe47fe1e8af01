"""`make prune` deletes what old runs left between the tasks, and nothing else."""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.decorators import dag, task
from airflow.models import XCom
from airflow.utils import timezone
from airflow.utils.session import create_session
from sqlalchemy import text

from include.orchestration import DAG_IDS, prune

ORPHAN = "a" + "1" * 64 + ".parquet"  # as the XCom backend names a DataFrame
STRANGERS = (
    "model.pkl",
    "data.csv",
    "orphan.parquet",
    f"team/{ORPHAN}",
    f"{ORPHAN}.bak",
    f"my-{ORPHAN}",
    ORPHAN.upper(),
)


@pytest.fixture
def contents(pipeline_runs, s3):
    """What lies in the XCom bucket, by key.

    Other tests need what these delete: afterwards XComs and bucket are as they were before.
    """

    def read() -> dict[str, bytes]:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="localxcom").get("Contents", [])]
        return {key: s3.get_object(Bucket="localxcom", Key=key)["Body"].read() for key in keys}

    objects = read()
    with create_session() as session:
        session.execute(text("CREATE TABLE kept AS TABLE xcom"))
        session.query(XCom).filter(XCom.dag_id.not_in(DAG_IDS)).delete()  # parts of DAGs that other tests have run
    yield read
    left = read()
    for key in left.keys() - objects.keys():
        s3.delete_object(Bucket="localxcom", Key=key)
    for key in objects.keys() - left.keys():
        s3.put_object(Bucket="localxcom", Key=key, Body=objects[key])
    with create_session() as session:
        session.execute(text("DELETE FROM xcom"))
        session.execute(text("INSERT INTO xcom SELECT * FROM kept"))
        session.execute(text("DROP TABLE kept"))


@pytest.fixture
def put(s3):
    return lambda *keys: [s3.put_object(Bucket="localxcom", Key=key, Body=b"content") for key in keys]


def count_xcoms(*dag_ids: str) -> int:
    with create_session() as session:
        return session.query(XCom).filter(XCom.dag_id.in_(dag_ids)).count()


@pytest.fixture
def run_of_another_dag(run_dag, contents):
    """The run of someone else's DAG whose task returned DataFrames inside a list and a dictionary."""

    @dag(schedule=None, start_date=timezone.datetime(2026, 1, 1), dag_id="of_another_team")
    def of_another_team():
        @task
        def nested():
            import pandas as pd

            return {"frames": [pd.DataFrame({"a": [1]}), {"deeper": pd.DataFrame({"a": [2]})}]}

        nested()

    return run_dag(of_another_team())


def test_the_dags_are_those_of_the_project(dags):
    assert set(DAG_IDS) == set(dags)


def test_an_object_that_no_xcom_refers_to_is_deleted(put, contents):
    before = contents()
    put(ORPHAN)
    with create_session() as session:
        session.query(XCom).update({XCom.timestamp: timezone.utcnow() + timedelta(days=1)})

    deleted = prune.prune(timezone.utcnow() + timedelta(minutes=1))

    assert f"s3://localxcom/{ORPHAN}" in deleted
    assert contents() == {key: body for key, body in before.items() if f"s3://localxcom/{key}" not in deleted}
    with create_session() as session:
        paths = [xcom.value["path"] for xcom in session.query(XCom) if "path" in (xcom.value or ())]
    frames = {path.removeprefix("s3://localxcom/") for path in paths if path.startswith("s3://localxcom/")}
    assert frames == set(contents()) != set()


def test_objects_of_others_under_the_same_url_survive(put, contents):
    put(ORPHAN, *STRANGERS)

    prune.prune(timezone.utcnow() + timedelta(minutes=1))

    assert set(contents()) == set(STRANGERS)


def test_a_prefix_in_the_url_is_the_only_place_looked_at(put, contents, monkeypatch):
    put(ORPHAN, f"team/{ORPHAN}", f"team_b/{ORPHAN}", f"team/deeper/{ORPHAN}")
    before = contents().keys()
    monkeypatch.setenv("AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL", "s3://localxcom/team")

    deleted = prune.prune(timezone.utcnow() + timedelta(minutes=1))

    assert deleted == [f"s3://localxcom/team/{ORPHAN}"]
    assert contents().keys() == before - {f"team/{ORPHAN}"}


def test_xcoms_of_another_dag_and_the_frames_nested_in_them_survive(run_of_another_dag, contents):
    prune.prune(timezone.utcnow() + timedelta(minutes=1))

    assert count_xcoms(*DAG_IDS) == 0
    found = XCom.get_one(dag_id="of_another_team", task_id="nested", run_id=run_of_another_dag.run_id)
    assert found["frames"][0]["a"].tolist() == [1]
    assert found["frames"][1]["deeper"]["a"].tolist() == [2]
    assert len(contents()) == 2


def test_young_xcoms_and_objects_stay(put, contents):
    put(ORPHAN)
    before, xcoms = contents(), count_xcoms(*DAG_IDS)

    prune.prune(timezone.utcnow() - timedelta(days=1))

    assert contents() == before
    assert count_xcoms(*DAG_IDS) == xcoms


def test_a_dry_run_lists_what_would_go_and_deletes_nothing(put, contents, caplog):
    before, xcoms = contents(), count_xcoms(*DAG_IDS)
    put(*STRANGERS)

    with caplog.at_level("INFO"):
        prune.prune(timezone.utcnow() + timedelta(minutes=1), dry_run=True)

    listed = "".join(f"{message}\n" for message in caplog.messages)
    assert before.keys() <= contents().keys()
    assert count_xcoms(*DAG_IDS) == xcoms
    assert not [key for key in before if f"Would delete s3://localxcom/{key}" not in listed]
    assert not [key for key in STRANGERS if f"s3://localxcom/{key}\n" in listed]
    assert listed.count("Would delete XCom ") == xcoms > 0


def test_features_predictions_models_and_mlflow_runs_stay(contents, snapshot):
    before = snapshot()

    prune.prune(timezone.utcnow() + timedelta(minutes=1))

    assert contents() == {}
    assert snapshot() == before


def test_the_command_deletes_what_is_old_and_prints_one_line(contents):
    with create_session() as session:
        xcoms = session.query(XCom).update({XCom.timestamp: timezone.utcnow() - timedelta(days=2)})

    command = [sys.executable, "-m", "include.orchestration.prune", "1"]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.endswith(f"Deleted {xcoms} XComs and 0 DataFrames in s3://localxcom/")
    assert count_xcoms(*DAG_IDS) == 0


@pytest.mark.parametrize("days", ["ten", "-1", "nan", "1e9", "", "0", "0.9"])
def test_only_numbers_of_days_from_1_on_are_taken(days):
    with pytest.raises(argparse.ArgumentTypeError, match="make prune DAYS=30"):
        prune._days(days)
