"""A pipeline run with logins, restricted rights and hostile labels; what it gives away, and what wrong logins do."""

from __future__ import annotations

import io
import json
import logging

import pandas as pd
import possums
import pytest
from airflow.models import RenderedTaskInstanceFields, XCom
from airflow.utils.session import create_session
from botocore.exceptions import ClientError
from harness.guarded_services import BUCKETS, PASSWORD, S3_SECRET, USER, Witness
from mlflow import MlflowClient
from sqlalchemy import Text, cast

from include import config
from include.local_stack.install import ROOT
from include.local_stack.stack import Stack, free_ports

pytestmark = pytest.mark.security

# What a shell, Jinja, a file system, SQL, a CSV file or a browser could take for something else than a name.
HOSTILE = [
    "{{ 7 * 7 }}{% raw %}",
    "'; touch pwned; echo '",
    '"$(touch pwned)`touch pwned`"',
    "../../../../etc/passwd",
    "line\nbreak, %s %(x)s {0}",
    "' OR 1=1 --",
    "<script>alert(1)</script>//",
]


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    """A folder like include/, with the possums at sites and under numbers of hostile names."""
    folder = tmp_path_factory.mktemp("hostile")

    def renamed(line: int, name: str, value: str) -> str:
        site = HOSTILE[int(possums.LINES[line - 2].split(",")[1]) - 1]
        return {"case": f"{site} {value}", "site": site}.get(name, value)

    (folder / "possum.csv").write_text(possums.edited(renamed))
    return folder


@pytest.fixture(scope="module")
def evidence(guarded, run_dag, hostile_folder, tmp_path_factory):
    """All that a pipeline run has shown to others: its log, and every command line."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    with pytest.MonkeyPatch.context() as patch, Witness() as witness:
        for name, value in guarded.connections().items():
            patch.setenv(name, value)
        patch.setattr(config, "INCLUDE", hostile_folder)
        patch.setattr(config, "PLOTS", hostile_folder / "plots")
        patch.chdir(tmp_path_factory.mktemp("here"))
        logging.getLogger().addHandler(handler)
        try:
            for dag_id in ("feature_eng", "train", "predict"):
                run_dag(dag_id)
        finally:
            logging.getLogger().removeHandler(handler)
    return {"log": log.getvalue(), "command lines": "\n".join(witness.seen)}


@pytest.fixture
def mlflow(guarded, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    return MlflowClient(guarded.mlflow)


@pytest.fixture
def objects(guarded):
    """The content of every object of our buckets."""
    s3 = guarded.client()
    pages = {bucket: s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for bucket in BUCKETS}
    keys = [(bucket, item["Key"]) for bucket, found in pages.items() for page in found for item in page["Contents"]]
    return {key: s3.get_object(Bucket=key[0], Key=key[1])["Body"].read() for key in keys}


def test_the_services_ask_who_is_there(guarded):
    with pytest.raises(ClientError, match="AccessDenied"):
        guarded.client().put_object(Bucket="of-someone-else", Key="possum.csv", Body=b"")
    with pytest.raises(Exception, match="not authenticated"):
        MlflowClient(guarded.mlflow).search_experiments()


def test_with_the_logins_of_the_connections_the_pipeline_runs(evidence, mlflow):
    version = mlflow.get_model_version_by_alias(config.REGISTERED_MODEL, "champion")

    assert version.current_stage == config.STAGE


def test_secrets_stay_secret(evidence, mlflow, objects, stack):
    secrets = [PASSWORD, S3_SECRET, stack.environment()["AIRFLOW__CORE__FERNET_KEY"], stack.database().split("@")[0]]
    with create_session() as session:
        evidence["XComs"] = str(session.query(cast(XCom.value, Text)).all()) + str(session.query(XCom.value).all())
        evidence["rendered fields"] = str(session.query(RenderedTaskInstanceFields.rendered_fields).all())
    (experiment,) = (each for each in mlflow.search_experiments() if each.name == config.EXPERIMENT)
    versions = mlflow.search_model_versions(f"name = '{config.REGISTERED_MODEL}'")
    evidence["MLflow"] = str([run.to_dictionary() for run in mlflow.search_runs([experiment.experiment_id])] + versions)
    evidence["S3"] = str(objects)

    for place, text in evidence.items():
        assert len(text) > 1000, place
        for secret in secrets:
            assert secret not in text, place


def test_hostile_names_are_just_names(evidence, objects, mlflow, hostile_folder):
    features = pd.read_csv(io.BytesIO(objects["data", config.FEATURES_FILE]))
    predicted = pd.read_csv(io.BytesIO(objects["data", config.PREDICTIONS_FILE]))

    for name in HOSTILE:
        assert f"site_{name}" in features.columns
        assert predicted["case"].str.startswith(name).any()
    places = [ROOT, hostile_folder, *{path.parent for path in hostile_folder.parent.rglob("pwned*")}]
    assert not [path for place in places for path in place.glob("pwned*")]


def test_hostile_hyperparameters_are_just_values(stack, run_dag, caplog):
    run_dag("feature_eng", state="failed", run_conf={"hyper_parameters": {"{{ 7 * 7 }}'; touch pwned": 1}})

    assert "doesn't accept the hyperparameters {\"{{ 7 * 7 }}'; touch pwned\": 1}" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"password": "wrong-one"}, ["rejected the login of connection 'mlflow_default'", "Correct login"]),
        ({"s3_secret": "wrong-one"}, ["connection 'aws_conn'", "Correct login and password"]),
    ],
)
def test_a_wrong_login_is_one_clear_error(wrong, words, guarded, run_dag, monkeypatch, caplog):
    for name, value in guarded.connections(**wrong).items():
        monkeypatch.setenv(name, value)

    dag_run = run_dag("feature_eng", state="failed")

    failed = [task for task in dag_run.get_task_instances() if task.state == "failed"]
    assert len({task.task_id for task in failed}) == 1
    assert "UP_FOR_RETRY" not in caplog.text
    for word in words:
        assert word in caplog.text
    assert "wrong-one" not in caplog.text


def test_each_clone_has_secrets_of_its_own(tmp_path):
    secrets = []
    for name in ("one", "other"):
        Stack(tmp_path / name, ports=free_ports()).choose_ports_and_secrets()
        settings = json.loads((tmp_path / name / "stack.json").read_text())
        secrets += [value for value in settings.values() if isinstance(value, str)]

    assert len(set(secrets)) == 8
