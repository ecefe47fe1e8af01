"""Clients of S3 that share what botocore has read."""

from __future__ import annotations

import pytest
from airflow.models import Connection
from airflow.providers.amazon.aws.hooks import base_aws
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.loaders import JSONFileLoader


@pytest.fixture
def connection(monkeypatch):
    extra = {"endpoint_url": "http://nowhere:9000", "region_name": "eu-central-1"}
    connection = Connection(conn_id="shared", conn_type="aws", login="me", password="secret", extra=extra)
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", connection.as_json())


def test_airflow_uses_the_factory_that_the_settings_name():
    assert base_aws.SessionFactory.__name__ == "SharedLoaderSessionFactory"


@pytest.mark.usefixtures("connection")
def test_only_the_first_client_reads_botocores_files(monkeypatch):
    S3Hook("shared").get_conn()
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: pytest.fail(f"reads {path}"))

    S3Hook("shared").get_conn()


@pytest.mark.usefixtures("connection")
def test_a_session_has_what_the_connection_says():
    hook = S3Hook("shared")

    credentials = hook.get_session().get_credentials()
    assert (credentials.access_key, credentials.secret_key) == ("me", "secret")
    assert hook.get_conn().meta.region_name == "eu-central-1"
    assert hook.get_conn().meta.endpoint_url == "http://nowhere:9000"


@pytest.mark.usefixtures("connection")
def test_descriptions_of_other_services_are_found_where_aws_data_path_says(tmp_path, monkeypatch):
    (version := tmp_path / "a-service-of-ours" / "2026-01-01").mkdir(parents=True)
    (version / "service-2.json").write_text("{}")
    assert "a-service-of-ours" not in S3Hook("shared").get_session().get_available_services()

    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))

    assert "a-service-of-ours" in S3Hook("shared").get_session().get_available_services()
