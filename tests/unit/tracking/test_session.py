"""Airflow's connections, however people write them, and what MLflow's library gets of them."""

from __future__ import annotations

import logging
import os

import pytest
from airflow.exceptions import AirflowFailException, AirflowNotFoundException

from include.errors import ConfigurationError
from include.tracking.session import mlflow_connected, mlflow_task, mlflow_variables

LOGIN = {"conn_type": "aws", "login": "key", "password": "hush"}


@pytest.fixture(autouse=True)
def _connections(connect, monkeypatch, tmp_path):
    """Two plain connections, and a machine without credentials of its own."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    connect("mlflow_default", conn_type="http", host="http://mlflow:5000")
    connect("aws_conn", **LOGIN, extra={"endpoint_url": "http://minio:9000", "region_name": "eu-north-1"})


def given() -> dict[str, str]:
    """The variables that are set, but for the one that never changes."""
    variables = {
        name: value for name, value in mlflow_variables("mlflow_default", "aws_conn").items() if value is not None
    }
    assert variables.pop("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT") == "true"
    return variables


def given_for_mlflow() -> dict[str, str]:
    return {name: value for name, value in given().items() if "AWS" not in name and "S3" not in name}


def test_no_login():
    assert given() == {
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "MLFLOW_S3_ENDPOINT_URL": "http://minio:9000",
    }


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": "http://mlflow:5000"}, "http://mlflow:5000"),
        ({"host": "http://mlflow:5000/"}, "http://mlflow:5000"),
        ({"host": "http://mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"host": "mlflow"}, "http://mlflow"),
        ({"host": "https://mlflow.example.org"}, "https://mlflow.example.org"),
        ({"host": "mlflow.example.org", "schema": "https"}, "https://mlflow.example.org"),
        ({"host": "mlflow.example.org", "schema": "https", "port": 8443}, "https://mlflow.example.org:8443"),
        ({"host": "http://proxy/mlflow"}, "http://proxy/mlflow"),
        ({"host": "http://host.docker.internal", "port": "5000"}, "http://host.docker.internal:5000"),
    ],
)
def test_the_address(fields, address, connect):
    connect("mlflow_default", conn_type="http", **fields)

    assert given_for_mlflow() == {"MLFLOW_TRACKING_URI": address}


@pytest.mark.parametrize(
    ("uri", "address"),
    [("http://mlflow:5000", "http://mlflow:5000"), ("http://mlflow.example.org/https", "https://mlflow.example.org")],
)
def test_a_connection_written_as_uri(uri, address, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", uri)

    assert given_for_mlflow() == {"MLFLOW_TRACKING_URI": address}


@pytest.mark.parametrize(
    ("fields", "variables"),
    [
        (
            {"login": "me", "password": "open: sesame"},
            {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "open: sesame"},
        ),
        ({"login": "me"}, {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": ""}),
        ({"login": "token", "password": "sesame"}, {"MLFLOW_TRACKING_TOKEN": "sesame"}),
    ],
    ids=["user and password", "user without password", "token"],
)
def test_the_login(fields, variables, connect):
    connect("mlflow_default", conn_type="http", host="http://mlflow:5000", **fields)

    assert given_for_mlflow() == {"MLFLOW_TRACKING_URI": "http://mlflow:5000"} | variables


@pytest.mark.parametrize(
    "host", ["dbc-1.cloud.databricks.com", "adb-1.2.azuredatabricks.net", "1.2.gcp.databricks.com"]
)
def test_a_databricks_workspace_in_any_cloud(host, connect):
    connect("mlflow_default", conn_type="http", host=f"https://{host}", login="token", password="p")

    assert given_for_mlflow() == {
        "MLFLOW_TRACKING_URI": "databricks",
        "DATABRICKS_HOST": f"https://{host}",
        "DATABRICKS_TOKEN": "p",
        "MLFLOW_REGISTRY_URI": "databricks",
    }


def test_a_host_that_only_contains_the_name_is_not_databricks(connect):
    connect(
        "mlflow_default", conn_type="http", host="http://cloud.databricks.com.example.org", login="token", password="p"
    )

    assert given_for_mlflow()["MLFLOW_TRACKING_URI"] == "http://cloud.databricks.com.example.org"


def test_aws_itself(connect):
    connect("aws_conn", **LOGIN, extra={"aws_session_token": "for a while"})

    assert {name: value for name, value in given().items() if name != "MLFLOW_TRACKING_URI"} == {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_SESSION_TOKEN": "for a while",
    }


def test_a_role_of_the_machine(connect, monkeypatch):
    # an empty connection says so; here the role's credentials come from the environment
    connect("aws_conn", conn_type="aws")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "role")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")

    assert given()["AWS_ACCESS_KEY_ID"] == "role"


def test_no_credentials_at_all(connect):
    connect("aws_conn", conn_type="aws")

    with pytest.raises(ConfigurationError, match=r"'aws_conn' has no credentials. Give it a login and a password"):
        mlflow_variables("mlflow_default", "aws_conn")


@pytest.mark.parametrize("conn_id", ["mlflow_default", "aws_conn"])
def test_a_missing_connection(conn_id, monkeypatch):
    # not even where the machine has credentials of its own
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")

    with pytest.raises(AirflowNotFoundException, match=conn_id):
        mlflow_variables("mlflow_default", "aws_conn")


def test_other_connections(connect):
    connect("other", conn_type="http", host="http://other:1")
    connect("other_s3", conn_type="aws", login="a", password="b")

    variables = mlflow_variables("other", "other_s3")

    assert (variables["MLFLOW_TRACKING_URI"], variables["AWS_ACCESS_KEY_ID"]) == ("http://other:1", "a")


def test_the_environment_is_as_before_after_an_error_even_if_somebody_cleared_it(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    before = dict(os.environ)

    with pytest.raises(ZeroDivisionError), mlflow_connected("mlflow_default", "aws_conn"):  # noqa: PT012
        assert given().items() <= os.environ.items()
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]  # as the provider's hooks do
        1 / 0  # noqa: B018

    assert dict(os.environ) == before


def test_a_login_or_a_store_from_elsewhere_does_not_get_in_the_way(connect, monkeypatch):
    connect("aws_conn", **LOGIN)
    foreign = {
        "MLFLOW_TRACKING_USERNAME": "somebody",
        "MLFLOW_TRACKING_PASSWORD": "else",
        "MLFLOW_TRACKING_TOKEN": "theirs",
        "AWS_SESSION_TOKEN": "theirs",
        "MLFLOW_S3_ENDPOINT_URL": "http://minio:9000",
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)

    with mlflow_connected("mlflow_default", "aws_conn"):
        assert not foreign.keys() & os.environ.keys()

    assert dict(os.environ) == before


def test_mlflow_task_connects_the_function_for_each_call(connect):
    @mlflow_task
    def variable(name: str) -> str:
        return os.environ[name]

    assert variable("MLFLOW_TRACKING_URI") == "http://mlflow:5000"
    connect("mlflow_default", conn_type="http", host="http://moved:5000")
    assert variable(name="MLFLOW_TRACKING_URI") == "http://moved:5000"


def test_mlflow_task_fails_without_retry_where_the_connection_is_wrong(connect):
    @mlflow_task
    def never_called() -> None:
        raise AssertionError

    connect("mlflow_default", conn_type="http")

    with pytest.raises(AirflowFailException, match="'mlflow_default' does not have MLflow's address"):
        never_called()


def test_no_secret_in_the_log(connect, caplog):
    connect("mlflow_default", conn_type="http", host="http://mlflow:5000", login="me", password="sesame")

    with caplog.at_level(logging.DEBUG, "airflow"), caplog.at_level(logging.DEBUG, "airflow.hooks.base"):
        mlflow_variables("mlflow_default", "aws_conn")

    assert "aws_conn" in caplog.text
    assert "sesame" not in caplog.text
    assert "hush" not in caplog.text
