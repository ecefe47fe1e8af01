"""Bad data and bad configuration: one clear message, no retry, and nothing exported, registered or announced."""

from __future__ import annotations

import json
import logging

import pytest
from airflow.models.dataset import DatasetEvent
from airflow.utils.session import create_session

from include import config

POSSUMS = (config.INCLUDE / "possum.csv").read_text()


@pytest.fixture
def traces(client, s3):
    """All that a run could have left."""

    def look():
        with create_session() as session:
            events = session.query(DatasetEvent).count()
        experiment = client.get_experiment_by_name("Possum_tails")
        return (
            events,
            [version.version for version in client.search_model_versions("name = 'Reg_RidgeCV_possums'")],
            [run.info.run_id for run in client.search_runs([experiment.experiment_id])],
            {item["Key"]: item["LastModified"] for item in s3.list_objects_v2(Bucket="data")["Contents"]},
        )

    return look


@pytest.fixture
def fails(run_dag, pipeline_runs, traces, caplog):
    """Runs feature_eng and gives back what its failing task has logged, having made sure that it left no trace."""

    def run(**conf):
        before = traces()
        with caplog.at_level(logging.ERROR):
            dag_run = run_dag("feature_eng", state="failed", run_conf=conf)
        assert traces() == before
        failed = [task for task in dag_run.get_task_instances() if task.state == "failed"]
        assert len(failed) == 1
        assert failed[0].try_number <= 1
        return caplog.text

    return run


def test_bad_data(fails, tmp_path, monkeypatch):
    (tmp_path / "bad.csv").write_text(POSSUMS.replace("8,94.1", "8,about 94"))
    monkeypatch.setattr(config, "INCLUDE", tmp_path)

    text = fails(data_file="bad.csv")

    for word in ("bad.csv", "line 2", "column hdlngth", "about 94", "Correct it"):
        assert word in text


def test_the_failure_callbacks_are_called_for_the_task_that_fails(fails):
    """Here for one that misses its file."""
    told = []

    def tell(context):
        told.append((context["ti"].task_id, str(context["exception"])))

    config.FAILURE_CALLBACKS.append(tell)
    try:
        text = fails(data_file="no_such_file.csv")
    finally:
        config.FAILURE_CALLBACKS.remove(tell)

    ((task_id, reason),) = told
    assert task_id == "extract_data"
    assert "no_such_file.csv is missing" in reason
    assert "no_such_file.csv is missing" in text


def test_a_param_that_the_dag_does_not_have(fails):
    assert "triggered with 'datafile', but the params of feature_eng are data_file" in fails(datafile="possum.csv")


def test_hyperparameters_that_do_not_go_with_the_rows(fails, monkeypatch):
    monkeypatch.setattr(config, "MODEL_CLASS", "sklearn.cross_decomposition.PLSRegression")

    text = fails(hyper_parameters={"n_components": 25})

    assert "doesn't accept the hyperparameters {'n_components': 25}" in text
    assert "upper bound is 16" in text  # the number of features


@pytest.mark.parametrize(
    ("variable", "change", "words"),
    [
        ("AIRFLOW_CONN_MLFLOW_DEFAULT", {"host": "S3"}, "if that is not MLflow"),
        ("AIRFLOW_CONN_AWS_CONN", {"password": "wrong"}, "S3 denied connection"),
        ("AIRFLOW_CONN_MLFLOW_DEFAULT", None, "`mlflow_default` isn't defined"),
    ],
    ids=["not MLflow", "wrong credentials", "no connection"],
)
def test_bad_connections(variable, change, words, run_dag, pipeline_runs, traces, stack, monkeypatch, caplog):
    if change is None:
        monkeypatch.delenv(variable)
    else:
        connection = json.loads(stack.shared_variables()[variable]) | change
        if connection["host" if "host" in change else "password"] == "S3":
            connection["host"] = stack.url("s3")
        monkeypatch.setenv(variable, json.dumps(connection))
    before = traces()

    with caplog.at_level(logging.ERROR):
        run = run_dag("feature_eng", state="failed")

    assert words in caplog.text
    assert all(task.try_number <= 1 for task in run.get_task_instances())
    assert traces() == before
