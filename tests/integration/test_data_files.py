"""Data files in S3, and the schedule with unchanged and changed data."""

from __future__ import annotations

import json
import logging

import pandas as pd
import possums
import pytest
from airflow.utils import timezone
from airflow.utils.types import DagRunType

from include import config

FRAME = pd.read_csv(possums.CSV)


@pytest.fixture(scope="module")
def stored(s3, pipeline_runs):
    """The possums in S3, as CSV and as Parquet."""
    s3.put_object(Bucket="data", Key="in/possums.csv", Body=FRAME.to_csv(index=False).encode())
    s3.put_object(Bucket="data", Key="in/possums.parquet", Body=FRAME.to_parquet())
    yield
    for name in ("csv", "parquet"):
        s3.delete_object(Bucket="data", Key=f"in/possums.{name}")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_in_s3_gives_the_same_features_and_is_named_in_mlflow(ending, stored, run_part, client, s3, read_csv):
    address = f"s3://data/in/possums.{ending}"

    run = run_part("feature_eng", "build_features", {"data_file": address})

    instance = run.get_task_instance("build_features")
    found = client.get_run(instance.xcom_pull("build_features", key="mlflow_run_id"))
    assert found.data.params["data_file"] == address
    etag = s3.head_object(Bucket="data", Key=f"in/possums.{ending}")["ETag"].strip('"')
    assert found.data.params["data_version"] == etag
    assert json.loads(found.inputs.dataset_inputs[0].dataset.source)["uri"] == address
    features = instance.xcom_pull("build_features")
    pd.testing.assert_frame_equal(features.reset_index(drop=True), read_csv("possum.csv"), check_exact=False)


@pytest.mark.parametrize("address", ["s3://data/in/nothing.csv", "s3://nobodys-bucket/possums.csv"])
def test_an_object_that_cannot_be_read_is_an_error_that_names_the_address(address, stored, fails):
    log = fails("feature_eng", data_file=address)

    assert f"{address} can't be read with connection 'aws_conn'" in log


def test_new_rows_may_be_in_s3(stored, run_dag, read_csv):
    run_dag("predict", run_conf={"data_file": "s3://data/in/possums.parquet", "model": "champion"})

    assert len(read_csv("predictions/possums.csv")) == 104


@pytest.fixture
def scheduled(dags, run_again, client):
    """Run tasks of feature_eng as a scheduled run does; return the state of the last one. Its MLflow run is deleted."""

    def scheduled(conf: dict | None = None) -> str:
        now = timezone.utcnow()
        dag = dags["feature_eng"]
        run = dag.create_dagrun(
            run_id=f"scheduled__{now.isoformat()}",
            run_type=DagRunType.SCHEDULED,
            state="running",
            execution_date=now,
            data_interval=(now, now),
            conf=conf,
        )
        for task_id in ("prepare_mlflow_experiment.get_current_experiment_id", "extract_data", "build_features"):
            run_again(run, task_id)
        built = run.get_task_instance("build_features")
        if built.state == "success":
            client.delete_run(built.xcom_pull("build_features", key="mlflow_run_id"))
        return built.state

    return scheduled


def test_a_scheduled_run_with_unchanged_data_is_skipped(scheduled, pipeline_runs, snapshot, caplog):
    before = snapshot()

    with caplog.at_level(logging.INFO):
        assert scheduled() == "skipped"

    assert "those of the newest model version: nothing to train" in caplog.text
    assert snapshot() == before


def test_a_scheduled_run_with_changed_data_trains(scheduled, stored, s3, pipeline_runs):
    s3.put_object(Bucket="data", Key="in/changed.csv", Body=FRAME.head(90).to_csv(index=False).encode())

    assert scheduled({"data_file": "s3://data/in/changed.csv"}) == "success"

    s3.delete_object(Bucket="data", Key="in/changed.csv")


def test_a_scheduled_run_with_other_hyperparameters_trains(scheduled, pipeline_runs):
    alphas = [*config.HYPER_PARAMETERS["alphas"][:-1], 1000.0]  # the tag with the hyperparameters is cut before that

    assert scheduled({"hyper_parameters": {"alphas": alphas}}) == "success"


def test_a_scheduled_run_trains_where_no_champion_was_chosen(scheduled, pipeline_runs, client):
    newest, *_ = client.search_model_versions(f"name = '{config.REGISTERED_MODEL}'")
    client.delete_model_version_tag(newest.name, newest.version, "promotion")  # choose_champion failed, say
    try:
        assert scheduled() == "success"
    finally:
        client.set_model_version_tag(newest.name, newest.version, "promotion", newest.tags["promotion"])
