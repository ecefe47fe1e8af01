"""Runs the DAGs in this process, against real services, and looks at the result from outside."""

from __future__ import annotations

import hashlib
import io
import logging

import pandas as pd
import pytest
from harness.airflow_settings import use_own_airflow

from include import config

use_own_airflow()  # before a test imports Airflow


@pytest.fixture(scope="session", autouse=True)
def _services(stack):
    """Every test here needs them."""


@pytest.fixture(scope="session", autouse=True)
def _clients_of_s3_have_no_caller():
    """S3's log gets the operator's name, for which each client would look through all that the tests have imported."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AwsGenericHook, "_get_caller", lambda *_: "Tests")
        yield


@pytest.fixture(scope="session")
def s3(stack):
    return stack.s3()


@pytest.fixture(scope="session")
def read_csv(s3):
    return lambda key: pd.read_csv(io.BytesIO(s3.get_object(Bucket="data", Key=key)["Body"].read()))


@pytest.fixture(scope="session")
def outside(stack):
    """The variables of someone who has nothing to do with Airflow, but access to MLflow and S3."""
    return stack.s3_login() | {"MLFLOW_TRACKING_URI": stack.url("mlflow"), "MLFLOW_S3_ENDPOINT_URL": stack.url("s3")}


@pytest.fixture
def as_outsider(outside, monkeypatch):
    """Lets MLflow's library in this process work with those variables."""
    for name, value in outside.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def client(stack):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=stack.url("mlflow"))


@pytest.fixture(scope="session")
def tracked(client):
    """The run in MLflow that a run of a DAG has left."""

    def find(dag_run):
        experiment = client.get_experiment_by_name(config.EXPERIMENT)
        (found,) = client.search_runs([experiment.experiment_id], f"tags.airflow_run_id = '{dag_run.run_id}'")
        return found

    return find


@pytest.fixture(scope="session")
def plots(tmp_path_factory):
    """The folder that predict draws into, in the place of the checkout's."""
    return tmp_path_factory.mktemp("plots")


@pytest.fixture(autouse=True)
def _draw_there(plots, monkeypatch):
    monkeypatch.setattr(config, "PLOTS", plots)


@pytest.fixture(scope="session")
def run_pipeline(run_dag, plots):
    def run():
        with pytest.MonkeyPatch.context() as patch:  # fixtures of the session run before any test's own
            patch.setattr(config, "PLOTS", plots)
            return {dag_id: run_dag(dag_id) for dag_id in ("feature_eng", "train", "predict")}

    return run


@pytest.fixture(scope="session")
def pipeline_runs(run_pipeline):
    """Two pipeline runs, one after the other."""
    return [run_pipeline(), run_pipeline()]


@pytest.fixture(scope="session")
def run_part(parse, run_dag, pipeline_runs):
    """Runs a DAG up to one task, called with other arguments, and returns the run. Nothing is registered or announced:
    what the two pipeline runs left in the registry stays as it is. Models are cross-validated once, not ten times.
    """

    def run(dag_id: str, last: str, conf: dict | None = None, **changed: str):
        dag = parse().dags[dag_id].partial_subset(last, include_downstream=False)
        dag.dag_id = f"part_of_{dag_id}"
        if changed:
            dag.get_task(last).op_kwargs |= changed
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config, "REPEATS", 1)
            return run_dag(dag, run_conf=conf)

    return run


@pytest.fixture
def snapshot(client, s3):
    """What S3 and MLflow hold, without the times."""

    def take():
        experiment = client.get_experiment_by_name(config.EXPERIMENT)
        versions = client.search_model_versions(f"name = '{config.REGISTERED_MODEL}'")
        objects = s3.list_objects_v2(Bucket=config.DATA_BUCKET)["Contents"]
        content = {o["Key"]: s3.get_object(Bucket=config.DATA_BUCKET, Key=o["Key"])["Body"].read() for o in objects}
        return {
            "runs": {run.info.run_id for run in client.search_runs([experiment.experiment_id])},
            "versions": {(v.version, v.current_stage, v.run_id, v.source) for v in versions},
            "champion": client.get_model_version_by_alias(config.REGISTERED_MODEL, "champion").version,
            "objects": {key: hashlib.sha256(text).hexdigest() for key, text in content.items()},
        }

    return take


@pytest.fixture
def fails(run_dag, pipeline_runs, snapshot, s3, caplog):
    """Runs a DAG of which one task fails, and returns the log. There was no retry, and nothing is exported, registered
    or announced.
    """
    from airflow.models.dataset import DatasetEvent
    from airflow.utils.session import create_session

    def left():
        written = {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket=config.DATA_BUCKET)["Contents"]}
        with create_session() as session:
            return snapshot(), written, session.query(DatasetEvent).count()

    def run(dag_id: str, **conf) -> str:
        before = left()
        with caplog.at_level(logging.ERROR):
            dag_run = run_dag(dag_id, state="failed", run_conf=conf)
        assert left() == before
        (failed,) = (task for task in dag_run.get_task_instances() if task.state == "failed")
        assert failed.try_number <= 1
        return caplog.text

    return run


@pytest.fixture(scope="session")
def run_again(parse):
    """Runs one task of a finished run again, as it is when someone clears it in the UI."""

    def run(dag_run, task_id: str):
        task = parse().dags[dag_run.dag_id].get_task(task_id)
        for instance in dag_run.get_task_instances():
            if instance.task_id == task_id:
                instance.task = task
                instance.run(ignore_all_deps=True, ignore_ti_state=True)
                instance.refresh_from_db()
                assert instance.state in ("success", "skipped")

    return run
